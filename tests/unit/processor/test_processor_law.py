"""The law of rollups, on the real store: each equals the aggregate of the distinct points in its window."""

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts.readings import Reading, Value
from contracts.timeseries import ROLLUP_WIDTH, from_sql
from processor.timeseries import TimeSeries

Point = tuple[str, str, int]
Rollup = tuple[int, float, float, float, float, float]

values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 0.1, 0.2, 0.3, 1e16, -1e16, 1e308]),
    st.booleans(),
    st.text(max_size=3),
)
times = st.builds(
    lambda window, offset: window * ROLLUP_WIDTH + offset,
    st.integers(0, 3),
    st.sampled_from([0, 1, 2, 3, 29, 31, ROLLUP_WIDTH - 1]),
)
readings = st.builds(
    Reading,
    device=st.sampled_from(["a", "b", "c"]),
    ts=times,
    received=st.just(1),
    values=st.dictionaries(st.sampled_from(["m", "n"]), values, min_size=1),
)
groups = st.lists(readings, min_size=1, max_size=12)


def rollups_of(points: dict[Point, Value]) -> dict[Point, Rollup]:
    """By brute force, from the distinct points."""
    windows: dict[Point, list[float]] = {}
    for device, metric, ts in sorted(points):
        value = points[device, metric, ts]
        if isinstance(value, float):
            windows.setdefault((device, metric, ts // ROLLUP_WIDTH * ROLLUP_WIDTH), []).append(value)
    rollups = {}
    for key, numbers in windows.items():
        total = 0.0
        for number in numbers:  # not sum(): from Python 3.12 on it adds in another way
            total += number
        rollups[key] = (len(numbers), total, min(numbers), max(numbers), numbers[0], numbers[-1])
    return rollups


def stored(path: Path) -> tuple[dict[Point, Value], dict[Point, Rollup]]:
    """Points and rollups as another process reads them."""
    with closing(sqlite3.connect(path)) as db:
        points = {
            (device, metric, ts): from_sql(value)
            for device, metric, ts, value in db.execute(
                "SELECT device, metric, ts, value FROM point JOIN series ON series.id = series"
            )
        }
        rows = db.execute(
            "SELECT device, metric, start, count, sum, min, max, first, last"
            " FROM rollup_1m JOIN series ON series.id = series"
        ).fetchall()
    rollups = {(row[0], row[1], row[2]): row[3:] for row in rows}
    assert len(rollups) == len(rows), "a window has one row"
    return points, rollups


class Law(RuleBasedStateMachine):
    """Any readings, in any order, again and again, through restarts and past other writers."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name) / "store.sqlite3"
        self.most_series = 1000
        self.store = TimeSeries(self.path, self.most_series)
        self.points: dict[Point, Value] = {}
        self.log: list[list[Reading]] = []

    def write(self, store: TimeSeries, group: list[Reading]) -> None:
        written = store.write(group)
        assert written.points == sum(len(reading.values) for reading in group)
        for reading in group:
            for metric, value in reading.values.items():
                self.points[reading.device, metric, reading.ts] = value

    @rule(group=groups)
    def readings_come(self, group: list[Reading]) -> None:
        self.write(self.store, group)
        self.log.append(group)

    @rule(group=groups)
    def readings_come_in_order(self, group: list[Reading]) -> None:
        group = sorted(group, key=lambda reading: reading.ts)
        self.write(self.store, group)
        self.log.append(group)

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def the_stream_delivers_again(self, data: st.DataObject) -> None:
        floor = data.draw(st.integers(0, len(self.log) - 1))
        for group in self.log[floor:]:
            self.write(self.store, group)

    @rule(most_series=st.sampled_from([2, 4, 1000]))
    def the_service_restarts(self, most_series: int) -> None:
        self.store.close()
        self.store = TimeSeries(self.path, most_series)

    @rule(group=groups)
    def somebody_else_writes(self, group: list[Reading]) -> None:
        other = TimeSeries(self.path, 1000)
        self.write(other, group)
        other.close()

    @invariant()
    def the_law_holds(self) -> None:
        if self.path.exists():
            points, rollups = stored(self.path)
            assert points == self.points
            assert rollups == rollups_of(self.points)

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()


TestLaw = Law.TestCase
TestLaw.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
