"""Times at which something has to be looked at again."""

from collections.abc import Iterator
from heapq import heappop, heappush

MOST_AT_ONCE = 5_000
"""Keys that one look gives, so that whoever does much for each comes to other things, too; the rest is due at once."""

Key = tuple[str, str]
"""Rule and device."""


class Timers:
    """The next time for each key, at most one.

    A time that turns out to be too early costs a look, and one that is put off costs nothing: whoever looks sets it
    anew.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, Key]] = []
        self._next: dict[Key, int] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._next

    @property
    def first(self) -> int | None:
        """The earliest time at which something may have to be looked at; None if there is none."""
        return self._heap[0][0] if self._heap else None

    def arm(self, key: Key, at: int) -> None:
        """Have `key` looked at by `at`, or earlier if it is to be already."""
        queued = self._next.get(key)
        if queued is None or at < queued:
            self._next[key] = at
            heappush(self._heap, (at, key))

    def due(self, now: int) -> Iterator[Key]:
        """Give the keys whose time is before or at `now`; what is armed meanwhile for such a time may come, too."""
        given = 0
        while self._heap and self._heap[0][0] <= now and given < MOST_AT_ONCE:
            at, key = heappop(self._heap)
            if self._next.get(key) == at:
                del self._next[key]
                given += 1
                yield key
