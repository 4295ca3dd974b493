import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.devices import Calibration, DeviceRecord, Metric
from contracts.readings import Reading, Value
from ingest.outcomes import Problems
from ingest.profile import Profiles
from ingest.times import NO_FLAGS

TS = 1_767_225_600_250_000_000


def record(metrics: dict[str, Metric], **more: Any) -> DeviceRecord:  # noqa: ANN401 - other fields
    return DeviceRecord(1, "orchard-07", enabled=True, profile="p", metrics=metrics, **more)


def check(
    metrics: dict[str, Metric],
    values: dict[str, Value],
    units: dict[str, str] | None = None,
    spelled: dict[str, str] | None = None,
    **more: Any,  # noqa: ANN401 - other fields of the record
) -> tuple[dict[str, Value], list[tuple[Reason, str]]]:
    """What is left of `values`, and what is wrong."""
    problems = Problems()
    reading = Reading("orchard-07", TS, TS + 1, dict(values), {"clock": "45"})
    found = Profiles().check(record(metrics, **more), reading, units, spelled, problems)
    assert reading.values == values, "what came is left as it was"
    if found is not None:
        assert found.values, "a reading is never empty"
        assert (found.device, found.ts, found.received, found.flags) == ("orchard-07", TS, TS + 1, {"clock": "45"})
    wrong = problems._found  # noqa: SLF001 - each of them with its reason
    return found.values if found else {}, wrong


@pytest.mark.parametrize(
    ("kind", "sent", "stored"),
    [
        ("number", 21.5, 21.5),
        *[("boolean", word, True) for word in (True, 1.0, "ON", "true", "Yes", "open", "ONLINE", "1")],
        *[("boolean", word, False) for word in (False, 0.0, "off", "FALSE", "no", "closed", "offline", "0")],
        ("text", "ON", "ON"),
        ("text", "idle", "idle"),
    ],
)
def test_a_value_of_the_right_type_is_taken(kind: Any, sent: Value, stored: Value) -> None:  # noqa: ANN401 - a type
    assert check({"m": Metric(kind)}, {"m": sent}) == ({"m": stored}, [])


@pytest.mark.parametrize(
    ("kind", "sent", "says"),
    [
        ("number", True, "'m' is true; the profile wants a number"),
        ("number", "warm", "'m' is the text 'warm'; the profile wants a number"),
        ("number", "ON", "'m' is the text 'ON'; the profile wants a number"),
        ("boolean", 2.0, "'m' is 2; the profile wants true or false, or a word for it"),
        ("boolean", "ajar", "'m' is the text 'ajar'; the profile wants true or false, or a word for it"),
        ("boolean", "on" * 1_000, f"'m' is the text '{'on' * 32}…'; the profile wants true or false, or a word for it"),
        ("text", 21.5, "'m' is 21.5; the profile wants text"),
        ("text", False, "'m' is false; the profile wants text"),
    ],
)
def test_a_value_of_the_wrong_type_loses_itself_alone(kind: Any, sent: Value, says: str) -> None:  # noqa: ANN401 - a type
    stored, wrong = check({"m": Metric(kind)}, {"before": 1.0, "m": sent, "after": "x"})
    assert stored == {"before": 1.0, "after": "x"}
    assert wrong == [(Reason.WRONG_TYPE, says)]


def test_text_that_decoding_took_for_a_number_is_text_again() -> None:
    assert check({"code": Metric("text")}, {"code": 7.0}, spelled={"code": "007"}) == ({"code": "007"}, [])
    assert check({"code": Metric("text")}, {"code": True}, spelled={"code": "true"}) == ({"code": "true"}, [])


def test_a_reading_with_nothing_left_is_none() -> None:
    assert check({"m": Metric("number")}, {"m": "warm"})[0] == {}


def test_a_message_s_unit_is_turned_into_the_profile_s() -> None:
    metrics = {"t": Metric(unit="degC"), "p": Metric(unit="hPa"), "e": Metric(unit="kWh"), "x": Metric()}
    units = {"t": "°F", "p": "Pa", "e": "W-min", "x": "furlong", "stranger": "V"}
    stored, wrong = check(metrics, {"t": 212.0, "p": 99870.0, "e": 90_000.0, "x": 1.0, "stranger": 2.0}, units)
    assert stored == {"t": 100.0, "p": 998.7, "e": 1.5, "x": 1.0, "stranger": 2.0}
    assert wrong == []


