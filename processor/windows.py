"""Aggregates of the points of one series in one window. Pure."""

from collections.abc import Iterable, Sequence
from math import inf, isfinite

from contracts.readings import Value
from contracts.timeseries import Kind, merged_m2, or_infinite

NO_START = -(1 << 62)
"""Start of a window that is none: long before every other."""


class Window:
    """Count, sum, m2, min, max, first and last of the points from `start` on; booleans and text: count and last.

    `m2` is the sum of the squared deviations from the mean, from which the standard deviation follows. Count, min,
    max, first and last are exact, sum and m2 up to rounding; infinite where they are too large for a float.
    """

    __slots__ = ("count", "first", "last", "m2", "max", "min", "start", "sum")

    def __init__(self, start: int = NO_START) -> None:
        self.start = start
        self.count = 0
        self.sum = self.m2 = self.min = self.max = 0.0
        self.first: Value = 0.0
        self.last: Value = 0.0

    def extend(self, value: Value) -> None:
        """Take in one newer point."""
        count = self.count
        self.count = count + 1
        self.last = value
        if value.__class__ is not float:
            return
        number: float = value
        if not count:
            self.sum = self.min = self.max = self.first = number
            return
        apart = number - self.sum / count
        m2 = self.m2 + apart * apart * count / (count + 1)
        total = self.sum + number
        # Without `or_infinite`, here and below: three windows of each series in a commit, and a call costs as much.
        self.m2 = m2 if isfinite(m2) else inf
        self.sum = total if isfinite(total) else inf
        if number < self.min:
            self.min = number
        elif number > self.max:
            self.max = number

    def sums(self) -> tuple[float | None, float | None]:
        """Return sum and m2, None where they are too large for a float."""
        return self.sum if isfinite(self.sum) else None, self.m2 if isfinite(self.m2) else None

    def absorb(self, later: "Window") -> None:
        """Take in a window of the same kind, all of whose points are newer."""
        before, more = self.count, later.count
        self.count = before + more
        self.last = later.last
        if not before:
            self.sum, self.m2, self.min, self.max, self.first = later.sum, later.m2, later.min, later.max, later.first
        elif later.last.__class__ is float:
            self.m2 = merged_m2(before, self.sum, self.m2, (more, later.sum, later.m2))
            total = self.sum + later.sum
            self.sum = total if isfinite(total) else inf
            self.min = min(self.min, later.min)
            self.max = max(self.max, later.max)


def aggregate(start: int, kind: Kind, values: Sequence[Value]) -> Window:
    """Compute the window of `values`, at least one, in order of time."""
    window = Window(start)
    window.count = len(values)
    window.last = values[-1]
    if kind is float:
        window.first = values[0]
        _sums(window, values)  # type: ignore[arg-type]  # they are numbers
    return window


def _sums(window: Window, numbers: Sequence[float]) -> None:
    window.min, window.max = min(numbers), max(numbers)
    window.sum = total = or_infinite(sum(numbers))
    mean = total / len(numbers)
    if window.min != window.max:
        window.m2 = or_infinite(sum([(number - mean) * (number - mean) for number in numbers]))


def joined(start: int, parts: Iterable[Window]) -> Window:
    """Compute the window that is made of `parts`, which are in order of time."""
    window = Window(start)
    for part in parts:
        window.absorb(part)
    return window
