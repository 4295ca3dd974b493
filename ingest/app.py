"""Composition root of ingest: the only file that builds adapters, and reads the clock."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from random import SystemRandom

from prometheus_client import CollectorRegistry

from contracts import streams
from contracts.backoff import keep_running
from contracts.directory import Directory
from contracts.jetstream import Link, Publisher, ensure_bucket, ensure_stream
from contracts.logs import Log
from ingest.admit import Admission
from ingest.decode import Decoder
from ingest.metrics import Metrics
from ingest.monitor import Monitor
from ingest.mqtt import Session
from ingest.pipeline import Pipeline
from ingest.replays import Replays
from ingest.settings import Settings
from ingest.stream import Writer
from ingest.values import Limits

_POLL_S = 0.5


class App:
    """Ingest as a service."""

    api = None

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings, self._log, self._rng = settings, log, SystemRandom()
        self._metrics = Metrics()
        self._link = Link(settings.nats_url, settings.nats_token.get_secret_value(), settings.client_id, log)
        self._publisher = Publisher(self._link)
        self._directory = Directory(self._link, log)
        self._metrics.devices.set_function(self._directory.__len__)
        self._monitor = Monitor(settings.nats_monitor_url)
        limits = Limits(**{name: getattr(settings, name) for name in Limits.__dataclass_fields__})
        self._pipeline = Pipeline(
            Decoder(limits, int(settings.clock_ahead_seconds * 1e9)),
            Admission(self._directory.get, register=settings.unknown_device == "register"),
            self._write,
            self._metrics,
            linger=settings.linger_ms / 1000,
            limit=settings.receive_window,
        )
        self._writer = Writer(self._publisher, self._rng, log, self._metrics.retries.inc)
        now = time.time_ns  # noqa: TID251 - the composition root reads the clock
        self._session = Session(settings, self._pipeline, now, self._rng, self._metrics, log)
        self._durable = asyncio.Event()
        self._sources: list[asyncio.Task[None]] = []
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
        elif not self._durable.is_set():
            missing.append("fsync on every acknowledgement (sync_interval: always)")
        elif not self._directory.loaded.is_set():
            missing.append("bucket devices")
        if not self._session.connected:
            missing.append("broker")
        return missing

    async def start(self) -> None:
        """Begin: the stream first, then the broker."""
        self._spawn(self._tasks, "stream", self._begin)

    async def stop(self) -> None:
        """Take in nothing more, write and acknowledge what is held, and disconnect.

        What the stream does not take in time stays unacknowledged: the broker has it still.
        """
        self._pipeline.stop_intake()
        if self._link.up:
            # The broker's connection is needed for the last acknowledgements, so draining comes before closing it.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.drain_seconds / 2):
                    await self._pipeline.drained()
        for task in [*self._sources, *self._tasks]:
            task.cancel()
        await asyncio.gather(*self._sources, *self._tasks, return_exceptions=True)
        self._sources, self._tasks = [], []
        await self._link.close()

    async def _begin(self) -> None:
        await self._link.connect()
        await self._publisher.start()
        self._spawn(self._tasks, "server", self._watch_server)
        self._spawn(self._tasks, "directory", self._directory.follow)
        await self._durable.wait()
        await self._directory.loaded.wait()
        self._spawn(self._tasks, "pipeline", self._pipeline.run)
        self._spawn(self._sources, "broker", self._session.run)
        self._spawn(self._sources, "replays", Replays(self._link, self._pipeline, self._log).run)

    async def _write(self, messages: list[tuple[str, bytes]]) -> None:
        """Write, but never to a server that acknowledges before it fsyncs."""
        await self._durable.wait()
        await self._writer.write(messages)

    async def _watch_server(self) -> None:
        """Prepare and check the stream server at first, and after each reconnection: it may be another server."""
        checked = -1
        while True:
            generation = self._link.generation
            if checked != generation and self._link.up:
                self._durable.clear()
                await self._make_streams()
                if not self._settings.require_fsync or await self._monitor.fsyncs():
                    self._durable.set()
                    checked = generation
            await asyncio.sleep(_POLL_S)

    async def _make_streams(self) -> None:
        js, partitions = self._link.js, self._settings.partitions
        for stream in (streams.DEADLETTERS, streams.PRESENCE, streams.REPLAYS):
            await ensure_stream(js, stream, partitions)
        self._pipeline.partitions = await ensure_stream(js, streams.TELEMETRY, partitions)
        await ensure_bucket(js, streams.DEVICES_BUCKET)

    def _spawn(self, tasks: list[asyncio.Task[None]], name: str, work: Callable[[], Awaitable[None]]) -> None:
        tasks.append(asyncio.create_task(keep_running(name, work, self._rng, self._log), name=name))
