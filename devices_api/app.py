"""Composition root: builds the adapters from the settings, starts and stops them."""

import asyncio
import importlib
import random
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from contracts.backoff import keep_running
from contracts.jetstream import Link
from contracts.logs import Log
from contracts.rates import parse_rate
from contracts.stores import StoreAddress, StoreKind, parse_store
from contracts.streams import DAY_S, DEADLETTERS
from contracts.uplink import Kind
from devices_api.access import View
from devices_api.deadletters import DeadLetters
from devices_api.deletions import Deletions
from devices_api.errors import UnavailableError
from devices_api.failures import Failures
from devices_api.filters import Filter
from devices_api.hub import Hub
from devices_api.influx import InfluxTimeSeries
from devices_api.keyring import Keyring
from devices_api.listening import Matching
from devices_api.metrics import Metrics
from devices_api.passwords import Passwords
from devices_api.provenance import Deliveries
from devices_api.settings import Settings
from devices_api.sqlite import SqliteTimeSeries
from devices_api.stream import StreamServer
from devices_api.tickets import Tickets
from devices_api.timeseries import TimeSeries
from devices_api.victoria import VictoriaTimeSeries
from devices_api.web import api
from devices_api.web.authentication import Authentication

if TYPE_CHECKING:
    from devices_api.autoreplay import AutoReplayer
    from devices_api.commander import Commander
    from devices_api.downlink import TwinSender
    from devices_api.dynsec import Dynsec
    from devices_api.identity import Identity
    from devices_api.mqtt import Publisher
    from devices_api.presence import PresenceReader
    from devices_api.relay import Relay
    from devices_api.repository import Repository
    from devices_api.upkeep import Upkeep
    from devices_api.uplink import Handler, UplinkReader

_DATABASE = "database"
_FINISH_S = 2.0
_FINISHING = frozenset(
    {"relay", "presence", "autoreplay", "uplink", "twins", "commander", "upkeep", "broker", "dynsec"}
)


def _timeseries(address: StoreAddress, token: str, now: Callable[[], int]) -> TimeSeries:
    match address.kind:
        case StoreKind.SQLITE:
            return SqliteTimeSeries(address.path)
        case StoreKind.INFLUXDB:
            return InfluxTimeSeries(address, token)
        case StoreKind.VICTORIA:
            return VictoriaTimeSeries(address, token, now)


