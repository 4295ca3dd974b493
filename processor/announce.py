"""What of a write is told on DERIVED: closed windows, by partition. Pure."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping

from contracts.derived import Window as ClosedWindow
from contracts.timeseries import HOUR, MINUTE, Tier
from processor.closing import Closing
from processor.series import Series
from processor.windows import Window

Made = tuple[Series, Window]
Closed = Mapping[Tier, Iterable[Made]]

_ENDS: dict[Tier, Callable[[Series], int]] = {
    Tier.M1: lambda series: series.end,
    Tier.H1: lambda series: series.hour.start + HOUR,
    Tier.D1: lambda series: series.day_end,
}


class Clock:
    """The open windows that are over by the clock. A wider one is only looked at when a narrower one in it was closed.

    What is known of the windows that were open before a start, or a failed write, is gone: each is closed by the
    series' next point.
    """

    def __init__(self) -> None:
        self._closing = {tier: Closing(end) for tier, end in _ENDS.items()}

    def touch(self, series: Iterable[Series]) -> None:
        """Note that the open windows of each have changed."""
        self._closing[Tier.M1].touch(series)

    def forget(self, series: Iterable[Series]) -> None:
        """Drop series that are no longer in memory."""
        for closing in self._closing.values():
            closing.forget(series)

    def clear(self) -> None:
        """Drop all."""
        for closing in self._closing.values():
            closing.clear()

    def due(self, now: int, owned: Container[int]) -> list[tuple[int, ClosedWindow]]:
        """Return the windows of the partitions `owned` that are over, each with its partition."""
        closed: list[tuple[int, ClosedWindow]] = []
        for tier, closing in self._closing.items():
            series = closing.due(now)
            if tier is Tier.M1:
                self._closing[Tier.H1].touch(series)
            elif tier is Tier.H1:
                self._closing[Tier.D1].touch(series)
            made = [(one, one.open(tier)) for one in series if one.partition in owned]
            closed += windows_of({tier: made})
        return closed


def windows_of(closed: Closed) -> Iterator[tuple[int, ClosedWindow]]:
    """Give each window as it is told, with its partition."""
    for tier, made in closed.items():
        for series, window in made:
            if window.count:
                yield series.partition, _told(tier, series, window)


def _told(tier: Tier, series: Series, window: Window) -> ClosedWindow:
    start = window.start
    end = start + {Tier.M1: MINUTE, Tier.H1: HOUR}[tier] if tier is not Tier.D1 else series.days.of(start)[1]
    name = (series.device, series.profile, series.metric, tier.value, start, end, window.count, window.last)
    if series.kind is not float:
        return ClosedWindow(*name)
    return ClosedWindow(*name, *window.sums(), window.min, window.max, window.first)  # type: ignore[arg-type]  # a number
