"""The law of rollups: whatever comes, each window equals the aggregate of the distinct points in it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from contracts.readings import Reading, Value
from contracts.timeseries import DAY, HOUR, MINUTE, Days
from processor.engine import Engine
from processor.sqlite import SqliteStore
from processor.store import Store, StoreUnavailableError
from tests.stores import reading_back
from tests.stores.closed_windows import ClosedWindowsStore, with_open_windows
from tests.stores.memory_store import Kept, MemoryStore
from tests.stores.oracle import Name, Rollups, differences, rollups_of

BEGIN = 1_774_742_400_000_000_000
"""2026-03-29 00:00 UTC: the night in which Berlin's clocks go forward."""

values = st.one_of(
    st.floats(-1e9, 1e9),
    st.sampled_from([0.0, 0.1, 0.2, 0.3, 1e16, -1e16, 1e-300]),
    st.booleans(),
    st.text(max_size=3),
)
times = st.builds(
    lambda day, hour, minute, offset: BEGIN + day * DAY + hour * HOUR + minute * MINUTE + offset,
    st.integers(0, 1),
    st.sampled_from([0, 1, 18, 22, 23]),
    st.sampled_from([0, 1, 15, 59]),
    st.sampled_from([0, 1, 2, 3, MINUTE - 1]),
)
readings = st.builds(
    Reading,
    device=st.sampled_from(["a", "b", "c"]),
    ts=times,
    received=st.just(1),
    values=st.dictionaries(st.sampled_from(["m", "n"]), values, min_size=1),
    flags=st.just({}),
    profile=st.sampled_from(["default", "pump"]),
)
groups = st.lists(readings, min_size=1, max_size=12)


class Law(RuleBasedStateMachine):
    """Any readings, in any order, again and again, through restarts, failures and past other writers."""

    zone = "UTC"

    def __init__(self) -> None:
        super().__init__()
        self.prepare()
        self.days = Days(self.zone)
        self.engine = self.new_engine()
        self.points: dict[tuple[Name, int], Value] = {}
        self.log: list[list[Reading]] = []

    def prepare(self) -> None:
        raise NotImplementedError

    def new_store(self) -> Store:
        raise NotImplementedError

    def read_back(self) -> tuple[dict[tuple[Name, int], Value], Rollups]:
        raise NotImplementedError

    def new_engine(self, most_series: int = 1000) -> Engine:
        return Engine(self.new_store(), most_series, lambda _: self.days)

    def write(self, engine: Engine, group: list[Reading]) -> None:
        written = engine.write([(0, group)], {0: 1})
        assert written.points == sum(len(reading.values) for reading in group)
        for reading in group:
            for metric, value in reading.values.items():
                self.points[(reading.profile, reading.device, metric, value.__class__), reading.ts] = value

    @rule(group=groups)
    def readings_come(self, group: list[Reading]) -> None:
        self.write(self.engine, group)
        self.log.append(group)

    @rule(group=groups)
    def readings_come_in_order(self, group: list[Reading]) -> None:
        group = sorted(group, key=lambda reading: reading.ts)
        self.write(self.engine, group)
        self.log.append(group)

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def the_stream_delivers_again(self, data: st.DataObject) -> None:
        floor = data.draw(st.integers(0, len(self.log) - 1))
        for group in self.log[floor:]:
            self.write(self.engine, group)

    @rule(most_series=st.sampled_from([2, 4, 1000]))
    def the_service_restarts(self, most_series: int) -> None:
        self.engine.close()
        self.engine = self.new_engine(most_series)

    @rule(group=groups)
    def somebody_else_writes(self, group: list[Reading]) -> None:
        other = self.new_engine()
        self.write(other, group)
        other.close()

    @invariant()
    def the_law_holds(self) -> None:
        points, rollups = self.read_back()
        assert points == self.points
        assert not differences(rollups, rollups_of(self.points, self.days))

    def teardown(self) -> None:
        self.engine.close()


class SqliteLaw(Law):
    def prepare(self) -> None:
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name) / "store.sqlite3"
        self.tokens = 0

    def new_store(self) -> Store:
        self.tokens += 1
        return SqliteStore(self.path, self.tokens)

    def read_back(self) -> tuple[dict[tuple[Name, int], Value], Rollups]:
        return reading_back.of_sqlite(self.path) if self.path.exists() else ({}, {})

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


class MemoryLaw(Law):
    """Without transactions: what failed half-way is written again, before anything else, as the stream does it."""

    def prepare(self) -> None:
        self.kept = Kept()

    def new_store(self) -> Store:
        return MemoryStore(self.kept)

    def read_back(self) -> tuple[dict[tuple[Name, int], Value], Rollups]:
        return reading_back.of_memory(self.kept)

    @rule(group=groups, after=st.integers(0, 20), restart=st.booleans())
    def the_store_fails_half_way(self, group: list[Reading], after: int, *, restart: bool) -> None:
        self.kept.fail_after = after
        try:
            self.engine.write([(0, group)], {0: 1})
        except StoreUnavailableError:
            pass
        finally:
            self.kept.fail_after = -1
        if restart:
            self.engine = self.new_engine()
        self.write(self.engine, group)
        self.log.append(group)


class ClosedWindowsLaw(MemoryLaw):
    """Without open windows: readers compute those from the points."""

    def new_store(self) -> Store:
        return ClosedWindowsStore(self.kept)

    def read_back(self) -> tuple[dict[tuple[Name, int], Value], Rollups]:
        points, stored = reading_back.of_memory(self.kept)
        return points, with_open_windows(points, stored, self.days)


@pytest.mark.parametrize("zone", ["", "Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize("law", [SqliteLaw, MemoryLaw, ClosedWindowsLaw])
def test_the_law_holds(law: type[Law], zone: str) -> None:
    machine: type[Law] = type(law.__name__, (law,), {"zone": zone})
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=15, deadline=None))
