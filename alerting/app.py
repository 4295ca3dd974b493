"""The composition root: builds the parts, starts and stops them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from random import Random

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from alerting import database
from alerting.alert_repository import AlertRepository
from alerting.claims import Claim
from alerting.deadletters import DeadLetters
from alerting.dryrun.stored import StoredHistory
from alerting.errors import UnavailableError
from alerting.evaluation.groups import Groups
from alerting.evaluation.shard import Shard
from alerting.groupwork import GroupWork
from alerting.life.alert import Change
from alerting.metrics import Metrics
from alerting.notify.configuration import problem_of
from alerting.notify.delivering import Delivering, Tools
from alerting.notify.documents import Documents
from alerting.notify.plan_store import PlanStore
from alerting.notify.planner import Planner
from alerting.partitions.clock import Clock
from alerting.partitions.division import Division
from alerting.partitions.held import Held
from alerting.partitions.holding import Holding
from alerting.partitions.intake import STREAMS, Intake
from alerting.partitions.rules import Rules
from alerting.partitions.tidying import Tidying
from alerting.repository import AWAY, Repository
from alerting.rule_repository import RuleRepository
from alerting.rules.describing import describe
from alerting.rules.rule import Rule
from alerting.settings import Settings
from alerting.web import deliveries, receivers
from alerting.web.api import Parts, build
from contracts.backoff import delays, end, keep_running
from contracts.directory import Directory
from contracts.heard import Listening
from contracts.jetstream import Link
from contracts.lease import LeaseBucket
from contracts.logs import Log
from contracts.ownership import Ownership, times
from contracts.partitions import Reader
from contracts.streams import ALERTING, DERIVED, DEVICES_BUCKET, TELEMETRY, partition_of

_LEASES = "alerting_leases"
_LEADER = "leader"


class App:
    """One replica of alerting."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings, self._log = settings, log
        self._rng = Random()  # noqa: S311 - jitter, and ids that need only be different
        self._now = time.time_ns  # noqa: TID251 - the composition root reads the clock
        self.registry = CollectorRegistry()
        me = self._rng.randbytes(8).hex()
        self._metrics = metrics = Metrics(self.registry)
        self._link = Link(settings.nats_url, settings.nats_token.get_secret_value(), "alerting", log)
        metrics.connected.set_function(lambda: float(self._link.up))
        self._engine = database.connect(settings.database_url.get_secret_value())
        repository, stored = Repository(self._engine), RuleRepository(self._engine)
        alerts, documents = AlertRepository(self._engine), Documents(self._engine, problem_of)
        self._directory = Directory(self._link, log, self._device_changed)
        self._rules = Rules(stored, repository, documents, self._rule_changed, self._now, log)
        metrics.rules.set_function(lambda: len(self._rules.current))
        self._streams = {
            stream.name: Reader(self._link, stream, ALERTING, me, self._rng, log) for stream in (TELEMETRY, DERIVED)
        }
        held: dict[int, Held] = {}
        self._ownership = Ownership(
            LeaseBucket(self._link, _LEASES),
            me,
            times(settings.lease_seconds),
            time.monotonic,
            in_hand=held.__contains__,
            taken=metrics.takeovers.inc,
            log=log,
        )
        self._holding = Holding(
            held,
            repository,
            self._ownership,
            self._rules,
            self._shard,
            self._streams,
            me=me,
            metrics=metrics,
            now=self._now,
            clock=time.monotonic,
            log=log,
            checkpoint_s=settings.checkpoint_seconds,
            said=self._said,
        )
        metrics.partitions.set_function(lambda: len(self._holding.held))
        self._division = Division(self._link, repository, self._ownership, log)
        dead_letters = DeadLetters(self._link, self._now)
        self._intakes = [
            Intake(
                stream,
                self._link,
                self._streams[stream],
                holding=self._holding,
                dead_letters=dead_letters,
                metrics=metrics,
                log=log,
                now=self._now,
            )
            for stream in STREAMS
        ]
        heard = Listening(self._link, time.monotonic)
        self._clock = Clock(self._holding, repository, self._streams, heard, metrics, self._now, log)
        self._leader = Claim(self._engine, _LEADER, me, settings.lease_seconds, self._now, log)
        self._groups = GroupWork(
            self._engine,
            repository,
            self._leader,
            self._rules,
            lambda: Groups(self._directory.get, int(settings.max_age_seconds * 1e9), self._new_id, describe),
            self._directory.ids,
            wrote=self._wrote,
            me=me,
            now=self._now,
            clock=time.monotonic,
            log=log,
        )
        self._tidying = Tidying(repository, self._leader, self._now, settings.history_days, log)
        tools = Tools(metrics, log, self._now, self._rng)
        self._delivering = delivering = Delivering(settings, self._engine, documents, tools, self._leads)
        built_in = bool(settings.webhook_url.get_secret_value())
        plans = PlanStore(self._engine)
        self._planner = Planner(
            plans,
            documents,
            metrics,
            log,
            now=self._now,
            new_id=self._new_id,
            leads=self._leads,
            planned=delivering.sender.wake,
            built_in=built_in,
        )
        self._history = None
        if settings.devices_api_url:
            self._history = StoredHistory.at(settings.devices_api_url, settings.devices_api_key.get_secret_value())
        new_id, wake = self._new_id, delivering.sender.wake
        self._api = build(
            Parts(
                rules=stored,
                alerts=alerts,
                documents=documents,
                devices=self._directory.ids,
                record=self._directory.get,
                built_in=built_in,
                public_url=settings.public_url,
                said=self._said,
                history=self._history,
                groups=plans,
                routers=(
                    receivers.routes(documents, delivering.channels, delivering.deliveries, self._now, new_id, wake),
                    deliveries.routes(delivering.deliveries, self._now, wake),
                ),
                key=settings.key.get_secret_value(),
                now=self._now,
                new_id=self._new_id,
                ready=self._need_database,
                changed=self._changed,
            )
        )
        self._connected, self._migrated = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._reading: list[asyncio.Task[None]] = []
        self._stopped = False

    @property
    def api(self) -> FastAPI:
        """The HTTP interface."""
        return self._api

    def waiting_for(self) -> list[str]:
        """Name what is missing. DERIVED is there only once processor has computed something."""
        missing = {
            "stream server": not self._link.up,
            f"stream {TELEMETRY.name}": self._link.up and self._directory.loaded.is_set() and not self._division.found,
            f"bucket {DEVICES_BUCKET}": not self._directory.loaded.is_set(),
            "database": not self._rules.loaded.is_set() or self._rules.away or self._holding.database_away,
            "partitions": self._division.found and not self._holding.complete,
        }
        return [name for name, is_missing in missing.items() if is_missing]

    async def start(self) -> None:
        """Begin; every part waits for what it needs."""
        self._reading = [self._keep(f"intake {intake.stream}", intake.run, *self._ready) for intake in self._intakes]
        self._tasks = [
            self._keep("link", self._connect),
            self._keep("database", self._migrate),
            self._keep("directory", self._directory.follow, self._connected),
            self._keep("rules", self._rules.follow, self._migrated),
            self._keep("division", self._division.follow, self._connected, self._migrated),
            self._keep("ownership", self._ownership.keep, self._division.divided),
            self._keep("partitions", self._holding.follow, *self._ready),
            self._keep("clock", self._clock.run, *self._ready),
            self._keep("places", self._clock.watch, *self._ready),
            self._keep("endings", self._clock.end_asked, *self._ready),
            self._keep("leader", self._leader.keep, self._migrated),
            self._keep("groups", self._groups.run, *self._ready),
            self._keep("tidying", self._tidying.run, self._migrated),
            self._keep("planner", self._planner.run, self._migrated),
            self._keep("delivering", self._deliver, self._migrated),
        ]

    async def stop(self) -> None:
        """Commit and acknowledge what was taken, let others take over, and release everything."""
        if self._stopped:
            return
        self._stopped = True
        for intake in self._intakes:
            intake.stop()
        await self._delivering.stop(grace=self._settings.drain_seconds * 0.2)
        await end(self._tasks)
        await self._holding.stop()
        await end(self._reading)
        for reader in self._streams.values():
            await reader.close()
        if self._link.up:
            await self._ownership.release()
        try:
            await self._leader.release()
        except AWAY as error:
            self._log.debug("claim.not_released", error=type(error).__name__)
        if self._history is not None:
            await self._history.close()
        await self._link.close()
        await self._engine.dispose()

    @property
    def _ready(self) -> tuple[asyncio.Event, ...]:
        """What has to be there before a partition is loaded: a device would be judged wrongly without its record."""
        return self._connected, self._directory.loaded, self._rules.loaded, self._division.divided

    async def _connect(self) -> None:
        await self._link.connect()
        self._connected.set()

    async def _migrate(self) -> None:
        for wait in delays(self._rng):
            try:
                await database.migrate(self._engine)
            except AWAY as error:
                self._log.warning("database.not_migrated", error=type(error).__name__)
                await asyncio.sleep(wait)
            else:
                self._migrated.set()
                return

    def _shard(self, partition: int) -> Shard:
        max_age = int(self._settings.max_age_seconds * 1e9)

        def devices() -> Iterable[str]:
            partitions = self._ownership.partitions
            return [device for device in self._directory.ids() if partition_of(device, partitions) == partition]

        return Shard(partition, self._directory.get, max_age, self._new_id, describe, devices=devices)

    def _device_changed(self, device: str) -> None:
        if self._ownership.partitions:
            held = self._holding.held.get(partition_of(device, self._ownership.partitions))
            if held is not None:
                held.shard.device_changed(device, self._now())
        self._groups.device_changed(device)

    def _rule_changed(self, rule_id: str, rule: Rule | None) -> None:
        self._holding.rule_changed(rule_id, rule)
        self._groups.rule_changed(rule_id, rule)

    async def _deliver(self) -> None:
        self._delivering.start()

    def _leads(self) -> bool:
        return self._leader.held

    def _wrote(self, changes: list[Change]) -> None:
        self._metrics.wrote(changes, 0)
        self._said()

    def _said(self) -> None:
        self._planner.wake()

    def _changed(self) -> None:
        self._rules.wake()
        self._clock.wake()

    def _need_database(self) -> None:
        if not self._migrated.is_set():
            raise UnavailableError("database")

    def _new_id(self) -> str:
        """28 hex digits that sort by time: 16 of the clock in ns, 12 at random."""
        return f"{self._now():016x}{self._rng.getrandbits(48):012x}"

    def _keep(self, name: str, work: Callable[[], Awaitable[None]], *after: asyncio.Event) -> asyncio.Task[None]:
        async def begin() -> None:
            for event in after:
                await event.wait()
            await work()

        return asyncio.create_task(keep_running(name, begin, self._rng, self._log), name=f"alerting-{name}")
