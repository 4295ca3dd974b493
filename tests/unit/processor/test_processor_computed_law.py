"""The law of computed metrics: whatever comes, each is a function of the distinct points before it."""

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from contracts.deletions import Deletion
from contracts.devices import DeviceRecord
from contracts.readings import Reading, Value
from contracts.timeseries import DAY, KINDS
from processor.engine import Engine
from tests.stores.law import Law
from tests.stores.oracle import Name, Points, differences, rollups_of
from tests.unit.processor.test_processor_law import ClosedWindowsLaw, MemoryLaw, SqliteLaw

COMPUTED = {"p": "m * n", "r": "rate(m)", "d": "delta(n)"}
DEPENDENT = {"m": "pr", "n": "pd"}
RECORDS = {
    "a": DeviceRecord(1, "a", enabled=True, profile="default", computed=COMPUTED),
    "b": DeviceRecord(1, "b", enabled=True, profile="pump", computed={"p": "m * n"}),
    "c": DeviceRecord(1, "c", enabled=True, profile="default"),
}


def computed_of(points: Points) -> dict[tuple[Name, int], Value]:
    """Compute everything by brute force."""
    found: dict[tuple[Name, int], Value] = {}
    for device, record in RECORDS.items():
        if record.computed:
            m, n = (distinct(points, record.profile, device, metric) for metric in ("m", "n"))
            for ts in m.keys() | n.keys():
                for name, value in (("p", product(ts, m, n)), ("r", change(ts, m)), ("d", change(ts, n))):
                    if value is not None and name in record.computed:
                        seconds = (ts - max(at for at in m if at < ts)) / 1_000_000_000 if name == "r" else 1.0
                        found[(record.profile, device, name, float), ts] = value / seconds
    return found


def distinct(points: Points, profile: str, device: str, metric: str) -> dict[int, Value]:
    """Of several kinds at one time, a number goes before a boolean, and that before a text."""
    return {
        ts: value
        for kind in reversed(KINDS.values())
        for (name, ts), value in points.items()
        if name == (profile, device, metric, kind)
    }


def product(ts: int, m: dict[int, Value], n: dict[int, Value]) -> float | None:
    left, right = (number(series, max((at for at in series if at <= ts), default=-1), ts) for series in (m, n))
    return None if left is None or right is None else left * right


def change(ts: int, series: dict[int, Value]) -> float | None:
    now, last = number(series, ts, ts), number(series, max((at for at in series if at < ts), default=-1), ts)
    if now is None or last is None:
        return None
    return now - last if now >= last else now


def number(series: dict[int, Value], at: int, ts: int) -> float | None:
    """Give the value of `at`, if it is a number and at most a day older than `ts`."""
    value = series.get(at)
    return value if isinstance(value, float) and at >= ts - DAY else None


class ComputedLaw(Law):
    """What is computed is stored too, with its windows.

    A value that the points give no longer, because a newer point of an input is text, stays; unless it lies in a range
    of which an input is deleted.
    """

    def new_engine(self, most_series: int = 1000) -> Engine:
        return Engine(self.new_store(), most_series, lambda _: self.days, record_of=RECORDS.get)

    def prepare(self) -> None:
        super().prepare()
        self.once: set[tuple[Name, int]] = set()

    def write(self, engine: Engine, group: list[Reading]) -> None:
        super().write(engine, group)
        self.once |= computed_of(self.points).keys()

    def delete(self, engine: Engine, deletion: Deletion, *, again: bool = False) -> None:  # noqa: ARG002 - as Law has it
        """What depended on what is gone is gone too, and computed anew where there is more; Law does not count it."""
        super().delete(engine, deletion, again=True)
        gone = {name for metric in deletion.metrics for name in DEPENDENT[metric]} or COMPUTED.keys()
        self.once = {
            (name, ts)
            for name, ts in self.once
            if name[1] != deletion.device or name[2] not in gone or not deletion.start <= ts < deletion.end
        }
        self.once |= computed_of(self.points).keys()

    @invariant()
    def the_law_holds(self) -> None:
        points, rollups = self.read_back()
        for key, value in (self.points | computed_of(self.points)).items():
            assert points.pop(key) == value
        assert points.keys() <= self.once
        stored, _ = self.read_back()
        assert not differences(rollups, rollups_of(stored, self.days))


class SqliteComputing(ComputedLaw, SqliteLaw):
    pass


class MemoryComputing(ComputedLaw, MemoryLaw):
    pass


class ClosedWindowsComputing(ComputedLaw, ClosedWindowsLaw):
    pass


@pytest.mark.parametrize("law", [SqliteComputing, MemoryComputing, ClosedWindowsComputing])
@pytest.mark.parametrize("examples", [25, pytest.param(300, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_the_law_holds(law: type[Law], examples: int) -> None:
    run_state_machine_as_test(law, settings=settings(max_examples=examples, stateful_step_count=15, deadline=None))
