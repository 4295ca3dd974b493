"""Messages that wait for their moment."""

import heapq
from bisect import bisect_right
from collections.abc import Iterable
from operator import itemgetter

from simulators.connections.outlet import Outgoing
from simulators.plan.batch import Batch

Timed = tuple[int, Outgoing, int]
"""When it is due (ns since 1970), the message, and the number of the device that sends it."""

_due = itemgetter(0)


class Queue:
    """Messages by the time when they are due; messages that are due together leave by number."""

    def __init__(self) -> None:
        self._ready: list[Timed] = []
        self._place = 0
        self._held: list[Timed] = []

    def __len__(self) -> int:
        return len(self._ready) - self._place + len(self._held)

    def add(self, batches: Iterable[Batch], end: int) -> None:
        """Add a slice of a plan, which is over at `end` (ns); each slice is later than the one before."""
        fresh: list[Timed] = []
        for batch in batches:
            numbers = range(batch.first, batch.first + len(batch))
            outgoing = zip(numbers, batch.topics, batch.payloads, batch.flags, strict=True)
            fresh.extend(zip(batch.intended, outgoing, batch.devices, strict=True))
        fresh.sort()
        inside = bisect_right(fresh, end, key=_due)
        for late in fresh[inside:]:
            heapq.heappush(self._held, late)
        del fresh[inside:]
        while self._held and self._held[0][0] <= end:
            fresh.append(heapq.heappop(self._held))
        self._ready = [*self._ready[self._place :], *fresh]
        self._ready.sort()
        self._place = 0

    def take(self, now: int, most: int) -> list[Timed]:
        """Give what is due by `now`, at most so many; also what a later slice would have brought, if none is added."""
        if self._place == len(self._ready) and self._held and self._held[0][0] <= now:
            self._ready, self._place = [], 0
            while self._held and self._held[0][0] <= now and len(self._ready) < most:
                self._ready.append(heapq.heappop(self._held))
        end = min(bisect_right(self._ready, now, self._place, key=_due), self._place + most)
        taken = self._ready[self._place : end]
        self._place = end
        return taken

    @property
    def next(self) -> int | None:
        """When the next message is due, of those that are known."""
        return self._ready[self._place][0] if self._place < len(self._ready) else None

    def finish(self) -> None:
        """Note that nothing more is added: what is held, however late it is due, is all that is left."""
        self._ready = sorted([*self._ready[self._place :], *self._held])
        self._place, self._held = 0, []
