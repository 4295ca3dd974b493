"""What history has to give, and history that comes with a request."""

from collections.abc import AsyncIterator, Collection, Iterable
from typing import Protocol

from contracts.derived import Window
from contracts.readings import Reading, Value
from contracts.timeseries import WIDTHS, Days, Tier, merged_m2


class UnavailableError(Exception):
    """History cannot be had now; the message says why."""


class History(Protocol):
    """Readings and windows of devices, each in order of time, with `start` <= ts < `end`, in ns since 1970 UTC.

    Both read on as they are asked. Raise UnavailableError.
    """

    def readings(self, device: str, metrics: Collection[str], start: int, end: int) -> AsyncIterator[Reading]:
        """Give what the device sent of `metrics`; of everything where that is empty."""

    def windows(self, device: str, metric: str, tier: Tier, days: Days, start: int, end: int) -> AsyncIterator[Window]:
        """Give the windows of a metric that are whole within the time; a day is one of `days`."""


class GivenHistory:
    """Readings that somebody made up, or brought: in any order."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._by_device: dict[str, list[Reading]] = {}
        for reading in sorted(readings, key=lambda reading: reading.ts):
            self._by_device.setdefault(reading.device, []).append(reading)

    async def readings(self, device: str, metrics: Collection[str], start: int, end: int) -> AsyncIterator[Reading]:
        """Give readings as History says."""
        for reading in self._by_device.get(device, ()):
            if start <= reading.ts < end and (not metrics or not reading.values.keys().isdisjoint(metrics)):
                yield reading

    async def windows(
        self, device: str, metric: str, tier: Tier, days: Days, start: int, end: int
    ) -> AsyncIterator[Window]:
        """Give windows as History says: of numbers alone."""
        points: list[float] = []
        span = (start, start)
        async for reading in self.readings(device, (metric,), start, end):
            value = reading.values[metric]
            if type(value) is not float:
                continue
            if reading.ts >= span[1]:
                if points and span[0] >= start:
                    yield window_of(device, metric, tier, span, points)
                points, span = [], span_of(tier, reading.ts, days)
            points.append(value)
        if points and span[0] >= start and span[1] <= end:
            yield window_of(device, metric, tier, span, points)


def span_of(tier: Tier, ts: int, days: Days) -> tuple[int, int]:
    """Return when the window of `tier` that `ts` is in begins and ends."""
    if tier is Tier.D1:
        return days.of(ts)
    width = WIDTHS[tier]
    start = ts - ts % width
    return start, start + width


def window_of(device: str, metric: str, tier: Tier, span: tuple[int, int], points: list[float]) -> Window:
    """Aggregate the points of one window, at least one, in order of time."""
    count, total, m2 = 1, points[0], 0.0
    for point in points[1:]:
        m2 = merged_m2(count, total, m2, (1, point, 0.0))
        count, total = count + 1, total + point
    last: Value = points[-1]
    return Window(device, "", metric, tier, *span, count, last, total, m2, min(points), max(points), points[0])
