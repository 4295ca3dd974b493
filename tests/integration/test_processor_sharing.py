"""Three processors, each a process of its own, share the partitions of one stream and write to one store."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from contracts import logs, streams
from contracts.consumers import consumers_of
from contracts.jetstream import Link, Publisher, ensure_stream
from contracts.lease import Entry, LeaseBucket, entry_of
from contracts.readings import READING_BATCH, Reading, ReadingBatch, Value
from tests.conftest import TOKEN, Server, free_port
from tests.stores import real_stores
from tests.stores.oracle import Name
from tests.stores.real_stores import RealStore
from tests.stores.victoria_server import url_of, victoria_server

ROOT = Path(__file__).parents[2]
PARTITIONS = 6
PROFILE = "shared"
LEASE_S = 1.0
START = 1_767_225_600_000_000_000
DEVICES = [f"pump-{number}" for number in range(24)]


class Plant:
    """Processors that are killed and started, and what is around them."""

    def __init__(self, link: Link, server: Server, store: RealStore, profile: str) -> None:
        self.link, self.store, self._server, self._profile = link, store, server, profile
        self._publisher = Publisher(link)
        self._leases = LeaseBucket(link, "processor_leases")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.sent: dict[tuple[Name, int], Value] = {}

    def start(self) -> None:
        """Start one more."""
        about = {
            "PROCESSOR_NATS_URL": self._server.nats_url,
            "PROCESSOR_NATS_TOKEN": TOKEN,
            **self.store.environment(),
            "PROCESSOR_PORT": str(free_port()),
            "PROCESSOR_LEASE_SECONDS": str(LEASE_S),
            "PROCESSOR_REST_SECONDS": "0.02",
            "PROCESSOR_COMMIT_POINTS": "200",
            "PROCESSOR_LOG_LEVEL": "error",
        }
        self.processes.append(subprocess.Popen([sys.executable, "-m", "processor"], cwd=ROOT, env=os.environ | about))

    def kill(self, which: int) -> None:
        """End one with SIGKILL."""
        process = self.processes.pop(which)
        process.kill()
        process.wait()

    async def entries(self) -> list[Entry]:
        """Return what stands under each partition's lease."""
        found = [await self._leases.read(f"partition.{partition}") for partition in range(PARTITIONS)]
        return [entry_of(entry[0]) if entry else Entry() for entry in found]

    async def shared_by(self, processes: int) -> bool:
        """Whether so many own all partitions evenly, and each of these is read by its owner's consumer."""
        entries = await self.entries()
        owners = Counter(entry.owner for entry in entries)
        wanted = {streams.partition_consumer("processor", number, entry.epoch) for number, entry in enumerate(entries)}
        infos = await consumers_of(self.link.js, streams.TELEMETRY)
        names = {info.name for info in infos if not info.name.startswith("alerting")}
        even = len(owners) == processes and max(owners.values()) - min(owners.values()) <= 1
        return even and "" not in owners and names == wanted

    async def publish(self, number: int) -> None:
        """Publish one reading of each device, in batches as ingest divides them."""
        batches: dict[int, list[Reading]] = {}
        for index, device in enumerate(DEVICES):
            ts, value = START + number * 1_000_000_000, float(number * 100 + index)
            self.sent[(self._profile, device, "flow", float), ts] = value
            reading = Reading(device, ts, ts + 1_000_000, {"flow": value}, {}, self._profile)
            batches.setdefault(streams.partition_of(device, PARTITIONS), []).append(reading)
        for partition, readings in batches.items():
            body = READING_BATCH.encode(ReadingBatch(1, START, readings))
            await self._publisher.publish(streams.telemetry_subject(partition), body)

    async def settled(self) -> bool:
        infos = await consumers_of(self.link.js, streams.TELEMETRY)
        infos = [info for info in infos if not info.name.startswith("alerting")]
        return len(infos) == PARTITIONS and not any(info.num_pending or info.num_ack_pending for info in infos)


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 30) -> float:
    """Wait for it, and return how many seconds that took."""
    began = time.monotonic()
    while not await condition():
        if time.monotonic() - began > seconds:
            pytest.fail(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.02)
    return time.monotonic() - began


@asynccontextmanager
async def running(server: Server, store: RealStore, profile: str) -> AsyncIterator[Plant]:
    """Three processors."""
    link = await Link(server.nats_url, TOKEN, "test", logs.quiet()).connect()
    await ensure_stream(link.js, streams.TELEMETRY, PARTITIONS)
    plant = Plant(link, server, store, profile)
    for _ in range(3):
        plant.start()
    try:
        yield plant
    finally:
        while plant.processes:
            plant.kill(0)
        await link.close()


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealStore]:
    """Give the embedded store, or the one that a test names."""
    match getattr(request, "param", "sqlite"):
        case "influxdb":
            yield real_stores.influxdb(request.getfixturevalue("influx").url, PROFILE)
        case "victoria":
            with victoria_server() as server:
                yield real_stores.victoria(url_of(server))
        case _:
            yield real_stores.sqlite(tmp_path / "store.sqlite3")


@pytest.fixture
async def plant(stream: Server, store: RealStore) -> AsyncIterator[Plant]:
    async with running(stream, store, PROFILE) as plant:
        yield plant


async def test_three_share_the_partitions_and_take_over_those_of_one_that_is_killed(plant: Plant) -> None:
    await until(lambda: plant.shared_by(3), "each has two")
    await plant.publish(0)
    before = {entry.owner for entry in await plant.entries()}
    plant.kill(1)
    await plant.publish(1)
    taken = await until(lambda: plant.shared_by(2), "the others have three each")
    left = {entry.owner for entry in await plant.entries()}
    sys.stdout.write(f"taken over {taken:.2f} s after the kill, with a lease of {LEASE_S} s\n")
    assert left < before
    await until(plant.settled, "all is stored")
    assert not plant.store.differences(plant.sent)
    plant.start()
    await until(lambda: plant.shared_by(3), "one that comes gets its share")
    plant.processes[0].terminate()
    await until(lambda: plant.shared_by(2), "one that stops gives its share up")
    assert plant.processes.pop(0).wait(30) == 0


@pytest.mark.parametrize(
    "store", ["sqlite", "influxdb", pytest.param("victoria", marks=pytest.mark.soak)], indirect=True
)
@pytest.mark.parametrize("seed", [20, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (21, 22))])
async def test_whichever_is_killed_or_stopped_and_woken_every_point_is_stored_once_and_every_rollup_is_right(
    plant: Plant, seed: int
) -> None:
    rng = Random(seed)
    await until(lambda: plant.shared_by(3), "each has two")
    for number in range(240):
        await plant.publish(number)
        if number % 40 == 20:
            plant.kill(rng.randrange(3))
            plant.start()
        if number % 80 == 0:  # it wakes after others have taken over, with messages of before in its hands
            stopped = plant.processes[rng.randrange(3)]
            stopped.send_signal(signal.SIGSTOP)
        if number % 80 == 79:
            stopped.send_signal(signal.SIGCONT)
        await asyncio.sleep(rng.random() * 0.03)
    await until(lambda: plant.shared_by(3), "those that are left share evenly")
    await until(plant.settled, "all is stored")
    assert not plant.store.differences(plant.sent)
