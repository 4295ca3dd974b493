"""The course of a loop that works off what there is, and is woken when there is more."""

import asyncio
from collections.abc import Awaitable, Callable

from contracts.backoff import set_within
from contracts.logs import Log
from devices_api.errors import UnavailableError


class Rounds:
    """One round of work after the other: at once when woken, else every `every` seconds, until `finish`.

    What a round lacked is logged as `behind`, once for all rounds in a row that lack something.
    """

    def __init__(self, every: float, behind: str, log: Log) -> None:
        self._every, self._behind, self._log = every, behind, log
        self._woken = asyncio.Event()
        self.stopping = False

    def wake(self) -> None:
        """Tell of work, so that it is done at once."""
        self._woken.set()

    def finish(self) -> None:
        """Let `run` return after the round in hand, which may look at `stopping` to be shorter."""
        self.stopping = True
        self._woken.set()

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` again and again; it may raise UnavailableError."""
        told = False
        while not self.stopping:
            self._woken.clear()
            try:
                await work()
            except UnavailableError as error:
                if not told:
                    self._log.warning(self._behind, error=str(error))
                told = True
            else:
                told = False
            if not self.stopping:
                await set_within(self._woken, self._every)
