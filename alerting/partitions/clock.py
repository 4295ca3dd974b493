"""What the clock does in all partitions, and how far each has heard."""

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Protocol

from alerting.metrics import Metrics
from alerting.partitions.holding import Holding
from alerting.partitions.intake import AWAY
from alerting.repository import AWAY as DATABASE_AWAY
from alerting.repository import Repository
from contracts.backoff import set_within
from contracts.logs import Log
from contracts.partitions import Reader
from contracts.streams import TELEMETRY

_TICK_S = 0.25
_LOOK_S = 1.0


class Heard(Protocol):
    """Up to when devices have been heard, as contracts.heard has it."""

    async def upto(self) -> int:
        """Give that time in ns, 0 where nobody knows. Raises what a call raises while the stream server is away."""


class Clock:
    """Lets time pass in the partitions of `holding`."""

    def __init__(
        self,
        holding: Holding,
        repository: Repository,
        readers: Mapping[str, Reader],
        heard: Heard,
        metrics: Metrics,
        now: Callable[[], int],
        log: Log,
    ) -> None:
        self._holding, self._repository, self._readers, self._heard = holding, repository, readers, heard
        self._metrics, self._now, self._log = metrics, now, log
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Tick, and write what came of it, for ever."""
        while True:
            now = self._now()
            for held in list(self._holding.held.values()):
                try:
                    held.shard.tick(now, held.mark.until)
                except Exception:  # noqa: BLE001 - our bug in one partition stops no other
                    self._log.exception("clock.unexpected", partition=held.partition)
            self._metrics.show([held.shard for held in self._holding.held.values()])
            heard = min((held.mark.until for held in self._holding.held.values()), default=0)
            self._metrics.heard_age_seconds.set((now - heard) / 1e9 if heard else math.inf)
            await self._holding.settle()
            await asyncio.sleep(_TICK_S)

    async def watch(self) -> None:
        """Look up how far each stream's partitions are, for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for stream, reader in self._readers.items():
                try:
                    await self._look(stream, reader)
                except AWAY:
                    continue

    async def _look(self, stream: str, reader: Reader) -> None:
        upto = await self._heard.upto() if stream == TELEMETRY.name else 0  # first: see Mark
        places = await reader.look(self._holding.epochs)
        waiting = sum(place.waiting for place in places.values())
        self._metrics.lag_messages.labels(stream).set(waiting)
        if not waiting:
            self._metrics.lag_seconds.labels(stream).set(0)
        self._metrics.attached.labels(stream).set(len(places))
        if stream != TELEMETRY.name:
            return
        for partition, place in places.items():
            held = self._holding.held.get(partition)
            if held is not None:
                held.mark.reach(place.acknowledged)
                if not place.waiting:
                    held.mark.note(upto, place.handed_out)

    def wake(self) -> None:
        """Look at once for alerts that are to end."""
        self._woken.set()

    async def end_asked(self) -> None:
        """End the alerts that operators want to end, for ever."""
        while True:
            await set_within(self._woken, _LOOK_S / 2)
            self._woken.clear()
            held = self._holding.held
            if not held:
                continue
            try:
                wanted = await self._repository.to_end(list(held))
            except DATABASE_AWAY:
                continue
            for partition, alert_id in wanted:
                if partition in held:
                    held[partition].shard.end(alert_id, self._now())
            if wanted:
                await self._holding.settle()
