"""The law of rollups on a VictoriaMetrics server."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from contracts.deletions import Deletion
from contracts.readings import Reading, Value
from contracts.victoria_layout import TICK
from processor.engine import Engine
from processor.store import Store
from tests.conftest import Server
from tests.stores.law import Law
from tests.stores.oracle import Name, Points, Rollups, rollups_of
from tests.stores.reading_back_victoria import of_victoria, point_differences, rollup_differences
from tests.stores.victoria_server import store_at, url_of, victoria_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with victoria_server() as server:
        yield server


class VictoriaLaw(Law):
    """Points within one ms are one, the largest value counts, and numbers have twelve digits."""

    url = ""
    examples = 0

    def prepare(self) -> None:
        type(self).examples += 1
        self.prefix = f"{type(self).examples}-{self.zone}-"

    def new_store(self) -> Store:
        return store_at(self.url)

    def new_engine(self, most_series: int = 1000) -> Engine:
        return Engine(self.new_store(), most_series, lambda _: self.days, TICK)

    def adapted(self, reading: Reading) -> Reading:
        """Give each example devices of its own, moderate numbers, and also points that are some ms apart."""
        off = reading.ts % 1000
        ts = reading.ts + off * (TICK - 1) if off < 4 and reading.device != "a" else reading.ts
        values = {metric: _moderate(value) for metric, value in reading.values.items()}
        return msgspec.structs.replace(reading, device=self.prefix + reading.device, ts=ts, values=values)

    def delete(self, engine: Engine, deletion: Deletion, *, again: bool = False) -> None:
        """Be told that it cannot be done, and find everything as it was."""
        assert not again
        assert engine.delete(0, deletion, {0: self.epoch}).refused == "VictoriaMetrics cannot delete a range of time"

    def keep(self, name: Name, ts: int, value: Value) -> None:
        key = name, ts // TICK * TICK
        self.points[key] = max(value, self.points.get(key, value))

    def differences(self, points: Points, rollups: Rollups) -> list[str]:
        return point_differences(points, self.points) + rollup_differences(rollups, rollups_of(self.points, self.days))

    def read_back(self) -> tuple[dict[tuple[Name, int], Value], Rollups]:
        return of_victoria(self.url, self.days, f"{self.prefix}.*")


def _moderate(value: Value) -> Value:
    if not isinstance(value, float) or value == 0.0:
        return value
    return min(1e9, max(0.001, abs(value))) * (1 if value > 0 else -1)


@pytest.mark.parametrize("zone", ["", "Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize("examples", [6, pytest.param(30, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_the_law_holds_on_victoria_metrics(server: Server, zone: str, examples: int) -> None:
    machine = type("Machine", (VictoriaLaw,), {"zone": zone, "url": url_of(server)})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=8, deadline=None, database=None)
    )
