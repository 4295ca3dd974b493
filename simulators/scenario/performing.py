"""Performs a scenario from beginning to end: registers the fleet, lets it send, and asks what became of it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import numpy as np

from contracts.logs import Log
from simulators.connections.clients import clients
from simulators.connections.limits import allow_connections
from simulators.connections.outlet import Connect
from simulators.connections.parties import USUAL, Broker, Login, Options
from simulators.connections.provisioning import USER
from simulators.metrics import Metrics
from simulators.running.building import Blueprint
from simulators.running.fleet import Fleet
from simulators.scenario.alarms import Alarms
from simulators.scenario.logins import Logins, logins
from simulators.scenario.measuring import Delays, measure
from simulators.scenario.registering import Registering
from simulators.scenario.running import Sending, check
from simulators.scenario.screen import Screen
from simulators.scenario.spec import Scenario
from simulators.scenario.stage import Stage
from simulators.scenario.telling import Outcome
from simulators.truth.alerting_api import AlertingError
from simulators.truth.latency import Follower, Sampling
from simulators.truth.reading import read
from simulators.truth.stores.api import Api
from simulators.truth.stores.store import StoreError
from simulators.truth.verdict import Verdict
from simulators.truth.verify import verify

_TIMEOUT_S = 10.0
_HURRIED_S = 5.0
"""How long is waited for what is not there yet, when somebody has stopped the run."""

_QUERYABLE = "publish → queryable"
_NANO = 1_000_000_000


@dataclass(frozen=True)
class Means:
    """What a performance needs of its surroundings.

    `now` is ns since 1970; `login` is for connections without one; with `tls`, they speak that.
    """

    ledger: Path
    screen: Screen
    stopping: asyncio.Event
    now: Callable[[], int]
    rng: Random
    log: Log
    login: Login | None = None
    tls: ssl.SSLContext | None = None
    window: int = USUAL.window


async def perform(scenario: Scenario, folder: Path, stage: Stage, means: Means) -> Outcome:
    """Do it all. What is relative in the scenario is looked for in `folder`.

    Raises ValueError for a scenario whose parts do not go together, or that wants more connections than a process may
    have; StageError, RegistrationError, CredentialsError and LedgerError.
    """
    blueprint = Blueprint(scenario, folder)
    check(scenario, stage)
    allow_connections(len(blueprint.lines))
    return await _Performance(scenario, blueprint, stage, means).run()


class _Performance:
    def __init__(self, scenario: Scenario, blueprint: Blueprint, stage: Stage, means: Means) -> None:
        self._scenario, self._blueprint, self._means = scenario, blueprint, means
        self._stage, self._where = stage, stage.addresses
        self._fleet: Fleet | None = None
        self._queryable = Delays(_QUERYABLE, 0)

    async def run(self) -> Outcome:
        say, parts = self._means.screen.say, self._blueprint.parts
        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(self._client(""))
            registering = Registering(client, self._where)
            if self._where.devices_api:
                say(f"Registering {sum(len(part.devices) for part in parts)} devices…")
                kinds = self._blueprint.credentials
                themselves = [number for number, kind in enumerate(kinds) if kind == "provisioned"]
                await registering.fleet(parts, themselves)
            login = await stack.enter_async_context(self._logins())
            rules = await registering.rules(self._scenario.rule) if self._where.alerting else {}
            try:
                return await self._sent_and_judged(login, rules)
            finally:
                with contextlib.suppress(httpx.HTTPError):  # alerting may be away, and rules do no harm
                    await registering.unrule(rules.values())

    @contextlib.asynccontextmanager
    async def _logins(self) -> AsyncIterator[Logins]:
        if set(self._blueprint.credentials) == {"none"} or not self._where.devices_api:
            yield Logins(self._means.login)
            return
        connect = self._connects(lambda _: USER)["native"]
        async with (
            self._client(f"{self._where.devices_api}/api/v1/") as http,
            logins(self._blueprint, http, connect, self._nonce, self._means.login) as found,
        ):
            yield found

    async def _sent_and_judged(self, login: Logins, rules: Mapping[str, str]) -> Outcome:
        means, where = self._means, self._where
        async with self._follower() as follower:
            ledger = self._blueprint.ledger(means.ledger, means.now(), means.log)
            self._fleet = self._blueprint.fleet(
                self._connects(login),
                ledger=ledger,
                metrics=Metrics(),
                now=means.now,
                log=means.log,
                follow=None if follower is None else Sampling(self._blueprint.plan, follower),
            )
            sending = Sending(
                self._scenario, self._stage, self._fleet, screen=means.screen, stopping=means.stopping, now=means.now
            )
            sent = await sending.run()
            if ledger.failure and ledger.failure not in " ".join(sent.troubles):
                sent.troubles.append(ledger.failure)
            if follower is not None:
                try:
                    async with asyncio.timeout(self._patience):
                        await follower.finished()
                except TimeoutError:
                    if not means.stopping.is_set():  # then some were never sent
                        follower.give_up()
        measured = await asyncio.to_thread(lambda: measure(read(means.ledger), sent.began))
        outcome = Outcome(sent, measured)
        outcome.histograms = {"puback": measured.puback.all, "latency": self._queryable.all}
        outcome.latencies = [measured.puback.latency(), self._queryable.latency()]
        if sent.began and where.devices_api:
            await self._judge_messages(outcome)
        if sent.began and rules:
            await self._judge_alerts(outcome, rules)
        return outcome

    async def _judge_messages(self, outcome: Outcome) -> None:
        self._means.screen.say(f"Asking for every point of {outcome.sent.acked:,} messages…")
        api = Api(self._where.devices_api, self._where.key)
        try:
            outcome.found = await self._verdict(api)
        except StoreError as error:
            outcome.troubles.append(f"what became of the messages could not be asked: {error}")
        finally:
            await api.close()

    async def _verdict(self, api: Api) -> Verdict:
        return await verify(self._means.ledger, api, api, wait_seconds=self._patience)

    async def _judge_alerts(self, outcome: Outcome, rules: Mapping[str, str]) -> None:
        span = outcome.sent.began, outcome.sent.began + int(outcome.sent.seconds * _NANO)
        alarms = Alarms(self._scenario.rule, rules, self._blueprint.parts, self._blueprint.plan, span)
        try:
            async with self._client(self._where.alerting) as client:
                outcome.alerts = await alarms.judged(client, self._means.ledger, self._patience)
        except AlertingError as error:
            outcome.troubles.append(str(error))
        outcome.histograms = {**outcome.histograms, "alert": alarms.delays}

    @property
    def _patience(self) -> float:
        return _HURRIED_S if self._means.stopping.is_set() else self._scenario.settle

    @contextlib.asynccontextmanager
    async def _follower(self) -> AsyncIterator[Follower | None]:
        if not self._where.devices_api:
            yield None
            return

        def told(due: int, took: int) -> None:
            if not self._queryable.all.count and self._fleet is not None:
                self._queryable = Delays(_QUERYABLE, self._fleet.progress.began)
            self._queryable.add(np.array([due], dtype=np.int64), np.array([took], dtype=np.int64))

        async with Follower(self._where.devices_api, self._where.key, self._means.now, told=told) as follower:
            yield follower

    def _client(self, base: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self._where.key}"} if self._where.key else {}
        return httpx.AsyncClient(base_url=base, headers=headers, timeout=_TIMEOUT_S, trust_env=False)

    def _connects(self, login: Callable[..., Login | None]) -> dict[str, Connect]:
        means, where = self._means, self._where
        broker = Broker(where.mqtt_host, where.mqtt_port, means.tls)
        options = Options(window=means.window)
        return clients(broker, login=login, now=means.now, rng=means.rng, log=means.log, options=options)

    def _nonce(self) -> str:
        return self._means.rng.randbytes(16).hex()
