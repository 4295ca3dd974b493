"""Replays by themselves: the dead letters of a device that is registered now, or has explained its aliases."""

import asyncio
from collections.abc import Callable

from contracts.backoff import set_within
from contracts.deadletters import Reason
from contracts.logs import Log
from devices_api.errors import UnavailableError
from devices_api.letters.autoreplays import AutoReplay, AutoReplays
from devices_api.letters.deadletters import Cause, DeadLetters, Rest
from devices_api.letters.selection import Selection

AT_ONCE = 256
"""Rows of the table that are taken at a time."""
AT_A_TIME = 1000
"""Dead letters replayed before looking whether to go on."""
LATER_NS = 10_000_000_000
"""How long one waits that could not be replayed."""

_POLL_S = 1.0
_CAUSES: dict[str, Cause] = {Reason.UNKNOWN_DEVICE: "registered", Reason.UNKNOWN_ALIAS: "online"}


class AutoReplayer:
    """Works off the table. What is interrupted is begun anew: a replay deletes what it has handed over."""

    def __init__(self, table: AutoReplays, letters: DeadLetters, log: Log, now: Callable[[], int]) -> None:
        self._table, self._letters, self._log, self._now = table, letters, log, now
        self._stopping = asyncio.Event()
        self._behind = False

    def finish(self) -> None:
        """Let `run` return after the dead letters in hand."""
        self._stopping.set()

    async def run(self) -> None:
        """Replay what is due, whenever there is something, until `finish`."""
        while not self._stopping.is_set():
            try:
                more = await self._work()
            except UnavailableError as error:
                if not self._behind:
                    self._log.warning("autoreplay.behind", error=str(error))
                self._behind, more = True, False
            else:
                self._behind = False
            if not more:
                await set_within(self._stopping, _POLL_S)

    async def _work(self) -> bool:
        """Replay some of what is due; says whether there may be more."""
        due = await self._table.due(self._now(), AT_ONCE)
        if not due:
            return False
        having = await self._letters.having([(item.reason, item.device) for item in due])
        idle = [item for item in due if (item.reason, item.device) not in having]
        if idle:
            await self._table.passed(idle, self._now())
        for item in due:
            if (item.reason, item.device) in having:
                try:
                    done = await self._replay(item)
                except UnavailableError:
                    await self._table.postpone(item, self._now() + LATER_NS)
                    raise
                if not done:
                    return False
                await self._table.passed([item], self._now())
        return True

    async def _replay(self, item: AutoReplay) -> bool:
        """Replay all of a device's dead letters that there are by now; False if it was told to stop before the end."""
        selection = Selection(Reason(item.reason), item.device, start=item.since or None)
        rest: Rest | None = None
        while not self._stopping.is_set():
            sweep = await self._letters.replay_all(selection, rest, AT_A_TIME, _CAUSES[item.reason])
            rest = sweep.rest
            if rest is None:
                return True
        return False