class App:
    """The service. SQLAlchemy takes as long to import as everything else, so it is imported after the start."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings, self._log = settings, log
        self._now = time.time_ns  # noqa: TID251 - the composition root reads the clock
        self._rng = random.Random()  # noqa: S311 - it spreads retries, it guards nothing
        link = Link(settings.nats_url, settings.nats_token.get_secret_value(), "devices_api", log)
        letters = replace(DEADLETTERS, max_age=settings.deadletter_days * DAY_S, max_bytes=settings.deadletter_bytes)
        self._stream = StreamServer(link, letters, log)
        self._timeseries = _timeseries(parse_store(settings.store), settings.store_token.get_secret_value(), self._now)
        self._metrics = Metrics(lambda: link.up)
        self._repository: Repository | None = None
        self._relay: Relay | None = None
        self._presence: PresenceReader | None = None
        self._replayer: AutoReplayer | None = None
        self._mqtt: Publisher | None = None
        self._uplink: UplinkReader | None = None
        self._twins: TwinSender | None = None
        self._commander: Commander | None = None
        self._identity: Identity | None = None
        self._dynsec: Dynsec | None = None
        self._passwords = Passwords(time.monotonic, secrets.token_bytes)
        self._letters = DeadLetters(self._stream, self._metrics)
        self._hub = Hub(link, self._metrics, log, time.monotonic)
        self._upkeep: Upkeep | None = None
        self._keyring = Keyring(self._registry, self._now, time.monotonic)
        tickets = Tickets(self._registry, self._keyring, secrets.token_bytes, self._now)
        self._api = api.build(
            api.Parts(
                self._registry,
                self._timeseries,
                self._letters,
                Failures(self._stream).of,
                self._metrics,
                self._hub,
                self._matching_of,
                changed=self._changed,
                now=self._now,
                authenticate=Authentication(
                    settings.key.get_secret_value(),
                    self._keyring,
                    tickets,
                    None,
                    self._metrics,
                    rate=parse_rate(settings.key_rate),
                    failures=parse_rate(settings.failure_rate),
                    clock=time.monotonic,
                ),
                keyring=self._keyring,
                tickets=tickets,
                random_bytes=secrets.token_bytes,
                deliveries=Deliveries(self._stream),
                deletions=Deletions(self._stream, self._now, lambda: uuid.uuid4().hex),
                query_rows=settings.query_rows,
                identity=self._known,
                broker_key=settings.broker_key.get_secret_value(),
                broker_cert_login=settings.broker_cert_login,
                origins=settings.cors_origins.split(),
            )
        )
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def registry(self) -> CollectorRegistry:
        """Hold this instance's metrics."""
        return self._metrics.registry

    @property
    def api(self) -> ASGIApp:
        """Serve the devices API."""
        return self._api

    def waiting_for(self) -> list[str]:
        """Name what is missing. The time-series store is not waited for: without it there is only no data yet."""
        missing = [] if self._repository is not None else [_DATABASE]
        return missing + self._stream.waiting_for() + (self._mqtt.waiting_for() if self._mqtt else [])

    async def start(self) -> None:
        """Begin: the database first, since all else needs it; the stream server when it comes."""
        self._run("registry", self._open_registry)

    async def stop(self) -> None:
        """Finish the records and messages in hand, then close everything."""
        await self._hub.close()
        tasks, self._tasks = self._tasks, []
        loops = (self._relay, self._presence, self._replayer, self._uplink, self._twins, self._commander, self._upkeep)
        broker = None if self._identity is None else self._identity.broker
        for loop in (*loops, broker, self._dynsec):
            if loop is not None:
                loop.finish()
        finishing = [task for task in tasks if task.get_name() in _FINISHING]
        if finishing:
            await asyncio.wait(finishing, timeout=_FINISH_S)
        if self._mqtt is not None:
            self._mqtt.finish()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stream.link.close()
        await self._timeseries.close()
        self._passwords.close()
        repository, self._repository = self._repository, None
        if repository is not None:
            await repository.close()

    def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(keep_running(name, work, self._rng, self._log), name=name))

    def _registry(self) -> "Repository":
        if self._repository is None:
            raise UnavailableError(_DATABASE)
        return self._repository

    def _matching_of(self, filter_: Filter | None, view: View) -> Matching | None:
        if filter_ is None and view is None:
            return None
        return lambda devices: self._registry().matching(devices, filter_, view)

    def _known(self) -> "Identity":
        if self._identity is None:
            raise UnavailableError(_DATABASE)
        return self._identity

    def _changed(self) -> None:
        for loop in (self._relay, self._twins, self._commander, self._dynsec):
            if loop is not None:
                loop.wake()

    async def _open_registry(self) -> None:
        """Open the database, bring it to the newest migration, and begin all that rests on it."""
        await asyncio.to_thread(importlib.import_module, "devices_api.repository")
        from devices_api import database  # noqa: PLC0415 - see the class
        from devices_api.autoreplay import AutoReplayer  # noqa: PLC0415 - see the class
        from devices_api.commander import AnswerReader, Commander  # noqa: PLC0415 - see the class
        from devices_api.downlink import ReportReader, TwinSender  # noqa: PLC0415 - see the class
        from devices_api.mqtt import Publisher  # noqa: PLC0415 - see the class
        from devices_api.presence import PresenceReader  # noqa: PLC0415 - see the class
        from devices_api.relay import Relay  # noqa: PLC0415 - see the class
        from devices_api.repository import Repository  # noqa: PLC0415 - see the class
        from devices_api.upkeep import Upkeep  # noqa: PLC0415 - see the class
        from devices_api.uplink import Handler, UplinkReader  # noqa: PLC0415 - see the class

        engine = database.connect(self._settings.database_url.get_secret_value())
        try:
            await database.migrate(engine)
        except BaseException:
            await engine.dispose()
            raise
        repository = self._repository = Repository(engine)
        relay = self._relay = Relay(repository.outbox, self._stream, self._metrics, self._log)
        presence = self._presence = PresenceReader(
            repository,
            self._stream,
            self._changed,
            self._metrics,
            self._log,
            now=self._now,
            limit=self._settings.auto_register_limit,
        )
        replayer = self._replayer = AutoReplayer(repository.auto_replays, self._letters, self._log, self._now)
        mqtt = self._mqtt = Publisher(self._settings, self._rng, self._log)
        self._metrics.broker_connected.set_function(lambda: float(mqtt.up))
        twins = self._twins = TwinSender(repository.twins, mqtt, self._metrics, self._log, self._now)
        reports = ReportReader(repository.twins, twins.wake, self._now)
        commander = self._commander = Commander(
            repository.commands, mqtt, self._metrics, self._log, now=self._now, days=self._settings.command_days
        )
        answers = AnswerReader(repository.commands, self._metrics)
        handlers: dict[Kind, Handler] = {"reported": reports.take, "response": answers.take}
        handlers["provision"] = self._know(repository, mqtt)
        uplink = self._uplink = UplinkReader(self._stream, handlers, self._metrics, self._log, self._now)
        days = self._settings.audit_days
        upkeep = self._upkeep = Upkeep(repository, self._keyring, self._log, self._now, audit_days=days)
        self._run("upkeep", upkeep.run)
        self._run("stream", lambda: self._stream.keep(relay.announce_all))
        self._run("relay", relay.run)
        self._run("presence", presence.run)
        self._run("autoreplay", replayer.run)
        self._run("mqtt", mqtt.run)
        self._run("twins", twins.run)
        self._run("commander", commander.run)
        self._run("uplink", uplink.run)

    def _know(self, repository: "Repository", mqtt: "Publisher") -> "Handler":
        """Begin all that rests on credentials; gives what handles requests to become a device."""
        from devices_api.dynsec import dynsec_of  # noqa: PLC0415 - see the class
        from devices_api.identity import Identity  # noqa: PLC0415 - see the class
        from devices_api.provisioning import Answering  # noqa: PLC0415 - see the class

        dynsec = self._dynsec = dynsec_of(
            self._settings,
            repository.credentials,
            repository.accounts,
            self._metrics,
            self._log,
            now=self._now,
            clock=time.monotonic,
            name=secrets.token_hex(8),
        )
        identity = self._identity = Identity.on(
            repository,
            self._passwords,
            self._metrics,
            mirror=dynsec,
            now=self._now,
            entropy=secrets.token_bytes,
            registered=self._changed,
            limit=self._settings.auto_register_limit,
        )
        self._run("broker", identity.broker.run)
        if dynsec is not None:
            self._run("dynsec", dynsec.run)
        return Answering(identity.provisioning, mqtt.publish, self._metrics).take