def test_without_a_unit_the_profile_s_is_meant() -> None:
    assert check({"t": Metric(unit="degC")}, {"t": 21.5}, {}) == ({"t": 21.5}, [])
    assert check({"t": Metric(unit="degC")}, {"t": 21.5}, {"t": ""}) == ({"t": 21.5}, [])


def test_a_unit_that_measures_something_else_loses_its_value_alone() -> None:
    stored, wrong = check({"t": Metric(unit="degC")}, {"t": 21.5, "h": 40.0}, {"t": "V", "h": "%"})
    assert stored == {"h": 40.0}
    assert wrong == [(Reason.BAD_UNIT, "'t' is in 'V', which cannot be turned into degC")]


def test_of_the_calibrations_the_last_that_has_begun_holds() -> None:
    entries = [Calibration(since=TS, offset=-0.5), Calibration(offset=9.0), Calibration(since=TS + 1, offset=7.0)]
    assert check({"t": Metric(calibration=entries)}, {"t": 20.0})[0] == {"t": 19.5}
    assert check({"t": Metric(calibration=entries[2:])}, {"t": 20.0})[0] == {"t": 20.0}, "none has begun"


def test_a_calibration_is_polynomial_then_scale_then_offset_after_the_unit() -> None:
    entry = Calibration(polynomial=[1.0, 2.0, 0.5], scale=10.0, offset=3.0)
    metrics = {"t": Metric(unit="degC", calibration=[entry])}
    assert check(metrics, {"t": 39.2}, {"t": "degF"})[0]["t"] == pytest.approx((1 + 2 * 4 + 0.5 * 16) * 10 + 3)


def test_a_result_that_is_no_number_is_refused() -> None:
    entry = Calibration(polynomial=[0.0, 0.0, 1e300])
    stored, wrong = check({"t": Metric(calibration=[entry])}, {"t": 1e200, "n": 1.0})
    assert stored == {"n": 1.0}
    assert wrong[0][0] is Reason.BAD_VALUE
    assert "'t' is 1e+200, of which" in wrong[0][1]


@pytest.mark.parametrize(
    ("low", "high", "value", "says"),
    [
        (-40.0, 85.0, 85.5, "'t' is 85.5 degC; -40 to 85 is allowed"),
        (-40.0, None, -40.5, "'t' is -40.5 degC; -40 or more is allowed"),
        (None, 85.0, 1e6, "'t' is 1000000 degC; 85 or less is allowed"),
    ],
)
def test_a_value_out_of_range_loses_itself_alone(
    low: float | None, high: float | None, value: float, says: str
) -> None:
    metrics = {"t": Metric(unit="degC", min=low, max=high)}
    assert check(metrics, {"t": value, "n": 1.0}) == ({"n": 1.0}, [(Reason.OUT_OF_RANGE, says)])
    for edge in (low, high):
        if edge is not None:
            assert check(metrics, {"t": edge}) == ({"t": edge}, [])


def test_the_range_is_that_of_the_calibrated_value() -> None:
    metrics = {"t": Metric(unit="degC", max=100.0, calibration=[Calibration(offset=1.0)])}
    assert check(metrics, {"t": 210.0}, {"t": "F"})[0]["t"] == pytest.approx(99.889, abs=0.001)
    wrong = check(metrics, {"t": 212.0}, {"t": "F"})[1]
    assert wrong == [(Reason.OUT_OF_RANGE, "'t' is 101 degC (sent as 212 'F'); 100 or less is allowed")]


def test_the_device_s_own_number_is_kept_beside_a_corrected_one() -> None:
    metrics = {"t": Metric(unit="degC", calibration=[Calibration(offset=1.0)]), "p": Metric(unit="hPa"), "h": Metric()}
    sent: dict[str, Value] = {"t": 20.0, "p": 99870.0, "h": 40.0}
    stored, _ = check(metrics, sent, {"p": "Pa"}, keep_raw=True)
    assert stored == {"t": 21.0, "t.raw": 20.0, "p": 998.7, "p.raw": 99870.0, "h": 40.0}
    assert check(metrics, sent, {"p": "mbar"}, keep_raw=True)[0] == {"t": 21.0, "t.raw": 20.0, "p": 99870.0, "h": 40.0}
    assert check(metrics, {"p": 5.0}, keep_raw=True)[0] == {"p": 5.0}
    assert "t.raw" not in check(metrics, sent)[0]


def test_a_metric_of_the_device_by_the_raw_name_wins_and_is_counted() -> None:
    profiles = Profiles()
    metrics = {"t": Metric(calibration=[Calibration(offset=1.0)])}
    reading = Reading("orchard-07", TS, TS, {"t.raw": 7.0, "t": 20.0}, NO_FLAGS)
    found = profiles.check(record(metrics, keep_raw=True), reading, None, None, Problems())
    assert found is not None
    assert found.values == {"t.raw": 7.0, "t": 21.0}
    assert found.flags is NO_FLAGS
    assert profiles.raw_displaced == 1


