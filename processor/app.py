"""Composition root of processor: the only file that builds adapters, and reads the clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import SystemRandom

from prometheus_client import CollectorRegistry

from contracts.backoff import end, keep_running
from contracts.directory import Directory
from contracts.jetstream import Link
from contracts.lease import LeaseBucket
from contracts.logs import Log
from contracts.ownership import Ownership, times
from contracts.partitions import Reader
from contracts.settings import fail
from contracts.stores import StoreKind, parse_store
from contracts.streams import PROCESSOR, TELEMETRY
from contracts.timeseries import Days, days_of
from processor.derived import Derived
from processor.engine import Engine
from processor.failures import Failures
from processor.influx import InfluxStore
from processor.metrics import Metrics
from processor.retention import Retentions
from processor.settings import Settings
from processor.sqlite import SqliteStore, check
from processor.store import NewerSchemaError, Store
from processor.stream import Stream
from processor.tidying import Tidying
from processor.upgrade import upgrade
from processor.victoria import VictoriaStore
from processor.victoria_client import Access, VictoriaClient
from processor.writer import Writer

_LEASES = "processor_leases"
_STORE_TIMEOUT_S = 10.0


class App:
    """Processor as a service. A store of a newer schema ends the process at once, with status 2."""

    api = None

    def __init__(self, settings: Settings, log: Log) -> None:
        self._log, self._rng = log, SystemRandom()
        self._address = parse_store(settings.store)
        self._metrics = Metrics()
        self._link = Link(settings.nats_url, settings.nats_token.get_secret_value(), "processor", log)
        self._retentions = Retentions()
        self._directory = Directory(self._link, log, self._registered)
        now = time.time_ns  # noqa: TID251 - the composition root reads the clock
        store, tick = self._store(settings.store_token.get_secret_value(), now)
        self._engine = engine = Engine(store, settings.series_in_memory, self._days, tick, self._directory.get)
        self._writer = Writer(engine, store, self._metrics, self._rng, log)
        self._failures = Failures(self._link, self._metrics, now, log)
        self._tidying = Tidying(self._writer, self._retentions, now, settings.tidy_seconds, self._metrics, log)
        self._derived = Derived(self._link, metrics=self._metrics, rng=self._rng, log=log)
        me = self._rng.randbytes(8).hex()
        reader = Reader(self._link, TELEMETRY, PROCESSOR, me, self._rng, log)

        def taken() -> None:
            self._metrics.takeovers.inc()
            reader.wake()

        self._ownership = Ownership(
            LeaseBucket(self._link, _LEASES),
            me,
            times(settings.lease_seconds),
            time.monotonic,
            in_hand=reader.in_hand,
            taken=taken,
            log=log,
        )
        self._stream = Stream(
            self._link,
            self._ownership,
            reader,
            self._writer,
            self._derived,
            self._failures,
            self._retentions,
            records=self._directory.heard,
            now=now,
            metrics=self._metrics,
            rng=self._rng,
            log=log,
            commit_points=settings.commit_points,
            rest=settings.rest_seconds,
        )
        self._metrics.watch(
            connected=lambda: self._link.up,
            series=lambda: engine.series_known,
            partitions=lambda: len(self._ownership.epochs),
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def registry(self) -> CollectorRegistry:
        """Give this instance's metrics."""
        return self._metrics.registry

    def waiting_for(self) -> list[str]:
        """Name what is missing."""
        missing = []
        if not self._link.up:
            missing.append("stream server")
        elif not self._stream.found:
            missing.append("stream TELEMETRY")
        elif not self._directory.heard.is_set():
            missing.append("device records")
        missing += [name for name in (self._writer.missing, self._derived.missing) if name is not None]
        return missing

    async def start(self) -> None:
        """Begin; what is missing is waited for in the background."""
        self._tasks = [
            self._keep("store", self._open),
            self._keep("stream", self._stream.run),
            self._keep("ownership", self._stream.own),
            self._keep("lag", self._stream.watch_lag),
            self._keep("clock", self._stream.watch_clock),
            self._keep("directory", self._follow_directory),
            self._keep("failures", self._failures.run),
            self._keep("tidying", self._tidying.run),
        ]

    async def stop(self) -> None:
        """Read nothing more, finish and acknowledge what runs, give up the partitions, the store and the connection.

        What the store does not take now stays unacknowledged, and comes again to the next start.
        """
        await self._stream.stop()
        await end(self._tasks)
        self._tasks.clear()
        if self._link.up:
            await self._ownership.release()
        await self._writer.close()
        await self._link.close()

    async def _open(self) -> None:
        """Open the store, and bring it into its present form."""
        await self._writer.open()
        if self._address.kind is StoreKind.SQLITE:
            points = await self._writer.run(partial(upgrade, self._address.path, self._engine))
            if points:
                self._log.info("store.upgraded", points=points)

    def _store(self, token: str, now: Callable[[], int]) -> tuple[Store, int]:
        """Build the store; returns it, and within how many ns two points of a series are one to it."""
        address = self._address
        match address.kind:
            case StoreKind.INFLUXDB:
                return InfluxStore(address.url, token, address.org, address.bucket), 1
            case StoreKind.VICTORIA:
                client = VictoriaClient(address.url, Access(token=token), _STORE_TIMEOUT_S)
                return VictoriaStore(client, now, self._retentions.longest), VictoriaStore.tick
            case StoreKind.SQLITE:
                try:
                    check(address.path)
                except NewerSchemaError as error:
                    fail(f"PROCESSOR_STORE: {error}; use the program that wrote it, or another file")
                return SqliteStore(address.path, token=self._rng.getrandbits(62)), 1

    async def _follow_directory(self) -> None:
        await self._link.connect()
        await self._directory.follow()

    def _registered(self, device: str) -> None:
        record = self._directory.get(device)
        if record is not None:
            self._retentions.learn(record)

    def _days(self, device: str) -> Days:
        record = self._directory.get(device)
        return days_of(record.zone if record is not None else "")

    def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(keep_running(name, work, self._rng, self._log), name=f"processor-{name}")
