from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.readings import Value
from processor.computed import NOTHING, Computed, computed

S = 1_000_000_000


def evaluate(
    texts: Mapping[str, str],
    own: Mapping[str, Value],
    newest: Mapping[str, Value] | None = None,
    previous: Mapping[str, tuple[int, Value]] | None = None,
    ts: int = 100 * S,
) -> tuple[dict[str, Value], dict[str, str]]:
    return Computed(texts).evaluate(own, newest or {}, previous or {}, ts)


def test_what_is_computed_needs_what_its_expressions_name() -> None:
    compiled = Computed({"power": "u * i", "flow": "rate(volume) * 60"})
    assert compiled.inputs == {"u", "i", "volume"}
    assert compiled.counters == {"volume"}
    assert not NOTHING.inputs | NOTHING.counters


def test_the_readings_own_values_go_before_the_newest() -> None:
    assert evaluate({"power": "u * i"}, {"u": 2.0}, {"u": 100.0, "i": 3.0}) == ({"power": 6.0}, {})


def test_an_expression_is_evaluated_if_the_reading_holds_one_of_its_inputs() -> None:
    assert evaluate({"power": "u * i"}, {"t": 2.0}, {"u": 2.0, "i": 3.0}) == ({}, {})


def test_a_missing_input_is_no_failure() -> None:
    assert evaluate({"power": "u * i", "double": "u * 2"}, {"u": 2.0}) == ({"double": 4.0}, {})


def test_a_failing_expression_stops_no_other() -> None:
    texts = {"ratio": "u / i", "mixed": "u + mode", "broken": "u *", "power": "u * i"}
    values, errors = evaluate(texts, {"u": 2.0, "i": 0.0, "mode": "idle"})
    assert values == {"power": 0.0}
    assert errors.keys() == {"ratio", "mixed", "broken"}
    assert "no finite number" in errors["ratio"]
    assert "float + string" in errors["mixed"]
    assert errors["broken"] == "line 1, column 4: it ends too early"


def test_null_is_no_value() -> None:
    assert evaluate({"power": "on ? u : null"}, {"u": 2.0, "on": False}) == ({}, {})


def test_what_the_device_sends_itself_is_not_computed() -> None:
    assert evaluate({"power": "u * i"}, {"u": 2.0, "i": 3.0, "power": 5.0}) == ({}, {})


@pytest.mark.parametrize(
    ("own", "previous", "expected"),
    [
        ({"n": 50.0}, {"n": (90 * S, 20.0)}, ({"d": 30.0, "r": 3.0}, {})),
        ({"n": 5.0}, {"n": (90 * S, 20.0)}, ({"d": 5.0, "r": 0.5}, {})),  # it began anew
        ({"n": 50.0}, {}, ({}, {})),
        ({"n": 50.0}, {"n": (100 * S, 20.0)}, ({}, {})),  # not before this moment
        ({"n": 50.0}, {"n": (101 * S, 20.0)}, ({}, {})),
        ({"n": 50.0}, {"n": (90 * S, "?")}, ({}, {})),
        ({"u": 1.0}, {"n": (90 * S, 20.0)}, ({}, {})),  # the counter says nothing at this moment
    ],
)
def test_a_counter_changes_from_its_point_before(
    own: dict[str, Value], previous: dict[str, tuple[int, Value]], expected: tuple[dict[str, Value], dict[str, str]]
) -> None:
    assert evaluate({"d": "delta(n)", "r": "rate(n)"}, own, {"n": 20.0}, previous) == expected
    if "u" in own:
        assert evaluate({"x": "rate(n) * u"}, own, {"n": 20.0}, previous) == ({}, {})


@pytest.mark.parametrize("value", ["text", True])
def test_a_counter_that_is_no_number_fails(value: Value) -> None:
    values, errors = evaluate({"d": "delta(n)"}, {"n": value}, {}, {"n": (1, 20.0)})
    assert (values, errors) == ({}, {"d": "'n' is no number, so that it has no rate or delta"})


@given(
    st.lists(
        st.tuples(
            st.integers(0, 50).map(lambda tenths: tenths * S // 10),
            st.integers(0, 1000).map(lambda thousandths: thousandths / 8),
        ),
        max_size=30,
    )
)
def test_rate_and_delta_are_those_of_the_distinct_points(sent: list[tuple[int, float]]) -> None:
    """Whatever comes late, comes twice or falls: each moment's change is that from the stored point before it."""
    compiled = Computed({"delta": "delta(n)", "rate": "rate(n)"})
    stored: dict[int, float] = {}
    for ts, value in sent:
        before = max((at for at in stored if at < ts), default=None)
        previous = {} if before is None else {"n": (before, stored[before])}
        stored[ts] = value
        once = compiled.evaluate({"n": value}, {}, previous, ts)
        assert compiled.evaluate({"n": value}, {"n": value}, previous, ts) == once
        if before is None:
            assert once == ({}, {})
            continue
        risen = value - stored[before]
        delta = risen if risen >= 0 else value
        seconds = (ts - before) / 1e9
        assert once == ({"delta": delta, "rate": pytest.approx(delta / seconds)}, {})


def test_deltas_of_a_counter_that_begins_anew_sum_to_all_that_it_counted() -> None:
    compiled = Computed({"used": "delta(n)"})
    total, before = 0.0, (0, 0.0)
    for second, value in enumerate([3.0, 7.0, 7.0, 2.0, 4.0, 0.0, 1.0], start=1):
        values, _ = compiled.evaluate({"n": value}, {}, {"n": before}, second * S)
        assert isinstance(values["used"], float)
        total += values["used"]
        before = second * S, value
    assert total == 7 + 4 + 1


def test_devices_of_one_profile_compile_its_expressions_once() -> None:
    assert computed({"power": "u * i"}) is computed({"power": "u * i"})
    assert computed({"power": "u * i"}) is not computed({"power": "i * u"})
    assert computed({}) is NOTHING
