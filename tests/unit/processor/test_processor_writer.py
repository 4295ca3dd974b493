"""A write is done, or known to be impossible, when it returns."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from random import Random

import pytest

from contracts import logs
from contracts.readings import Reading
from contracts.timeseries import Days
from processor.engine import Batch, Engine, Written
from processor.metrics import Metrics
from processor.sqlite import SqliteStore
from processor.store import NewerSchemaError, StoreUnavailableError
from processor.writer import StoppedError, Writer

EPOCHS = {0: 1}


class FaultyEngine(Engine):
    """A real engine over a real store that first fails as it is told."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(path, 1)
        super().__init__(self.store, 1000, lambda _: Days())
        self.faults: list[Exception] = []
        self.poison = ""
        self.writes: list[int] = []

    def write(self, batches: Sequence[Batch], epochs: Mapping[int, int]) -> Written:
        if self.faults:
            raise self.faults.pop(0)
        if any(reading.device == self.poison for _, readings in batches for reading in readings):
            raise ZeroDivisionError
        self.writes.append(sum(len(readings) for _, readings in batches))
        return super().write(batches, epochs)


@pytest.fixture
def engine(tmp_path: Path) -> FaultyEngine:
    return FaultyEngine(tmp_path / "store.sqlite3")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def writer(engine: FaultyEngine, metrics: Metrics) -> AsyncIterator[Writer]:
    writer = Writer(engine, engine.store, metrics, Random(1), logs.quiet())
    yield writer
    await writer.close()


def batch(device: str, count: int = 2) -> Batch:
    return 0, [Reading(device, number, number + 3_000_000_000, {"m": 1.0, "n": 2.0}) for number in range(count)]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"processor_{name}", labels)


async def test_batches_share_a_transaction(writer: Writer, engine: FaultyEngine, metrics: Metrics) -> None:
    assert (await writer.write([batch("a"), batch("b")], EPOCHS)).problems == [None, None]
    assert engine.writes == [4]
    assert value(metrics, "points_written_total") == 8
    assert value(metrics, "points_by_lateness_total", below="10s") == 8
    assert value(metrics, "commit_seconds_count") == 1


async def test_an_empty_write_touches_nothing(writer: Writer, engine: FaultyEngine) -> None:
    assert (await writer.write([(0, []), (0, [])], EPOCHS)).problems == [None, None]
    assert engine.writes == []


async def test_the_batch_at_fault_is_found_and_its_neighbours_are_stored(writer: Writer, engine: FaultyEngine) -> None:
    engine.poison = "b"
    outcome = await writer.write([batch("a"), batch("b"), batch("c", 1)], EPOCHS)
    first, second, third = outcome.problems
    assert len(outcome.written) == 2
    assert (first, third) == (None, None)
    assert second is not None
    assert "ZeroDivisionError" in second
    assert engine.writes == [2, 1]


async def test_a_write_is_held_while_the_store_is_unavailable(
    writer: Writer, engine: FaultyEngine, metrics: Metrics
) -> None:
    engine.faults = [StoreUnavailableError("locked")] * 2
    await writer.open()
    assert writer.missing is None
    assert (await writer.write([batch("a")], EPOCHS)).problems == [None]
    assert engine.writes == [2]
    assert value(metrics, "store_holds_total") == 2
    assert value(metrics, "store_held") == 0
    assert writer.missing is None


async def test_what_is_missing_is_named_while_it_is(writer: Writer, engine: FaultyEngine, metrics: Metrics) -> None:
    engine.faults = [NewerSchemaError("x has schema version 9")] * 50
    writing = asyncio.create_task(writer.write([batch("a")], EPOCHS))
    async with asyncio.timeout(30):
        while not value(metrics, "store_held"):
            await asyncio.sleep(0.001)
    assert writer.missing == "time-series store (x has schema version 9)"
    writer.stop()
    with pytest.raises(StoppedError):
        await writing


async def test_nothing_is_begun_after_the_stop(writer: Writer, engine: FaultyEngine) -> None:
    writer.stop()
    with pytest.raises(StoppedError):
        await writer.write([batch("a")], EPOCHS)
    await writer.open()
    await writer.close()
    await writer.close()
    assert engine.writes == []
