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

from contracts.backoff import end, keep_running
from contracts.jetstream import Link
from contracts.logs import Log
from contracts.rates import parse_rate
from contracts.stores import StoreAddress, StoreKind, parse_store
from contracts.streams import DAY_S, DEADLETTERS
from devices_api.access import View
from devices_api.credentials.passwords import Passwords
from devices_api.errors import UnavailableError
from devices_api.keys.keyring import Keyring
from devices_api.keys.oidc import Claims
from devices_api.keys.oidc_keys import KeySet
from devices_api.keys.oidc_tokens import OidcTokens
from devices_api.keys.tickets import Tickets
from devices_api.letters.deadletters import DeadLetters
from devices_api.lists.filters import Filter
from devices_api.live.hub import Hub
from devices_api.live.listening import Matching
from devices_api.metrics import Metrics
from devices_api.registry.failures import Failures
from devices_api.settings import Settings
from devices_api.stream import StreamServer
from devices_api.telemetry.deletions import Deletions
from devices_api.telemetry.influx import InfluxTimeSeries
from devices_api.telemetry.provenance import Deliveries
from devices_api.telemetry.sqlite import SqliteTimeSeries
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.telemetry.victoria import VictoriaTimeSeries
from devices_api.web import api
from devices_api.web.authentication import Authentication

if TYPE_CHECKING:
    from devices_api.credentials.identity import Identity
    from devices_api.repository import Repository
    from devices_api.work import Work

_DATABASE = "database"
_FINISH_S = 2.0


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
        self._work: Work | None = None
        self._passwords = Passwords(time.monotonic, secrets.token_bytes)
        self._letters = DeadLetters(self._stream, self._metrics)
        self._hub = Hub(link, self._metrics, log, time.monotonic)
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
                    self._tokens(),
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
                job_started=self._job_started,
                jobs=settings.jobs,
                job_bytes=settings.job_bytes,
                identity=self._identity,
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
        return missing + self._stream.waiting_for() + (self._work.waiting_for() if self._work else [])

    async def start(self) -> None:
        """Begin: the database first, since all else needs it; the stream server when it comes."""
        self._run("registry", self._open_registry)

    async def stop(self) -> None:
        """Finish the records and messages in hand, then close everything."""
        await self._hub.close()
        tasks, self._tasks = self._tasks, []
        work, self._work = self._work, None
        if work is not None:
            work.finish()
            finishing = [task for task in tasks if task.get_name() in work.loops]
            await asyncio.wait(finishing, timeout=_FINISH_S)
            work.mqtt.finish()  # the last, for others publish what they have in hand
        await end(tasks)
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

    def _tokens(self) -> OidcTokens | None:
        settings = self._settings
        if not settings.oidc_jwks:
            return None
        claims = Claims(
            settings.oidc_scope_claim,
            settings.oidc_scope_prefix,
            settings.oidc_groups_claim,
            everything=settings.oidc_everything,
        )
        keys = KeySet(settings.oidc_jwks, self._metrics, self._log, time.monotonic)
        return OidcTokens(settings.oidc_issuer, settings.oidc_audience, keys, claims, now=self._now)

    def _matching_of(self, filter_: Filter | None, view: View) -> Matching | None:
        if filter_ is None and view is None:
            return None
        return lambda devices: self._registry().matching(devices, filter_, view)

    def _identity(self) -> "Identity":
        if self._work is None:
            raise UnavailableError(_DATABASE)
        return self._work.identity

    def _changed(self) -> None:
        if self._work is not None:
            self._work.wake()

    def _job_started(self) -> None:
        if self._work is not None:
            self._work.runner.wake()

    async def _open_registry(self) -> None:
        """Open the database, bring it to the newest migration, and begin all that rests on it."""
        await asyncio.to_thread(importlib.import_module, "devices_api.work")
        from devices_api import database  # noqa: PLC0415 - see the class
        from devices_api.repository import Repository  # noqa: PLC0415 - see the class
        from devices_api.work import Tools, Work  # noqa: PLC0415 - see the class

        engine = database.connect(self._settings.database_url.get_secret_value())
        try:
            await database.migrate(engine)
        except BaseException:
            await engine.dispose()
            raise
        repository = self._repository = Repository(engine)
        tools = Tools(repository, self._stream, self._metrics, self._log, self._settings, now=self._now, rng=self._rng)
        work = self._work = Work(tools, self._timeseries, self._letters, self._keyring, self._passwords)
        self._run("stream", lambda: self._stream.keep(work.announce_all))
        self._run("mqtt", work.mqtt.run)
        for name, loop in work.loops.items():
            self._run(name, loop.run)
