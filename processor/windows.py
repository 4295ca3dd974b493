"""Aggregates of the points of one series in one window. Pure."""

from collections.abc import Iterable, Sequence

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
        if value.__class__ is float and self.count:
            number: float = value
            apart = number - self.sum / self.count
            self.m2 = or_infinite(self.m2 + apart * apart * self.count / (self.count + 1))
            self.sum = or_infinite(self.sum + number)
            if number < self.min:
                self.min = number
            elif number > self.max:
                self.max = number
        elif value.__class__ is float:
            self.sum = self.min = self.max = self.first = value
        self.count += 1
        self.last = value

    def absorb(self, later: "Window") -> None:
        """Take in a window of the same kind, all of whose points are newer."""
        if not self.count:
            self.count, self.sum, self.m2 = later.count, later.sum, later.m2
            self.min, self.max, self.first, self.last = later.min, later.max, later.first, later.last
            return
        if later.last.__class__ is float:
            self.m2 = merged_m2(self.count, self.sum, self.m2, (later.count, later.sum, later.m2))
            self.sum = or_infinite(self.sum + later.sum)
            self.min = min(self.min, later.min)
            self.max = max(self.max, later.max)
        self.count += later.count
        self.last = later.last


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
