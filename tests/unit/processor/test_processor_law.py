"""The law of rollups: whatever comes, each window equals the aggregate of the distinct points in it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from msgspec.structs import replace

from contracts.deletions import Deletion
from contracts.readings import Reading, Value
from processor.sqlite import SqliteStore
from processor.store import Store, StoreUnavailableError
from tests.stores import reading_back
from tests.stores.closed_windows import ClosedWindowsStore, with_open_windows
from tests.stores.law import Law, bounds, groups, some_metrics
from tests.stores.memory_store import REFUSED, Kept, MemoryStore
from tests.stores.oracle import Name, Rollups


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

    @rule(group=groups, refused=st.sets(st.integers(0, 11), min_size=1), in_order=st.booleans())
    def some_are_refused(self, group: list[Reading], refused: set[int], *, in_order: bool) -> None:
        if in_order:
            group = sorted(group, key=lambda reading: reading.ts)
        flags = [{REFUSED: ""} if number in refused else {} for number in range(len(group))]
        group = [replace(reading, flags=flag) for reading, flag in zip(group, flags, strict=True)]
        self.write(self.engine, group)
        self.log.append(group)

    @rule(group=groups, after=st.integers(0, 20), restart=st.booleans())
    def the_store_fails_half_way(self, group: list[Reading], after: int, *, restart: bool) -> None:
        self.kept.fail_after = after
        try:
            self.engine.write([(0, group)], {0: self.epoch})
        except StoreUnavailableError:
            pass
        finally:
            self.kept.fail_after = -1
        if restart:
            self.engine = self.new_engine()
        self.write(self.engine, group)
        self.log.append(group)

    @rule(
        device=st.sampled_from(["a", "b"]),
        metrics=some_metrics,
        span=st.tuples(bounds, bounds),
        after=st.integers(0, 30),
        restart=st.booleans(),
    )
    def a_deletion_fails_half_way(
        self, device: str, metrics: list[str], span: tuple[int, int], after: int, *, restart: bool
    ) -> None:
        deletion = Deletion(1, "1", device, metrics, min(span), max(span) + 1, 1)
        self.kept.fail_after = after
        try:
            self.engine.delete(0, deletion, {0: self.epoch})
        except StoreUnavailableError:
            pass
        finally:
            self.kept.fail_after = -1
        if restart:
            self.engine = self.new_engine()
        self.delete(self.engine, deletion, again=True)
        self.log.append(deletion)


class ClosedWindowsLaw(MemoryLaw):
    """Without open windows: readers compute those from the points."""

    def new_store(self) -> Store:
        return ClosedWindowsStore(self.kept)

    def read_back(self) -> tuple[dict[tuple[Name, int], Value], Rollups]:
        points, stored = reading_back.of_memory(self.kept)
        return points, with_open_windows(points, stored, self.days)


@pytest.mark.parametrize("zone", ["", "Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize("law", [SqliteLaw, MemoryLaw, ClosedWindowsLaw])
@pytest.mark.parametrize("examples", [25, pytest.param(300, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_the_law_holds(law: type[Law], zone: str, examples: int) -> None:
    machine: type[Law] = type(law.__name__, (law,), {"zone": zone})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=15, deadline=None))
