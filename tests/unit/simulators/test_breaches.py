"""Which published readings show an event, from the entries of a ledger."""

from collections.abc import Sequence

import numpy as np
import pytest

from contracts.readings import Value
from simulators.models.library import model
from simulators.models.model import Event
from simulators.plan.batch import ARRIVAL, Expect
from simulators.truth.alerts import Breach
from simulators.truth.breaches import Breaches, Condition
from simulators.truth.columns import pack_values, unpack_values
from simulators.truth.entries import Run
from simulators.truth.reading import Acked, Entered, Points, Sent

SECOND = 1_000_000_000
NOW = 1_795_000_000 * SECOND
HOT = Condition("gt", 30)
EVENT = Event("overheat", 7, "temperature", NOW, NOW + 10 * SECOND, 40.0)


def entered(
    rows: Sequence[tuple[int, float, Value | None]],
    first: int = 0,
    *,
    metric: str = "temperature",
    expect: Expect = Expect.STORED,
    arrival: bool = False,
) -> Entered:
    """Enter a message for each device, second and value."""
    count = len(rows)
    intended = np.array([NOW + round(second * SECOND) for _, second, _ in rows])
    devices = np.array([device for device, *_ in rows])
    ts = np.full(count, ARRIVAL) if arrival else intended
    columns = {metric: unpack_values(pack_values([value for *_, value in rows]))}
    points = Points(np.arange(count), devices, ts, columns)
    sums, expects = np.zeros(count, dtype=np.uint32), np.full(count, expect, dtype=np.uint8)
    return Entered(first, devices, intended, sums, np.zeros(count, dtype=np.int64), expects, [], {}, [points])


def sent(numbers: Sequence[int], second: float) -> Sent:
    return Sent(np.array(numbers), np.full(len(numbers), NOW + round(second * SECOND)))


def acked(numbers: Sequence[int], second: float = 99) -> Acked:
    return Acked(np.array(numbers), np.full(len(numbers), NOW + round(second * SECOND)))


def looked(*entries: Entered | Sent | Acked | Run, condition: Condition | None = HOT) -> Breach | None:
    breaches = Breaches([EVENT], {7: "temperature", 8: "temperature"}, condition)
    for entry in entries:
        breaches.enter(entry)
    return breaches(EVENT)


def at(second: float) -> int:
    return NOW + round(second * SECOND)


def test_the_first_and_the_last_bad_reading_of_an_event_and_when_it_was_published() -> None:
    rows = [(7, -1, 35.0), (7, 1, 29.0), (7, 2, 31.0), (8, 3, 31.0), (7, 4, 33.0), (7, 8, 20.0), (7, 11, 40.0)]
    found = looked(entered(rows), sent(range(7), 2.25), acked(range(7)))
    assert found == Breach(at(2), at(4), at(2.25))


def test_only_what_was_acknowledged_and_is_to_be_stored_shows_anything() -> None:
    assert looked(entered([(7, 2, 31.0)]), sent([0], 2.1)) is None
    assert looked(entered([(7, 2, 31.0)], expect=Expect.REJECTED), sent([0], 2.1), acked([0])) is None
    both = looked(entered([(7, 2, 31.0), (7, 3, 32.0)], 5), sent([5, 6], 3.1), acked([6]))
    assert both == Breach(at(3), at(3), at(3.1))


def test_a_later_batch_may_hold_the_earlier_reading() -> None:
    found = looked(
        entered([(7, 5, 31.0)]), sent([0], 5.1), acked([0]), entered([(7, 2, 31.0)], 1), sent([1], 9.5), acked([1])
    )
    assert found == Breach(at(2), at(5), at(9.5))


def test_a_reading_that_is_stored_when_it_arrives_counts_from_its_sending() -> None:
    found = looked(entered([(7, 2, 31.0)], arrival=True), sent([0], 2.5), acked([0]))
    assert found == Breach(at(2.5), at(2.5), at(2.5))


def test_numbers_begin_anew_with_each_run() -> None:
    assert looked(entered([(7, 2, 31.0)]), Run(1, NOW, []), sent([0], 3), acked([0])) is None


def test_without_a_condition_every_reading_of_the_event_shows_it() -> None:
    found = looked(entered([(7, 1, 3.0), (7, 9, 4.0)]), sent([0, 1], 9.1), acked([0, 1]), condition=None)
    assert found == Breach(at(1), at(9), at(9.1))


def test_other_metrics_and_values_that_are_no_numbers_show_nothing() -> None:
    rows: list[tuple[int, float, Value | None]] = [(7, 1, "hot"), (7, 2, None), (7, 3, True)]
    assert looked(entered(rows), sent(range(3), 3), acked(range(3))) is None
    assert looked(entered([(7, 2, 31.0)], metric="humidity"), sent([0], 2), acked([0])) is None
    found = looked(entered(rows), sent(range(3), 3), acked(range(3)), condition=Condition("ge", 1))
    assert found == Breach(at(3), at(3), at(3))


def test_a_rules_condition_is_read_from_what_the_api_takes() -> None:
    levels = [{"severity": "warning", "value": 8}, {"severity": "critical", "value": 10}]
    assert Condition.of({"metric": "pressure", "levels": levels, "for": "30s"}) == Condition("gt", 8, 30 * SECOND)
    assert Condition.of({"operator": "lt", "value": 3}) == Condition("lt", 3)
    with pytest.raises(ValueError, match="of rules of the kind 'rate'"):
        Condition.of({"kind": "rate", "value": 3})


def test_every_overpressure_of_a_pump_that_is_asked_each_second_is_shown() -> None:
    pump, seconds = model("pump"), np.arange(120)
    events = pump.events(1, np.array([7]), NOW, NOW + 120 * SECOND)
    values = pump.values(1, np.full(120, 7), NOW + seconds * SECOND)["pressure"]
    breaches = Breaches(events, {7: "pressure"}, Condition("gt", 9))
    rows = [(7, float(second), value) for second, value in zip(seconds, values, strict=True)]
    breaches.enter(entered(rows, metric="pressure"))
    for number in range(120):
        breaches.enter(sent([number], number + 0.2))
        breaches.enter(acked([number]))
    assert len(events) in {2, 3}
    for event in events:
        found = breaches(event)
        assert found is not None
        assert event.start < found.first <= event.start + 2 * SECOND
        assert found.published == found.first + SECOND // 5
        assert event.end - 2 * SECOND <= found.last < event.end
