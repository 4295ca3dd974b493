"""alerting as a process of its own on a stream server as the stack configures it, and questions to it."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from alerting import database
from alerting.rule_repository import RuleRepository
from alerting.rules.spec import parse_spec
from contracts import logs
from contracts.consumers import consumers_of, delete_consumers
from contracts.devices import DeviceRecord, ProfileRecord, encode_record, kv_key, profile_key
from contracts.jetstream import Link, Publisher, ensure_bucket, ensure_stream
from contracts.streams import ALERTING, DEVICES_BUCKET, PROCESSOR, TELEMETRY, partition_and_epoch, telemetry_subject
from deploy.local import ports, servers
from tests.bench.processor import HOST, IN_FLIGHT, PARTITIONS, TOKEN, all_but_one_core, cpu_s, pin
from tests.bench.telemetry import Batch

KEY = "a-key-for-the-benchmark"
POLL_S = 0.02
WAITS_S = 600.0
STOPS_S = 60.0


@dataclass
class Alerting:
    """alerting while it runs."""

    process: psutil.Process
    client: httpx.AsyncClient
    log: Path

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, poll: float = POLL_S) -> None:
        """Wait. Raises TimeoutError, or ChildProcessError where alerting has ended."""
        deadline = time.monotonic() + WAITS_S
        while not await condition():
            if self.process.status() == psutil.STATUS_ZOMBIE:
                raise ChildProcessError(f"alerting has ended: {self.log.read_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {WAITS_S} s: {what}")
            await asyncio.sleep(poll)

    async def ready(self) -> bool:
        """Whether it says that it is ready."""
        try:
            return (await self.client.get("/readyz")).is_success
        except httpx.HTTPError:
            return False

    async def metric(self, name: str, **labels: str) -> float:
        """Give a metric, summed up over the labels that are not given."""
        text = (await self.client.get("/metrics")).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    def cpu_s(self) -> float:
        """User and system time of all its threads so far."""
        return cpu_s(self.process)


class Site:
    """A directory with a stream server that runs; `core` is the one that alerting has for itself."""

    def __init__(self, directory: Path, url: str, core: int) -> None:
        self._directory, self.url, self._core = directory, url, core

    @property
    def _database(self) -> str:
        return f"sqlite+aiosqlite:///{self._directory / 'alerting.sqlite3'}"

    async def put(self, rules: Iterable[dict[str, Any]]) -> None:
        """Write rules, as an import does, while alerting does not run."""
        engine = database.connect(self._database)
        await database.migrate(engine)
        specs = {f"rule-{number:05}": parse_spec(rule) for number, rule in enumerate(rules)}
        await RuleRepository(engine).apply(specs, time.time_ns(), dry=False)  # noqa: TID251 - an operator's clock
        await engine.dispose()

    @contextlib.asynccontextmanager
    async def alerting(self, **more: str) -> AsyncIterator[Alerting]:
        """Run alerting until the end of the block; what it knows is kept for the next one."""
        [port] = ports.free(HOST, 1)
        env = {
            "ALERTING_PORT": str(port),
            "ALERTING_KEY": KEY,
            "ALERTING_NATS_URL": self.url,
            "ALERTING_NATS_TOKEN": TOKEN,
            "ALERTING_DATABASE_URL": self._database,
        }
        path, headers = self._directory / "alerting.log", {"Authorization": f"Bearer {KEY}"}
        with self._process(env | more, path) as process:
            async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", headers=headers, timeout=60) as client:
                yield Alerting(process, client, path)

    @contextlib.contextmanager
    def _process(self, env: dict[str, str], path: Path) -> Iterator[psutil.Process]:
        with path.open("ab") as log:
            running = subprocess.Popen([sys.executable, "-m", "alerting"], env=os.environ | env, stderr=log)
            pin(running.pid, {self._core})
            try:
                yield psutil.Process(running.pid)
            finally:
                running.terminate()
                running.wait(STOPS_S)

    @contextlib.asynccontextmanager
    async def stream(self) -> AsyncIterator[Link]:
        """Connect, and make the stream, which alerting alone reads: what it has acknowledged is gone."""
        link = await Link(self.url, TOKEN, "bench", logs.quiet()).connect()
        await ensure_stream(link.js, TELEMETRY, PARTITIONS)
        names = [info.name for info in await consumers_of(link.js, TELEMETRY)]
        await delete_consumers(link.js, TELEMETRY, [name for name in names if partition_and_epoch(PROCESSOR, name)])
        await ensure_bucket(link.js, DEVICES_BUCKET)
        try:
            yield link
        finally:
            await link.close()


@contextlib.contextmanager
def site(directory: Path) -> Iterator[Site]:
    """Run a stream server on all cores but one."""
    nats, monitor = ports.free(HOST, 2)
    config = directory / "stream.conf"
    config.write_text(servers.stream_config(directory / "stream", HOST, nats, monitor, TOKEN))
    quiet = subprocess.DEVNULL
    with all_but_one_core() as core:
        server = subprocess.Popen([servers.nats_server(), "-c", str(config)], stdout=quiet, stderr=quiet)
        try:
            yield Site(directory, f"nats://{HOST}:{nats}", core)
        finally:
            server.terminate()
            server.wait(STOPS_S)


async def publish(link: Link, made: Sequence[Batch]) -> None:
    """Publish all batches, each partition's in order, as fast as the server takes them."""
    publisher = Publisher(link, timeout=60)
    await publisher.start()
    for first in range(0, len(made), IN_FLIGHT):
        group = made[first : first + IN_FLIGHT]
        await asyncio.gather(*(publisher.publish(telemetry_subject(one.partition), one.body) for one in group))


async def register(link: Link, records: Sequence[DeviceRecord | ProfileRecord]) -> None:
    """Put records into the bucket, as devices_api does."""
    publisher = Publisher(link, timeout=60)
    await publisher.start()
    keyed = [(profile_key(r.id) if isinstance(r, ProfileRecord) else kv_key(r.id), encode_record(r)) for r in records]
    for first in range(0, len(keyed), IN_FLIGHT):
        group = keyed[first : first + IN_FLIGHT]
        await asyncio.gather(*(publisher.publish(f"$KV.{DEVICES_BUCKET}.{key}", body) for key, body in group))


async def waiting(link: Link) -> int:
    """Ask how many messages alerting has not acknowledged."""
    infos = [info for info in await consumers_of(link.js, TELEMETRY) if partition_and_epoch(ALERTING, info.name)]
    return sum((info.num_pending or 0) + (info.num_ack_pending or 0) for info in infos)
