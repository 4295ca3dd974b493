"""A walk over what is stored of a device's metrics, past every moment that changed points have to do with. Pure.

A changed point of a metric counts until the metric's next one, which it is the point before of, and for a day at most.
"""

from bisect import bisect_left
from collections.abc import Callable, Generator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from contracts.readings import Value
from contracts.timeseries import DAY, MINUTE, RANK
from processor.series import NEVER, Series
from processor.store import Span

MOST_AGE = DAY
"""Up to this age, in ns, the newest value of a metric counts, and a counter's point is the one before."""

NONE_REMOVED: Mapping[str, int] = {}

Point = tuple[int, Value]
Asking = Generator[list[Span], list[list[Point]], None]
"""Yields spans, and is sent the points of each."""
Visit = Callable[[int, Mapping[str, Value], Mapping[str, Value], Mapping[str, Point]], None]
"""Takes a moment: its time, the values of that time, other metrics' newest values, and the points before its values."""

_WIDER = 4
"""How much wider the next part is that is read: what lies near costs little, a day takes seven questions."""
_WIDEST = DAY
"""No part is wider."""


class Walk:
    """Shows `visit` each moment that the `changed` points (metrics, by time) influence, in order of time.

    A moment is a time at which one of `series` has a point; none of them has an unknown newest point. Beside the times
    of `changed` at most `most` moments are visited; if there are more, `cut` is True in the end. Where a metric has
    points of several kinds at one time, a number goes before a boolean, and that before a text.

    `removed` are metrics that have lost points, none of which is older than the first time of `changed`: until when,
    inclusively, the last of these would have counted.
    """

    def __init__(
        self,
        series: Sequence[Series],
        changed: Mapping[int, AbstractSet[str]],
        most: int,
        visit: Visit,
        removed: Mapping[str, int] = NONE_REMOVED,
    ) -> None:
        self._series = sorted((one for one in series if one.newest != NEVER), key=lambda one: RANK[one.kind])
        self._end = max((one.newest for one in self._series), default=NEVER) + 1
        self._changed, self._most, self._visit = changed, most, visit
        self._times = sorted(changed)
        self._at: dict[str, Point] = {}  # the newest point of each metric before the moment
        self._influential: dict[str, int] = {}  # metrics of which that point has changed: until when it counts
        self._removed = removed
        self.cut = False

    def run(self) -> Asking:
        """Walk from change to change."""
        number = 0
        while number < len(self._times) and self._times[number] < self._end:
            yield from self._look_back(self._times[number])
            if not number:
                self._influential.update(self._removed)
            reached = yield from self._go_on(self._times[number])
            number = bisect_left(self._times, reached)

    def _look_back(self, start: int) -> Asking:
        """Find the newest point of each metric before `start`."""
        self._at.clear()
        self._influential.clear()
        missing = {series.metric for series in self._series}
        end, width = start, MINUTE
        while missing and end > start - MOST_AGE:
            begin = max(end - width, start - MOST_AGE)
            spans = [Span(series, begin, end) for series in self._series if series.metric in missing]
            for span, points in zip(spans, (yield spans), strict=True):
                metric = span.series.metric
                if points and (metric not in self._at or points[-1][0] > self._at[metric][0]):
                    self._at[metric] = points[-1]
            missing -= self._at.keys()
            end, width = begin, width * _WIDER

    def _go_on(self, start: int) -> Generator[list[Span], list[list[Point]], int]:
        """Pass all moments from `start` on until nothing that has changed counts any more; return how far that was."""
        width = MINUTE
        while True:
            end = min(start + width, self._end)
            moments: dict[int, dict[str, Value]] = {}
            spans = [Span(series, start, end) for series in self._series]
            for span, points in zip(spans, (yield spans), strict=True):
                for ts, value in points:
                    moments.setdefault(ts, {}).setdefault(span.series.metric, value)
            for ts in sorted(moments):
                self._pass(ts, moments[ts])
            self._age(end)
            if end == self._end or not self._influential:
                return end
            start, width = end, min(width * _WIDER, _WIDEST)

    def _pass(self, ts: int, own: Mapping[str, Value]) -> None:
        changed = self._changed.get(ts)
        self._age(ts)
        if changed is None and self._influential:
            if self._most:
                self._most -= 1
            else:
                self.cut = True
                self._influential.clear()
        if changed is not None or self._influential:
            points = {metric: point for metric, point in self._at.items() if point[0] >= ts - MOST_AGE}
            newest = {metric: value for metric, (_, value) in points.items()}
            self._visit(ts, own, newest, points)
        for metric in own:
            self._influential.pop(metric, None)
        if changed is not None and not self.cut:
            self._influential.update(dict.fromkeys(changed & own.keys(), ts + MOST_AGE))
        for metric, value in own.items():
            self._at[metric] = ts, value

    def _age(self, ts: int) -> None:
        for metric in [metric for metric, until in self._influential.items() if until < ts]:
            del self._influential[metric]
