"""What has to be done now and then: write down when keys were used, and delete what is too old."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from contracts.backoff import set_within
from contracts.logs import Log
from contracts.times import SECOND
from devices_api.errors import UnavailableError
from devices_api.keys.keyring import Keyring

if TYPE_CHECKING:
    from devices_api.repository import Repository

EVERY_S = 30.0

AT_ONCE = 1000
"""Rows that one transaction deletes, so that none holds the others up for long."""

_DAY = 86_400 * SECOND


class Upkeep:
    """Runs every 30 s, and once more at the end. Several replicas may: each deletes what is there.

    `audit_days` is how long the audit log is kept. `now` gives ns since 1970 UTC.
    """

    def __init__(
        self,
        repository: "Repository",
        keyring: Keyring,
        log: Log,
        now: Callable[[], int],
        *,
        audit_days: float,
    ) -> None:
        self._repository, self._keyring, self._log, self._now = repository, keyring, log, now
        self._kept = int(audit_days * _DAY)
        self._stopping = asyncio.Event()

    def finish(self) -> None:
        """Let `run` return after one more round."""
        self._stopping.set()

    async def run(self) -> None:
        """Do it until `finish`."""
        last = False
        while not last:
            last = await set_within(self._stopping, EVERY_S)
            try:
                await self._keyring.flush()
                if not last:
                    await self.sweep()
            except UnavailableError as error:
                self._log.warning("upkeep.put_off", error=repr(error))

    async def sweep(self) -> None:
        """Delete what is too old, a bounded number of rows at a time."""
        now, repository = self._now(), self._repository
        await self._all(lambda: repository.tickets.drop(now, AT_ONCE))
        await self._all(lambda: repository.answers.drop(now, AT_ONCE))
        await self._all(lambda: repository.audit.drop(now - self._kept, AT_ONCE))

    async def _all(self, drop: Callable[[], Awaitable[int]]) -> None:
        while await drop() == AT_ONCE and not self._stopping.is_set():
            pass
