"""What a ledger says of a run: how much was sent and acknowledged each second, and how long that took."""

import numpy as np
import pytest

from simulators.models.model import Int64s
from simulators.scenario.measuring import OverTime, measure
from simulators.truth.entries import Run
from simulators.truth.reading import Acked, Entered, Entry, Sent

BEGAN = 1_800_000_000_000_000_000
SECOND, MS = 1_000_000_000, 1_000_000


def at(*seconds: float) -> Int64s:
    return np.array([BEGAN + round(one * SECOND) for one in seconds], dtype=np.int64)


def numbers(*some: int) -> Int64s:
    return np.array(some, dtype=np.int64)


def entered(first: int, due: Int64s, faults: list[str] | None = None) -> Entered:
    count = len(due)
    return Entered(
        first=first,
        devices=numbers(*range(count)),
        intended=due,
        sums=np.zeros(count, np.uint32),
        lengths=numbers(*[10] * count),
        expects=np.zeros(count, np.uint8),
        faults=faults or [],
        payloads={},
        points=[],
    )


def run_of(entries: list[Entry]) -> list[Entry]:
    return [Run(1, BEGAN, []), *entries]


def test_a_run_is_counted_by_the_second_and_its_acknowledgements_from_when_messages_were_due() -> None:
    entries = run_of(
        [
            entered(0, at(0.0, 0.5, 1.0, 1.5), ["", "spike", "", ""]),
            entered(5, at(2.0, 2.5)),
            Sent(numbers(0, 1, 2), at(0.01, 0.51, 1.01)),
            Acked(numbers(0, 1), at(0.05, 0.6)),
            entered(4, at(1.2)),  # said in between, such as a birth
            Acked(numbers(4, 2, 5), at(3.2, 3.2, 3.2)),
        ]
    )
    measured = measure(entries, BEGAN)
    throughput = measured.throughput()
    assert throughput.due == [2, 3, 2, 0]
    assert throughput.sent == [2, 1, 0, 0]
    assert throughput.acked == [2, 0, 0, 3]
    latency = measured.puback.latency()
    assert latency.count == 5
    assert latency.percentiles["max"] == pytest.approx(2.2)
    assert latency.percentiles["p50"] == pytest.approx(1.2, rel=1e-3)
    assert [row[0] for row in latency.over_time] == [0.5, 1.5, 2.5]
    assert latency.over_time[1][3] == pytest.approx(2.2)
    assert measured.faults == {"spike": 1}


def test_what_is_acknowledged_twice_counts_once() -> None:
    measured = measure(run_of([entered(0, at(0.0)), Acked(numbers(0), at(0.1)), Acked(numbers(0, 7), at(9, 9))]), BEGAN)
    assert measured.puback.latency().count == 1


def test_only_the_last_run_of_a_ledger_counts() -> None:
    first = run_of([entered(0, at(0.0, 0.1)), Acked(numbers(0, 1), at(0.2, 0.2))])
    second = run_of([entered(0, at(0.0)), Acked(numbers(0), at(0.2))])
    assert measure(first + second, BEGAN).puback.latency().count == 1


def test_a_long_run_has_no_more_stretches_than_a_short_one() -> None:
    over_time = OverTime(BEGAN)
    for hour in range(24):
        moments = at(*range(hour * 3600, (hour + 1) * 3600, 60))
        over_time.add(moments, np.full(len(moments), 5 * MS, dtype=np.int64))
    rows = over_time.rows()
    assert 300 <= len(rows) <= 600
    assert {round(row[1], 4) for row in rows} == {0.005}
    assert rows[-1][0] == pytest.approx(86_400, rel=0.01)