def test_a_refused_value_leaves_no_raw_one() -> None:
    metrics = {"t": Metric(max=10.0, calibration=[Calibration(offset=1.0)])}
    assert check(metrics, {"t": 20.0, "n": 1.0}, keep_raw=True)[0] == {"n": 1.0}


def test_a_changed_record_holds_at_once_and_held_rules_are_bounded() -> None:
    profiles, problems = Profiles(most=10), Problems()
    reading = Reading("orchard-07", TS, TS, {"t": 20.0}, NO_FLAGS)
    for limit, kept in ((25.0, True), (15.0, False), (25.0, True)):
        found = profiles.check(record({"t": Metric(max=limit)}), reading, None, None, problems)
        assert (found is reading) is kept
    for number in range(50):
        other = DeviceRecord(1, f"d{number}", enabled=True, profile="", metrics={"t": Metric()})
        profiles.check(other, reading, None, None, problems)
    assert len(profiles) == 10


NAMES = st.sampled_from(["a", "b", "c", "a.raw", "d"])
VALUES = st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.text(max_size=8)
READINGS = st.dictionaries(NAMES, VALUES, min_size=1)
CALIBRATIONS = st.builds(
    Calibration,
    since=st.integers(TS - 2, TS + 2),
    scale=st.floats(-1e3, 1e3),
    offset=st.floats(-1e3, 1e3),
    polynomial=st.lists(st.floats(-1e3, 1e3), max_size=4),
)
UNITS = st.sampled_from(["", "degC", "degF", "V", "furlong"])
METRICS = st.dictionaries(
    NAMES,
    st.builds(
        Metric,
        type=st.sampled_from(["number", "boolean", "text"]),
        unit=UNITS,
        min=st.none() | st.floats(-1e3, 1e3),
        max=st.none() | st.floats(-1e3, 1e3),
        calibration=st.lists(CALIBRATIONS, max_size=3),
    ),
)


@given(READINGS, st.none() | st.dictionaries(NAMES, UNITS), st.none() | st.dictionaries(NAMES, st.text()))
def test_a_profile_that_asks_for_nothing_changes_nothing(
    values: dict[str, Value], units: dict[str, str] | None, spelled: dict[str, str] | None
) -> None:
    kinds: dict[type, Any] = {float: "number", bool: "boolean", str: "text"}
    metrics = {name: Metric(kinds[type(value)]) for name, value in values.items()}
    metrics |= {"unseen": Metric("number", min=5.0)}
    assert check(metrics, values, units, spelled, keep_raw=True) == (values, [])


@given(READINGS, METRICS, st.none() | st.dictionaries(NAMES, UNITS), st.booleans())
def test_each_value_is_stored_or_explained_and_never_disturbs_its_neighbours(
    values: dict[str, Value],
    metrics: dict[str, Metric],
    units: dict[str, str] | None,
    keep_raw: Any,  # noqa: ANN401 - a boolean
) -> None:
    stored, wrong = check(metrics, values, units, keep_raw=keep_raw)
    assert len(wrong) + len(values) == len(stored.keys() & values.keys()) + 2 * len(wrong)
    for name, value in values.items():
        alone, alone_wrong = check(metrics, {name: value}, units)
        assert stored.get(name) == alone.get(name)
        assert (name not in stored) == bool(alone_wrong)
        if name in stored and name not in metrics:
            assert stored[name] == value
    assert all(isinstance(value, bool | str) or math.isfinite(value) for value in stored.values())
    assert set(stored) <= set(values) | {f"{name}.raw" for name in values if keep_raw}


@given(st.floats(-1e6, 1e6), st.fractions(Fraction(1, 10), 10), st.fractions(-100, 100))
def test_a_calibrated_number_is_the_exact_one_but_for_rounding(value: float, scale: Fraction, offset: Fraction) -> None:
    entry = Calibration(scale=float(scale), offset=float(offset))
    found = check({"t": Metric(calibration=[entry])}, {"t": value})[0]["t"]
    scaled = Fraction(value) * Fraction(entry.scale)
    exact = scaled + Fraction(entry.offset)
    assert isinstance(found, float)
    assert abs(Fraction(found) - exact) <= Fraction(math.ulp(float(scaled))) + Fraction(math.ulp(float(exact)))
