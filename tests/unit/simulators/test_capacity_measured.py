"""What a step has to show for its rate to hold, and how late points were by their counts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.capacity.lagging import latencies
from simulators.capacity.measured import Measured, growth
from simulators.capacity.search import Found
from simulators.capacity.showing import Result, as_json, line, table
from simulators.scenario.report import Usage

GOOD = Measured(
    rate=1000,
    bound=2.0,
    seconds=10,
    published=10_000,
    expected=30_000,
    stored=30_000,
    latencies={"p50": 0.1, "p99": 0.4, "max": 0.5},
    followed=200,
    given_up=0,
    backlog=[(second / 2, 300.0 * (second % 3)) for second in range(20)],
    late_s=0.01,
    drained_s=0.2,
    usage=[
        Usage("processor", 0.2, 0.02, 200 << 20),
        Usage("subscriber", 0.1, 0.01, 1 << 20),
        Usage("subscriber/7", 0.3, 0.03, 1 << 20),
    ],
    store_bytes=3_000_000,
)


def test_a_step_with_nothing_wrong_holds() -> None:
    assert GOOD.troubles == []
    assert GOOD.messages_a_second == 1000
    assert GOOD.cost(GOOD.usage[0]) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (replace(GOOD, stored=29_999), "1 of 30,000 points lost"),
        (replace(GOOD, latencies={"p50": 0.1, "p99": 2.01}), "p99 2.01 s, above 2 s"),
        (replace(GOOD, latencies={}), "no latency could be measured"),
        (replace(GOOD, given_up=3), "3 messages could not be queried in time"),
        (replace(GOOD, backlog=[(t / 2, 100.0 * t) for t in range(20)]), "the backlog grows by 200 points/s"),
        (replace(GOOD, late_s=0.9), "the generator was 0.9 s late"),
        (replace(GOOD, more_troubles=["5 messages were not acknowledged"]), "5 messages were not acknowledged"),
    ],
)
def test_each_thing_that_is_wrong_is_said(wrong: Measured, said: str) -> None:
    assert wrong.troubles == [said]
    assert f"does not hold: {said}" in line(wrong)


def test_a_backlog_that_goes_up_and_down_does_not_grow() -> None:
    """As that of a store that commits every three seconds."""
    assert growth([(float(t), 1000.0 * (t % 3)) for t in range(60)]) == 0


def test_a_backlog_that_fills_up_at_the_beginning_does_not_grow() -> None:
    assert growth([(float(t), min(t, 15) * 1000.0 + t % 2) for t in range(60)]) == 0


@given(st.floats(10, 1e6))
def test_a_backlog_that_grows_while_it_goes_up_and_down_is_found(slope: float) -> None:
    rows = [(t / 2, slope * (t / 2 + t % 2)) for t in range(60)]
    assert growth(rows) == pytest.approx(slope, rel=0.05)


def test_latencies_come_from_when_points_were_due_and_when_their_number_was_there() -> None:
    stored = [(0.5, 0.0), (1.0, 500.0), (1.5, 500.0), (2.0, 1000.0)]
    [least, most] = latencies([(0.0, 0.0), (1.0, 1000.0)], stored, [0, 100])
    assert least == pytest.approx(0.5, abs=0.01)
    assert most == pytest.approx(1.5, abs=0.01)


def test_points_that_never_come_are_as_late_as_the_last_look() -> None:
    stored = [(1.0, 100.0), (30.0, 100.0)]
    [median] = latencies([(0.0, 0.0), (1.0, 1000.0)], stored, [50])
    assert median == pytest.approx(29.5, abs=0.2)


def test_nothing_due_has_no_latency() -> None:
    assert latencies([(0.0, 0.0), (1.0, 0.0)], [(1.0, 0.0)], [50]) == []


def test_results_stand_side_by_side_and_what_a_process_has_started_counts_for_it() -> None:
    other = replace(GOOD, stored=10, expected=11, usage=[Usage("broker", 0.01, 0.001, 5 << 20)], store_bytes=None)
    results = [
        Result("Sensorium", Found(GOOD, 1000.0, capped=True), [GOOD]),
        Result("subscriber", Found(None, 0.0, capped=False), [other]),
    ]
    shown = {text[:30].strip(): text[30:].split() for text in table(results).splitlines()}
    assert shown["holds, messages/s"] == ["1,000+", "0"]
    assert shown["all together"] == ["60.0", "1.0"]
    assert shown["points lost"] == ["0", "1"]
    assert shown["store on disk, bytes a point"] == ["100"]
    assert '"holds": 1000.0' in as_json(results, {"devices": 5})
