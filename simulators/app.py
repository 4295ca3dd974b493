"""The composition root: builds the fleet, its connections and its ledger, and reads the clock."""

import asyncio
import contextlib
import time
from pathlib import Path
from random import Random

from prometheus_client import CollectorRegistry

from contracts.backoff import keep_running
from contracts.logs import Log
from simulators.fleet import fleet
from simulators.ledger import About, Ledger
from simulators.metrics import Metrics
from simulators.mqtt import Broker, Connection
from simulators.schedule import Schedule
from simulators.sender import Sender
from simulators.settings import Settings

now = time.time_ns  # noqa: TID251 - the composition root reads the clock

_ACKS_SHARE, _FAREWELL_SHARE = 0.6, 0.2
"""Shares of the drain time for outstanding acknowledgements and for saying that the devices are offline."""


class App:
    """The simulators as a service; also what `sensorium simulate` runs, without HTTP."""

    api = None

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings, self._log = settings, log
        self._metrics = Metrics()
        self._task: asyncio.Task[None] | None = None
        self._connections: list[Connection] = []
        self.ledger: Ledger | None = None
        self.sender: Sender | None = None

    @property
    def registry(self) -> CollectorRegistry:
        """Hold this instance's metrics."""
        return self._metrics.registry

    @property
    def reconnects(self) -> int:
        """How often a connection came back."""
        return sum(connection.reconnects for connection in self._connections)

    def waiting_for(self) -> list[str]:
        """Name the broker until every connection is up; a fleet that is done is ready."""
        return [] if self.sender is not None and self.sender.up else ["broker"]

    async def start(self) -> None:
        """Open the ledger and begin. Raises LedgerError if the ledger cannot be used."""
        if self._task is not None:
            return
        s, rng = self._settings, Random()  # noqa: S311 - spreads reconnections, nothing more
        members = fleet(s.seed, s.devices, s.first)
        if s.ledger:
            about = About(s.seed, s.devices, s.first, s.rate, s.seconds, s.malformed)
            self.ledger = Ledger(Path(s.ledger), about, now(), self._log)
        broker = Broker(s.mqtt_host, s.mqtt_port, s.mqtt_username, s.mqtt_password.get_secret_value())
        outlets = {}
        count = min(s.devices, s.connections)
        for n in range(count):
            share = members[n::count]
            connection = Connection(
                broker,
                client_id=f"simulator-{share[0].id}",
                devices=[device.id for device in share],
                acked=lambda number: self.sender.acked(number) if self.sender else None,
                reconnected=self._metrics.reconnects.inc,
                window=s.window,
                rng=rng,
                log=self._log,
            )
            self._connections.append(connection)
            outlets.update(dict.fromkeys(share, connection))
        sender = Sender(
            schedule=Schedule(members, s.rate, s.seconds, s.seed),
            malformed=s.malformed,
            outlets=dict(outlets),
            ledger=self.ledger,
            metrics=self._metrics,
            now=now,
        )
        self.sender = sender
        self._metrics.watch(
            unacked=lambda: sender.unacked,
            connected=lambda: sum(connection.up for connection in self._connections),
            queued=lambda: self.ledger.queued if self.ledger else 0,
        )
        for connection in self._connections:
            connection.start()
        self._task = asyncio.create_task(keep_running("fleet", sender.run, rng, self._log))

    async def settled(self, seconds: float) -> bool:
        """Wait for up to `seconds` until everything published is acknowledged; returns whether it is."""
        return all(await asyncio.gather(*(connection.settle(seconds) for connection in self._connections)))

    async def stop(self) -> None:
        """Stop publishing, wait for outstanding acknowledgements, say offline, and complete the ledger."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        drain = self._settings.drain_seconds
        try:
            await self.settled(drain * _ACKS_SHARE)
            await asyncio.gather(*(connection.stop(drain * _FAREWELL_SHARE) for connection in self._connections))
        finally:
            if self.ledger is not None:
                await asyncio.to_thread(self.ledger.close)
