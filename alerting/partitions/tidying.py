"""Forgetting what is too old to keep: one replica does it for all."""

import asyncio
from collections.abc import Callable

from alerting.claims import Claim
from alerting.repository import AWAY, Repository
from contracts.logs import Log

_EVERY_S = 60.0
_DAY_NS = 86_400_000_000_000


class Tidying:
    """Deletes resolved alerts after `history_days`, and what is left of deleted rules after a day."""

    def __init__(
        self, repository: Repository, leader: Claim, now: Callable[[], int], history_days: float, log: Log
    ) -> None:
        self._repository, self._leader, self._now, self._log = repository, leader, now, log
        self._history = int(history_days * _DAY_NS)

    async def run(self) -> None:
        """Tidy for ever."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                if self._leader.held:
                    await self.tidy()
            except AWAY as error:
                self._log.debug("tidying.failed", error=type(error).__name__)

    async def tidy(self) -> None:
        """Delete all of it."""
        now = self._now()
        while await self._repository.forget(now - self._history, now - _DAY_NS):
            continue
