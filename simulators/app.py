"""The composition root of the service: builds the fleet, its connections and its ledger, and reads the clock."""

import time
from pathlib import Path
from random import Random

from prometheus_client import CollectorRegistry

from contracts.logs import Log
from simulators.connections.clients import clients
from simulators.connections.limits import allow_connections
from simulators.connections.parties import Broker, Login, Options
from simulators.metrics import Metrics
from simulators.running.building import Blueprint
from simulators.running.fleet import Fleet
from simulators.scenario.plain import plain
from simulators.scenario.reading import ScenarioError, locate, read
from simulators.scenario.spec import Scenario
from simulators.settings import Settings

now = time.time_ns  # noqa: TID251 - the composition root reads the clock


class App:
    """A fleet as a service."""

    api = None

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings, self._log = settings, log
        self._metrics = Metrics()
        self.fleet: Fleet | None = None

    @property
    def registry(self) -> CollectorRegistry:
        """Hold this instance's metrics."""
        return self._metrics.registry

    def waiting_for(self) -> list[str]:
        """Name the broker until every connection is up, and the ledger once it cannot be written."""
        if self.fleet is None or not (self.fleet.up or self.fleet.failure):
            return ["broker"]
        return ["ledger"] if self.fleet.failure else []

    async def start(self) -> None:
        """Open the ledger and begin. Raises LedgerError, or ScenarioError, if one of them cannot be used."""
        if self.fleet is not None:
            return
        s = self._settings
        blueprint = _blueprint(s)
        ledger = blueprint.ledger(Path(s.ledger), now(), self._log) if s.ledger else None
        login = Login(s.mqtt_username, s.mqtt_password.get_secret_value()) if s.mqtt_username else None
        connects = clients(
            Broker(s.mqtt_host, s.mqtt_port),
            login=lambda _: login,
            now=now,
            rng=Random(),  # noqa: S311 - spreads reconnections, nothing more
            log=self._log,
            options=Options(window=s.window),
        )
        self.fleet = blueprint.fleet(connects, ledger=ledger, metrics=self._metrics, now=now, log=self._log)
        if ledger is not None:
            self._metrics.ledger_queue.set_function(lambda: ledger.queued)
        self.fleet.start()

    async def stop(self) -> None:
        """Stop publishing, wait for outstanding acknowledgements, say offline, and complete the ledger."""
        if self.fleet is not None:
            await self.fleet.stop(self._settings.drain_seconds)


def _blueprint(s: Settings) -> Blueprint:
    """Read what is to run. Raises ScenarioError, also for what is only there on a stage."""
    try:
        blueprint = Blueprint(_scenario(s), Path(s.scenario).parent)
        allow_connections(len(blueprint.lines))
    except ScenarioError:
        raise
    except ValueError as error:
        raise ScenarioError(str(error)) from error
    if set(blueprint.credentials) != {"none"}:
        raise ScenarioError("credentials: devices have their own with `sensorium simulate`; a service has one login")
    return blueprint


def _scenario(s: Settings) -> Scenario:
    if s.scenario:
        return read(locate(s.scenario))
    return plain(
        devices=s.devices,
        first=s.first,
        rate=s.rate,
        seconds=s.seconds,
        seed=s.seed,
        malformed=s.malformed,
        connections=s.connections,
    )
