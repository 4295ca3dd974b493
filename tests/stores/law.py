"""The law of rollups as a machine that any store can be put into: whatever comes, each window equals its points."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts.deletions import LATEST, Deletion
from contracts.readings import Reading, Value
from contracts.timeseries import DAY, HOUR, MINUTE, Days
from processor.engine import Engine
from processor.store import Store
from tests.stores.oracle import Name, Points, Rollups, differences, rollups_of

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
some_metrics = st.sampled_from([[], ["m"], ["n"], ["m", "n"]])
bounds = times | st.sampled_from([0, BEGIN, BEGIN + HOUR, BEGIN + DAY, BEGIN + 9 * DAY, LATEST - 1])


class Law(RuleBasedStateMachine):
    """Any readings, in any order, again and again, through restarts, failures and past other writers."""

    zone = "UTC"

    def __init__(self) -> None:
        super().__init__()
        self.prepare()
        self.days = Days(self.zone)
        self.engine = self.new_engine()
        self.points: dict[tuple[Name, int], Value] = {}
        self.log: list[list[Reading] | Deletion] = []
        self.owner: Engine | None = None
        self.epoch = 0

    def prepare(self) -> None:
        raise NotImplementedError

    def new_store(self) -> Store:
        raise NotImplementedError

    def adapted(self, reading: Reading) -> Reading:
        """Make of a reading what the store can be held to."""
        return reading

    def keep(self, name: Name, ts: int, value: Value) -> None:
        """Do with a point what the store does."""
        self.points[name, ts] = value

    def differences(self, points: Points, rollups: Rollups) -> list[str]:
        wrong = [] if points == self.points else [f"points: {points}, not {self.points}"]
        return wrong + differences(rollups, rollups_of(self.points, self.days))

    def read_back(self) -> tuple[dict[tuple[Name, int], Value], Rollups]:
        raise NotImplementedError

    def new_engine(self, most_series: int = 1000) -> Engine:
        return Engine(self.new_store(), most_series, lambda _: self.days)

    def write(self, engine: Engine, group: list[Reading]) -> None:
        if engine is not self.owner:
            self.owner, self.epoch = engine, self.epoch + 1
        group = [self.adapted(reading) for reading in group]
        written = engine.write([(0, group)], {0: self.epoch})
        assert written.points == sum(len(reading.values) for reading in group)
        refused = [reading for _, reading, _ in written.refused]
        for reading in group:
            for metric, value in reading.values.items() if reading not in refused else ():
                self.keep((reading.profile, reading.device, metric, value.__class__), reading.ts, value)

    @rule(group=groups)
    def readings_come(self, group: list[Reading]) -> None:
        self.write(self.engine, group)
        self.log.append(group)

    @rule(group=groups)
    def readings_come_in_order(self, group: list[Reading]) -> None:
        group = sorted(group, key=lambda reading: reading.ts)
        self.write(self.engine, group)
        self.log.append(group)

    def adapted_deletion(self, deletion: Deletion) -> Deletion:
        """Make of a deletion what the store can do."""
        return deletion

    def delete(self, engine: Engine, deletion: Deletion, *, again: bool = False) -> None:
        """Delete a range; `again` if it has been tried, and may have been done by halves."""
        if engine is not self.owner:
            self.owner, self.epoch = engine, self.epoch + 1
        deletion = self.adapted_deletion(deletion)
        deleted = engine.delete(0, deletion, {0: self.epoch})
        assert deleted.refused is None
        assert again or not deleted.kept
        gone = [
            (name, ts)
            for name, ts in self.points
            if name[1] == deletion.device
            and (not deletion.metrics or name[2] in deletion.metrics)
            and deletion.start <= ts < deletion.end
        ]
        assert again or deleted.points == len(gone)
        for key in gone:
            del self.points[key]

    @rule(device=st.sampled_from(["a", "b"]), metrics=some_metrics, bounds=st.tuples(bounds, bounds))
    def a_range_is_deleted(self, device: str, metrics: list[str], bounds: tuple[int, int]) -> None:
        deletion = Deletion(1, "1", device, metrics, min(bounds), max(bounds) + 1, 1)
        self.delete(self.engine, deletion)
        self.log.append(deletion)

    @precondition(lambda self: self.log)
    @rule(data=st.data())
    def the_stream_delivers_again(self, data: st.DataObject) -> None:
        floor = data.draw(st.integers(0, len(self.log) - 1))
        for message in self.log[floor:]:
            if isinstance(message, Deletion):
                self.delete(self.engine, message)
            else:
                self.write(self.engine, message)

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
        assert not self.differences(*self.read_back())

    def teardown(self) -> None:
        self.engine.close()
