"""The composition root: builds the parts, starts and stops them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from alerting import api, database
from alerting.alarms import Alarms
from alerting.deadletters import DeadLetters
from alerting.evaluation import Evaluation
from alerting.metrics import Metrics
from alerting.outbox import Outbox
from alerting.repository import Repository
from alerting.sender import Sender
from alerting.settings import Settings
from alerting.stream import STREAMS, Intake
from alerting.webhook import Webhook
from contracts.backoff import end, keep_running
from contracts.directory import Directory
from contracts.jetstream import Link
from contracts.logs import Log
from contracts.streams import DEVICES_BUCKET, TELEMETRY

_TICK_S = 0.25
_FORGET_TICKS = 240
_DAY_NS = 86_400_000_000_000


class App:
    """One alerting service."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings, self._log = settings, log
        self._rng = Random()  # noqa: S311 - jitter, and ids that need only be different
        self._now = time.time_ns  # noqa: TID251 - the composition root reads the clock
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry)
        self._link = Link(settings.nats_url, settings.nats_token.get_secret_value(), "alerting", log)
        metrics.connected.set_function(lambda: float(self._link.up))
        self._engine = database.connect(settings.database_url.get_secret_value())
        repository = Repository(self._engine)
        self._evaluation = Evaluation(self._profile_of, int(settings.max_age_seconds * 1e9), self._new_id)
        self._directory = Directory(self._link, log, self._evaluation.device_changed)
        webhook = Webhook(settings.webhook_timeout_seconds, allow_private=settings.allow_private_webhooks)
        self._sender = Sender(
            Outbox(self._engine),
            webhook,
            metrics,
            log,
            self._now,
            self._rng,
            int(settings.webhook_give_up_seconds * 1e9),
        )
        self._alarms = Alarms(
            repository,
            self._evaluation,
            metrics,
            log,
            self._now,
            settings.webhook_url.get_secret_value(),
            self._sender.wake,
        )
        dead_letters = DeadLetters(self._link, self._now)
        self._intakes = {
            stream: Intake(stream, self._link, self._alarms, dead_letters, metrics, log, self._now)
            for stream in STREAMS
        }
        self._api = api.build(self._alarms, repository, settings.key.get_secret_value(), self._now, self._new_id)
        self._connected, self._loaded = asyncio.Event(), asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopped = False

    @property
    def api(self) -> FastAPI:
        """The HTTP interface."""
        return self._api

    def waiting_for(self) -> list[str]:
        """Name what is missing. DERIVED is there only once processor has computed something."""
        attached = self._intakes[TELEMETRY.name].attached
        missing = {
            "stream server": not self._link.up,
            f"stream {TELEMETRY.name}": self._link.up and self._directory.loaded.is_set() and not attached,
            f"bucket {DEVICES_BUCKET}": not self._directory.loaded.is_set(),
            "database": not self._alarms.loaded,
        }
        return [name for name, is_missing in missing.items() if is_missing]

    async def start(self) -> None:
        """Begin; every part waits for what it needs."""
        works: dict[str, Callable[[], Awaitable[None]]] = {
            "link": self._connect,
            "database": self._keep_time,
            "directory": self._follow,
            "sender": self._send,
        }
        works |= {f"intake {stream}": partial(self._take_in, intake) for stream, intake in self._intakes.items()}
        for name, work in works.items():
            self._tasks[name] = asyncio.create_task(keep_running(name, work, self._rng, self._log))

    async def stop(self) -> None:
        """Commit and acknowledge what was taken, let the calls under way end, and release everything."""
        if self._stopped:
            return
        self._stopped = True
        reading = []
        for stream, intake in self._intakes.items():
            intake.stop()
            if (task := self._tasks.get(f"intake {stream}")) is not None and intake.attached:
                reading.append(task)
        if reading:
            await asyncio.wait(reading, timeout=self._settings.drain_seconds * 0.6)
        await self._sender.stop(grace=self._settings.drain_seconds * 0.2)
        await end(self._tasks.values())
        self._alarms.close()
        await self._link.close()
        await self._engine.dispose()

    async def _connect(self) -> None:
        await self._link.connect()
        self._connected.set()

    async def _follow(self) -> None:
        await self._connected.wait()
        await self._directory.follow()

    async def _take_in(self, intake: Intake) -> None:
        """Read a stream once profiles are known: a reading that came before would be judged without them."""
        await self._connected.wait()
        await self._directory.loaded.wait()
        await self._loaded.wait()
        await intake.run()

    async def _send(self) -> None:
        await self._loaded.wait()
        await self._sender.run()

    async def _keep_time(self) -> None:
        """Load the database, again after each loss, and do what the clock asks for."""
        ticks = 0
        while True:
            if not self._alarms.loaded:
                await database.migrate(self._engine)
                await self._alarms.load()
                self._loaded.set()
            await self._alarms.tick()
            if ticks % _FORGET_TICKS == 0:
                await self._alarms.forget(self._now() - int(self._settings.history_days * _DAY_NS))
            ticks += 1
            await asyncio.sleep(_TICK_S)

    def _profile_of(self, device: str) -> str | None:
        record = self._directory.get(device)
        return None if record is None else record.profile

    def _new_id(self) -> str:
        """28 hex digits that sort by time: 16 of the clock in ns, 12 at random."""
        return f"{self._now():016x}{self._rng.getrandbits(48):012x}"
