"""Rollup windows: which can simply be extended, and which have to be computed anew from the stored points. Pure.

The law: a window equals the aggregate of the distinct numeric points in it, whatever the order, duplication and
lateness in which they came. A point that is newer than every point of its series can be no duplicate and changes no
sum already made, so it extends the series' open window. Whatever else comes marks its window as stale, and a stale
window is computed anew from its stored points, in order of time, by the same addition: the sums are the same bits.
"""

from collections.abc import Iterable
from enum import StrEnum

from contracts.readings import Value
from contracts.timeseries import ROLLUP_WIDTH

NEVER = -1
"""`newest` of a series that has no point."""

UNKNOWN = 1 << 63
"""`newest` of a series of which this process does not know what is stored: no point is newer."""


class Stale(StrEnum):
    """Why a window has to be computed anew."""

    LATE = "late"
    """A point is older than the series' newest: out of order, or a repetition of an older point."""
    DUPLICATE = "duplicate"
    """The series' newest point came again, perhaps with another value."""
    UNKNOWN = "unknown"
    """What is stored of the series is not known in memory: after a start, an eviction or a failed transaction."""


class Window:
    """Aggregate of the numeric points of one series from `start` on, for ROLLUP_WIDTH ns."""

    __slots__ = ("changed", "count", "first", "last", "max", "min", "start", "sum")

    def __init__(self, start: int) -> None:
        self.start = start
        self.changed = False
        self.count = 0
        self.sum = self.min = self.max = self.first = self.last = 0.0

    def extend(self, value: float) -> None:
        """Take in a point that is newer than all before it."""
        if self.count:
            if value < self.min:
                self.min = value
            elif value > self.max:
                self.max = value
        else:
            self.first = self.min = self.max = value
        self.count += 1
        self.sum += value
        self.last = value


def aggregate(start: int, values: Iterable[Value]) -> Window:
    """Compute a window from its points, which are in order of time; what is no number does not count."""
    window = Window(start)
    for value in values:
        if isinstance(value, float):
            window.extend(value)
    return window


def window_start(ts: int) -> int:
    """Return the start of the window that `ts` belongs to."""
    return ts - ts % ROLLUP_WIDTH


class Series:
    """What is known of one series: its newest point's time, and that point's window."""

    __slots__ = ("id", "newest", "window")

    def __init__(self, id_: int, newest: int) -> None:
        self.id = id_
        self.newest = newest
        self.window = Window(NEVER)

    def learn(self, newest: int, window: Window) -> None:
        """Know what is stored: from here on newer points extend `window`."""
        self.newest, self.window = newest, window


class Changes:
    """What one transaction changes: windows that were extended or left behind, and windows that are stale."""

    def __init__(self) -> None:
        self.stale: dict[tuple[int, int], tuple[Series, Stale]] = {}
        self.unknown: dict[int, Series] = {}
        self._extended: list[tuple[Series, Window]] = []
        self.left: list[tuple[int, Window]] = []  # (series id, window) that is no longer the open one

    def take(self, series: Series, ts: int, start: int, value: Value) -> None:
        """Take in one point of the window that begins at `start`."""
        if ts > series.newest:
            series.newest = ts
            window = series.window
            if window.start != start:
                self.left.append((series.id, window))
                window = series.window = Window(start)
            if isinstance(value, float):
                window.extend(value)
                if not window.changed:
                    window.changed = True
                    self._extended.append((series, window))
        elif series.newest == UNKNOWN:
            self.unknown[series.id] = series
            self.stale[series.id, start] = series, Stale.UNKNOWN
        else:
            self.stale[series.id, start] = series, Stale.DUPLICATE if ts == series.newest else Stale.LATE

    def settle(self) -> tuple[list[tuple[int, Window]], list[tuple[int, Window]]]:
        """Return `(series id, window)` of the open windows that were extended, and of those that were left behind.

        Stale and empty windows are in neither. The open windows count as unchanged from now on.
        """
        for _, window in self._extended:
            window.changed = False
        stale = self.stale
        is_open = [
            (series.id, window)
            for series, window in self._extended
            if window is series.window and (series.id, window.start) not in stale
        ]
        closed = [(id_, window) for id_, window in self.left if window.count and (id_, window.start) not in stale]
        return is_open, closed
