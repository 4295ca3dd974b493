"""Drops what is older than its profile keeps it, while everything runs."""

import asyncio
from collections.abc import Callable

from contracts.logs import Log
from processor.metrics import Metrics
from processor.retention import Retentions
from processor.store import StoreUnavailableError
from processor.writer import Writer


class Tidying:
    """Asks the store every `every` seconds to drop whole parts of tiers; between two of them, writes go on."""

    def __init__(
        self,
        writer: Writer,
        retentions: Retentions,
        now: Callable[[], int],
        every: float,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._writer, self._retentions, self._now, self._every = writer, retentions, now, every
        self._metrics, self._log = metrics, log

    async def run(self) -> None:
        """Do it for ever."""
        while True:
            await asyncio.sleep(self._every)
            await self.turn()

    async def turn(self) -> None:
        """Do it once; a store that cannot do it now is asked again the next time."""
        for profile, tier, before in self._retentions.due(self._now()):
            try:
                dropped = await self._writer.drop(profile, tier, before)
            except StoreUnavailableError as error:
                self._log.warning("tidying.failed", profile=profile, tier=tier, error=str(error))
                return
            if dropped:
                self._log.info("tidying.dropped", profile=profile, tier=tier, before=before, parts=dropped)
                self._metrics.dropped.labels(tier).inc(dropped)
