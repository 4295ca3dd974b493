"""Windows that the clock closes: to a series that fell silent no newer point comes, yet its window is over. Pure."""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)

GRACE = 5_000_000_000
"""How long a window has to be over, and no point to come, until it counts as closed, in ns."""


class Closing(Generic[S]):
    """The series whose open window has changed since the clock last closed it; of one tier. Not for several threads.

    `end_of` gives the end of a series' open window as it is now, in ns since 1970 UTC. Each series is held once at
    most, and no longer than until it is due. A wider tier need not be touched for each write: touch it with the series
    that are due in the narrower one, for a window in which nothing was closed yet cannot be closed itself.
    """

    def __init__(self, end_of: Callable[[S], int], grace: int = GRACE) -> None:
        self._end_of, self._grace = end_of, grace
        self._changed: set[S] = set()  # since `_asked`
        self._asked = 0
        self._due: dict[S, int] = {}
        self._waiting: dict[int, set[S]] = {}  # by when they are due

    def __len__(self) -> int:
        return len(self._changed | self._due.keys())

    def touch(self, series: Iterable[S]) -> None:
        """Note that the open window of each has changed, or is another one."""
        self._changed.update(series)

    def due(self, now: int) -> list[S]:
        """Return the series whose open window the clock closes, each once for all that has changed until now.

        That is so from `grace` after the window's end, or after the last touch if that is later: what is still being
        filled with old points is not closed again and again. To be asked every few seconds, with a clock that may
        step; what is due is returned at the first ask.
        """
        due = self._due
        since = min(self._asked, now) + self._grace
        for series, end in zip(self._changed, map(self._end_of, self._changed), strict=True):
            at = max(end + self._grace, since)
            if due.get(series) != at:
                self._wait(series, at)
        self._changed.clear()
        self._asked = now
        closed = []
        for at in sorted(at for at in self._waiting if at <= now):
            for series in self._waiting.pop(at):
                del due[series]
                end = self._end_of(series)
                if end + self._grace > now:  # it has gone on to another window meanwhile
                    self._wait(series, end + self._grace)
                else:
                    closed.append(series)
        return closed

    def forget(self, series: Iterable[S]) -> None:
        """Drop series that are no longer in memory, or no longer ours: what is known of them may be out of date."""
        for one in series:
            self._changed.discard(one)
            self._leave(one)

    def clear(self) -> None:
        """Drop all."""
        self._changed.clear()
        self._due.clear()
        self._waiting.clear()

    def _wait(self, series: S, at: int) -> None:
        self._leave(series)
        self._due[series] = at
        self._waiting.setdefault(at, set()).add(series)

    def _leave(self, series: S) -> None:
        at = self._due.pop(series, None)
        if at is None:
            return
        there = self._waiting[at]
        there.discard(series)
        if not there:
            del self._waiting[at]
