"""Composition root of ingest: the only file that builds adapters, and reads the clock."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from random import SystemRandom

from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry

from contracts import streams
from contracts.backoff import end, keep_running
from contracts.deadletters import Reason
from contracts.devices import kv_key
from contracts.directory import Directory
from contracts.heard import AWAY, EVERY_S, Heard, Telling
from contracts.jetstream import Link
from contracts.lease import Lease, LeaseBucket, Times
from contracts.logs import Log
from ingest import table
from ingest.activity import INTERVAL_S, Tally
from ingest.admit import Admission
from ingest.announcements import FAMILY
from ingest.context import Context
from ingest.descriptions import Descriptions
from ingest.feedback import Feedback
from ingest.metrics import Metrics
from ingest.monitor import Monitor
from ingest.mqtt import Session
from ingest.outcomes import Arrival
from ingest.parts import Parts
from ingest.patience import Patience
from ingest.pipeline import Pipeline
from ingest.rates import RateLimits
from ingest.recall import recall
from ingest.replays import Replays
from ingest.routes import Routes
from ingest.sessions import Sessions
from ingest.settings import Settings
from ingest.stream import Stream
from ingest.watermark import Watermark

FSYNC = "fsync on every acknowledgement (sync_interval: always)"
LEASE_TIMES = Times(renew=2.0, lose=6.0, take=10.0)
"""For the lease on messages whose order matters."""
_LEASES = "ingest_leases"
_DRAIN_SHARE = 0.6  # of drain_seconds; the rest is for letting go of everything


class App:
    """Ingest as a service."""

    api = None

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings, self._log, self._rng = settings, log, SystemRandom()
        self._metrics = Metrics()
        self._link = Link(settings.nats_url, settings.nats_token.get_secret_value(), settings.client_id, log)
        self._directory = Directory(self._link, log, self._registered)
        self._context = Context(settings.limits, self._directory.get)
        rows = table.built_in() if settings.routes is None else table.read(settings.routes)
        self._routes = routes = Routes(rows, int(settings.clock_ahead_seconds * 1e9))
        admission = Admission(
            self._directory.get,
            RateLimits(settings.message_rate, settings.point_rate),
            register=settings.unknown_device == "register",
        )
        self._feedback = Feedback() if settings.device_errors else None
        descriptions = Descriptions(lambda device: self._directory.get(device) is not None)
        self._parts = Parts(admission, descriptions, self._tell, self._send)
        self._patience = Patience(settings.decode_seconds)
        self._tally = Tally()
        self._pipeline = Pipeline(
            routes,
            self._context,
            admission,
            self._parts,
            self._patience,
            self._metrics,
            window=settings.receive_window,
            linger=settings.linger_ms / 1000,
            batch_readings=settings.batch_readings,
            receiver=settings.client_id,
            refiltered=self._follow,
            count=self._tally.count,
        )
        monitor = Monitor(settings.nats_monitor_url) if settings.require_fsync else None
        self._stream = Stream(
            self._link, monitor, settings.partitions, self._pipeline.divide, self._metrics, self._rng, log
        )
        self._now = time.time_ns  # noqa: TID251 - the composition root reads the clock
        first = routes.others if settings.shared_group else routes.filters
        self._session = Session(settings, self._pipeline, self._now, self._rng, self._metrics, log, filters=first)
        memory = self._context.memory
        self._metrics.watch(
            held_messages=lambda: self._pipeline.held,
            directory_devices=lambda: len(self._directory),
            directory_age_seconds=self._directory.age,
            memory_entries=lambda: len(memory),
            memory_forgotten=lambda: memory.forgotten,
            activity_uncounted=lambda: self._tally.uncounted,
            raw_displaced=lambda: admission.raw_displaced,
            lease_held=lambda: self._leading,
            heard_age_seconds=self._heard_age,
            broker_connected=lambda: self._session.connected,
        )
        self._telling = Telling(self._link, settings.client_id)
        self._recalled = asyncio.Event()
        me = f"{settings.client_id}/{self._rng.randbytes(8).hex()}"
        self._turned = asyncio.Event()
        self._joined = asyncio.Event()
        bucket, key = LeaseBucket(self._link, _LEASES), kv_key(settings.shared_group)
        self._lease = Lease(bucket, key, me, LEASE_TIMES, time.monotonic, self._turned.set, log)
        self._leading = not settings.shared_group  # whether messages whose order matters are ours to take
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
        elif not self._stream.roomy:
            missing.append(f"stream server with max_payload {streams.MAX_PAYLOAD} or more")
        elif self._stream.made and not self._stream.ready:
            missing.append(FSYNC)
        elif not self._stream.made:
            missing.append("stream TELEMETRY")
        if not self._directory.loaded.is_set():
            missing.append("bucket devices")
        missing.extend(self._session.waiting_for())
        return missing

    async def start(self) -> None:
        """Begin; what is missing is waited for in the background."""
        self._patience.begin()
        self._tasks = [
            self._keep("stream", self._stream.keep_ready),
            self._keep("directory", self._follow_directory),
            self._keep("memory", self._recall),
            self._keep("pipeline", lambda: self._pipeline.run(self._stream.write, self._session.acknowledge)),
        ]
        self._sources = [
            self._keep("broker", self._take_from_broker),
            self._keep("replays", self._take_replays),
            self._keep("activity", self._tell_activity),
            self._keep("heard", self._tell_heard),
        ]
        if self._settings.shared_group:
            self._sources += [self._keep("lease", self._keep_lease), self._keep("turns", self._take_turns)]

    async def stop(self) -> None:
        """Take in nothing more, write and acknowledge what is held, and disconnect.

        What the stream does not take in time stays unacknowledged: the broker has it still, and sends it again.
        """
        await _end(self._sources)
        try:
            if self._tasks and self._link.up:
                async with asyncio.timeout(self._settings.drain_seconds * _DRAIN_SHARE):
                    await self._session.hand_over()
                    await self._pipeline.drained()
                    await self._tally.tell(self._stream.write, self._now())
                    await self._tell_left()
        except TimeoutError:
            if self._pipeline.held:
                self._log.warning("drain.left_unacknowledged", messages=self._pipeline.held)
            else:
                self._log.warning("drain.activity_untold")
        finally:
            await _end(self._tasks)
            self._patience.end()
            await self._session.close()
            await self._lease.release()
            await self._link.close()

    def _registered(self, device: str) -> None:
        self._parts.registered(device)

    def _tell(self, device: str, reason: Reason, detail: str, arrival: Arrival) -> None:
        """Tell a device what was wrong with its message, unless that is old."""
        if self._feedback is None or arrival.replayed or not device:
            return
        if (told := self._feedback.tell(device, reason, detail, arrival, arrival.received)) is not None:
            self._session.send(*told)

    def _send(self, topic: str, payload: bytes) -> None:
        """Publish what a decoder asks for."""
        self._session.send(topic, payload)

    async def _follow_directory(self) -> None:
        await self._stream.until_ready()
        await self._directory.follow()

    async def _take_from_broker(self) -> None:
        """Take nothing until it can be written and its device be known."""
        await self._until_known()
        await self._join()
        await self._session.run(Sessions(self._link, self._settings.client_id, self._log))

    async def _until_known(self) -> None:
        await self._stream.until_ready()
        await self._directory.loaded.wait()
        await self._recalled.wait()

    def _follow(self) -> None:
        """Subscribe to what routes and announcements ask for now."""
        if not self._settings.shared_group:
            self._session.follow(self._routes.filters)
        else:
            self._session.follow(self._routes.others, self._routes.ordered if self._leading else ())

    async def _take_turns(self) -> None:
        """Take messages whose order matters while the lease is ours, knowing what its last holder knew."""
        while True:
            await self._turned.wait()
            self._turned.clear()
            if self._lease.held and not self._leading:
                self._context.memory.restart(self._now())
                await self._remember()
            self._leading = self._lease.held
            self._follow()

    async def _keep_lease(self) -> None:
        """Want the lease once there is everything that its holder needs."""
        await self._until_known()
        await self._lease.keep()

    async def _recall(self) -> None:
        await self._stream.until_ready()
        await self._remember()
        self._recalled.set()

    async def _remember(self) -> None:
        """Read what decoders have learnt."""
        await recall(self._link, self._context.memory, self._log)
        if self._routes.announce((key, b"") for key in self._context.memory.keys(f"{FAMILY}.")):
            self._follow()

    async def _take_replays(self) -> None:
        await self._until_known()
        await Replays(self._link, self._pipeline, lambda: self._leading, self._log).run()

    async def _tell_activity(self) -> None:
        await self._stream.until_ready()
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self._tally.tell(self._stream.write, self._now())

    async def _join(self) -> None:
        """Have others wait for what we hear, before we are sent anything."""
        while True:
            try:
                self._session.watermark = Watermark(await self._telling.told())
                await self._telling.tell(Heard(self._session.watermark.upto))
            except AWAY as error:
                self._log.debug("heard.untold", error=repr(error))
                await asyncio.sleep(EVERY_S)
            else:
                self._joined.set()
                return

    async def _tell_heard(self) -> None:
        """Tell up to when we have heard, as long as we take anything in."""
        await self._joined.wait()
        while True:
            await asyncio.sleep(EVERY_S)
            heard = Heard(self._session.heard())
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._telling.tell(heard)
            except AWAY as error:
                self._log.debug("heard.untold", error=repr(error))

    async def _tell_left(self) -> None:
        try:
            await self._telling.tell(Heard(self._session.watermark.upto, left=True))
        except NatsError as error:
            self._log.debug("heard.untold", error=repr(error))

    def _heard_age(self) -> float:
        upto = self._session.watermark.upto
        return (self._now() - upto) / 1e9 if upto else math.inf

    def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        return asyncio.create_task(keep_running(name, work, self._rng, self._log), name=f"ingest-{name}")


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    await end(tasks)
    tasks.clear()
