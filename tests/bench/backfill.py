"""What a backfill does to those who are live: publish → queryable of 200 devices, without it and meanwhile.

Each of the devices speaks once a second, in a batch of its own, as ingest publishes what comes alone. A reading is
queryable when somebody else who reads the store sees it; this looks every few milliseconds. The backfill is three
months of readings of one more device, one a minute, published onto its partition as fast as the stream takes them.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from contracts.jetstream import Link, Publisher
from contracts.readings import Reading
from contracts.streams import partition_of, telemetry_subject
from deploy.local.view import percentile
from tests.bench.stores import Look
from tests.bench.telemetry import BATCH_READINGS, OLD_S, SECOND, Batch, encoded, old, values

DEVICES, METRICS = 200, 5
BACKFILLED = "backfilled"
IN_FLIGHT = 16
LOOK_S = 0.004
WARM_S, SETTLED_S = 5.0, 600.0
"""Of live readings, those of the first seconds do not count."""


@dataclass
class Latencies:
    """Seconds from publishing to queryable, of devices in the backfill's partition, and of those in the others."""

    beside: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    def told(self) -> dict[str, float]:
        """Give percentiles in ms."""
        found = {"others": self.others, "beside": self.beside, "all": self.others + self.beside}
        return {
            f"{name}_p{part}_ms": round(1000 * (percentile(latencies, part / 100) or 0.0), 1)
            for name, latencies in found.items()
            for part in (50, 99)
        }


@dataclass
class Told:
    """Latencies in ms, and how many points were backfilled, in how many seconds they were published, and how fast."""

    without: dict[str, float]
    meanwhile: dict[str, float]
    points: int
    published_s: float
    points_per_s: int


class Live:
    """The devices that are live. `latencies` are those of what was seen since it was last set."""

    def __init__(self, publisher: Publisher, look: Look, partitions: int) -> None:
        self._publisher, self._look = publisher, look
        self._devices = [f"device-{number}" for number in range(DEVICES)]
        self._partitions = {device: partition_of(device, partitions) for device in self._devices}
        self._beside = partition_of(BACKFILLED, partitions)
        self._waiting: dict[str, deque[tuple[int, float]]] = {device: deque() for device in self._devices}
        self.latencies = Latencies()

    async def speak(self) -> None:
        """Publish for ever, evenly over each second."""
        began, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while True:
                device = self._devices[number % DEVICES]
                group.create_task(self._say(device, number // DEVICES))
                number += 1
                await asyncio.sleep(max(0.0, began + number / DEVICES - time.monotonic()))

    async def watch(self) -> None:
        """Look for ever what can be queried."""
        while True:
            for device, newest in self._look.newest().items():
                waiting = self._waiting.get(device, ())
                while waiting and waiting[0][0] <= newest:
                    _, began = waiting.popleft()
                    beside = self._partitions[device] == self._beside
                    into = self.latencies.beside if beside else self.latencies.others
                    into.append(time.monotonic() - began)
            await asyncio.sleep(LOOK_S)

    async def _say(self, device: str, turn: int) -> None:
        ts = time.time_ns()  # noqa: TID251 - live readings are of now
        batch = encoded(self._partitions[device], [Reading(device, ts, ts, values(METRICS, turn, 0))])
        self._waiting[device].append((ts, time.monotonic()))
        await self._publisher.publish(telemetry_subject(batch.partition), batch.body)


@contextlib.asynccontextmanager
async def running(*works: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do them until the end of the block."""
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def disturbed(
    link: Link, look: Look, partitions: int, seconds: float, days: int, left: Callable[[], Awaitable[int]]
) -> Told:
    """Measure latencies for `seconds` without a backfill, and then with one of `days` days until all is stored."""
    publisher = Publisher(link, timeout=60)
    await publisher.start()
    live = Live(publisher, look, partitions)
    made = _batches(partition_of(BACKFILLED, partitions), days)
    points = sum(batch.points for batch in made)
    async with running(live.speak, live.watch):
        await asyncio.sleep(WARM_S)
        live.latencies = quiet = Latencies()
        await asyncio.sleep(seconds)
        live.latencies = meanwhile = Latencies()
        began = time.monotonic()
        for first in range(0, len(made), IN_FLIGHT):
            group = made[first : first + IN_FLIGHT]
            await asyncio.gather(*(publisher.publish(telemetry_subject(one.partition), one.body) for one in group))
        published = time.monotonic() - began
        async with asyncio.timeout(SETTLED_S):
            while await left() > DEVICES // 10:
                await asyncio.sleep(0.05)
        took = time.monotonic() - began
    return Told(quiet.told(), meanwhile.told(), points, round(published, 2), round(points / took))


def _batches(partition: int, days: int) -> list[Batch]:
    now = time.time_ns()  # noqa: TID251 - the backfill ends before now
    readings = list(old(BACKFILLED, METRICS, min(days, OLD_S // 86_400) * 1440, now - now % (60 * SECOND)))
    return [
        encoded(partition, readings[first : first + BATCH_READINGS])
        for first in range(0, len(readings), BATCH_READINGS)
    ]
