"""Processor and a store server that is slow, refuses, does what it never answers, and comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random

import pytest

from contracts import streams
from contracts.consumers import consumers_of
from contracts.readings import READING_BATCH, Reading, ReadingBatch, Value
from processor.app import App
from processor.influx import InfluxStore
from tests.conftest import Server
from tests.integration.test_processor_stream import NOW, Pipeline, until
from tests.stores import real_stores
from tests.stores.faulty_proxy import Fault, FaultyProxy
from tests.stores.influx_server import InfluxServer
from tests.stores.oracle import Name
from tests.stores.real_stores import RealStore
from tests.stores.victoria_server import url_of, victoria_server

SECOND = 1_000_000_000
TIMEOUT_S = 0.6
SEEDS = [0, *(pytest.param(seed, marks=[pytest.mark.soak, pytest.mark.timeout(300)]) for seed in range(1, 10))]
STORE = "time-series store"


class Plant:
    """A store behind a proxy, and what was sent to processor."""

    def __init__(self, pipeline: Pipeline, store: RealStore, proxy: FaultyProxy, profile: str) -> None:
        self.pipeline, self.store, self.proxy, self._profile = pipeline, store, proxy, profile
        self._sent: list[list[Reading]] = []

    async def publish(self, rng: Random) -> None:
        """Publish readings, some late; sometimes what was published before comes again."""
        base = NOW // SECOND + len(self._sent) * 20
        times = sorted(rng.sample(range(base, base + 20), 8)) + [base - rng.randrange(200) for _ in range(2)]
        readings = [
            Reading(
                f"pump-{device}",
                at * SECOND,
                base * SECOND,
                {"flow": at % 977 / 7, "on": at % 3 == 0},
                {},
                self._profile,
            )
            for device in range(4)
            for at in times
        ]
        if self._sent and rng.random() < 0.3:
            readings += rng.choice(self._sent)
        self._sent.append(readings)
        await self.pipeline.publish(READING_BATCH.encode(ReadingBatch(1, base * SECOND, readings)))

    async def acknowledged(self) -> int:
        """Return how many batches are acknowledged."""
        infos = await consumers_of(self.pipeline.link.js, streams.TELEMETRY)
        floors = [info.ack_floor.stream_seq for info in infos if info.ack_floor and info.name.startswith("processor-0")]
        return max(floors, default=0)

    async def nothing_is_acknowledged_that_is_not_stored(self) -> int:
        acknowledged = await self.acknowledged()
        points, _ = await asyncio.to_thread(self.store.read_back)
        assert points.keys() >= points_of(self._sent[:acknowledged]).keys()
        return acknowledged

    async def check(self) -> None:
        assert await self.acknowledged() == len(self._sent)
        assert not await asyncio.to_thread(self.store.differences, points_of(self._sent))


def points_of(sent: list[list[Reading]]) -> dict[tuple[Name, int], Value]:
    return {
        ((one.profile, one.device, metric, value.__class__), one.ts): value
        for readings in sent
        for one in readings
        for metric, value in one.values.items()
    }


@pytest.fixture(params=["influxdb", "victoria"])
async def plant(
    request: pytest.FixtureRequest, stream: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Plant]:
    monkeypatch.setattr("processor.app.InfluxStore", partial(InfluxStore, timeout=TIMEOUT_S))
    monkeypatch.setattr("processor.app._STORE_TIMEOUT_S", TIMEOUT_S)
    profile = request.node.name
    async with AsyncExitStack() as stack:
        if request.param == "influxdb":
            layer: InfluxServer = request.getfixturevalue("influx")
            proxy = await stack.enter_async_context(FaultyProxy(int(layer.url.rpartition(":")[2])).running())
            store = real_stores.influxdb(layer.url, profile, at=f"http://127.0.0.1:{proxy.port}")
        else:
            server = stack.enter_context(victoria_server())
            proxy = await stack.enter_async_context(FaultyProxy(server.port).running())
            store = real_stores.victoria(url_of(server), at=f"http://127.0.0.1:{proxy.port}")
        pipeline = Pipeline(stream, tmp_path / "unused")
        await pipeline.connect()
        await pipeline.ensure()
        yield Plant(pipeline, store, proxy, profile)
        await pipeline.link.close()


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_acknowledged_that_is_not_stored_and_all_is_stored_once(plant: Plant, seed: int) -> None:
    rng = Random(seed)
    faults = [Fault.SLOW, Fault.REFUSED, Fault.LOST, Fault.LOST]
    rng.shuffle(faults)
    about = {"store": plant.store.setting, "store_token": plant.store.token, "commit_points": 100, "rest_seconds": 0.01}
    async with plant.pipeline.running(**about) as app:
        await until(lambda: app.waiting_for() == [], "it is ready")
        for fault in faults:
            await plant.publish(rng)
            plant.proxy.fault = fault
            for _ in range(3):
                await plant.publish(rng)
            async with asyncio.timeout(30):
                await plant.proxy.seen.wait()
            if fault is not Fault.SLOW:
                await holds(app, plant)
            plant.proxy.fault = Fault.NONE
            if rng.random() < 0.5:
                await plant.pipeline.settled()
            await plant.nothing_is_acknowledged_that_is_not_stored()
        await plant.pipeline.settled()
        await until(lambda: app.waiting_for() == [], "it is ready again")
        await plant.check()
    assert (await plant.pipeline.link.js.stream_info("DEADLETTERS")).state.messages == 0


async def holds(app: App, plant: Plant) -> None:
    """Check that it says so, and acknowledges nothing, however often it tries."""
    await until(lambda: app.waiting_for() == [STORE], "it says that it holds")
    before = await plant.nothing_is_acknowledged_that_is_not_stored()
    tries = app.registry.get_sample_value("processor_store_holds_total") or 0
    await until(lambda: (app.registry.get_sample_value("processor_store_holds_total") or 0) > tries, "it tries again")
    assert await plant.acknowledged() == before
    assert app.registry.get_sample_value("processor_store_held") == 1
