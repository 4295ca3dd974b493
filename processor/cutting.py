"""What is left of the windows of series of which a range of points is to be deleted. Pure.

A window inside the range goes. One that the range cuts is computed anew, a minute from its points, an hour from its
minutes, a day from its hours: as they will be, while all of them are still stored as they were. If it is not the sum
of these even now, some of what it was made of is stored no more, and it stays as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.timeseries import DAY, HOUR, MINUTE, ROLLUPS, WIDTHS, Tier
from processor.announce import Made
from processor.series import Series
from processor.store import Span, Store
from processor.windows import Window, aggregate, joined

_LONGEST_DAY = DAY + 2 * HOUR


@dataclass
class Cuts:
    """What becomes of windows, by tier: those that begin in the spans of `removed` go, and `left` are to be written.

    `left` has all that the range cuts and that something is left of; `kept` of them are as they were.
    """

    removed: dict[Tier, list[Span]] = field(default_factory=lambda: {tier: [] for tier in ROLLUPS})
    left: dict[Tier, list[Made]] = field(default_factory=lambda: {tier: [] for tier in ROLLUPS})
    kept: int = 0


class _Edge(NamedTuple):
    """A window that the range cuts, and what is stored of it."""

    span: Span
    stored: Window | None


class _Part(NamedTuple):
    """Something that a window is made of: the end of its span, what it is, and what will be left of it."""

    now: Window
    then: Window


def cut(store: Store, series: Sequence[Series], start: int, end: int) -> Cuts:
    """Tell what deleting the points of each series with `start` <= ts < `end` does to its windows.

    All windows are to be stored as closed ones, those of the newest points too.
    """
    cuts, then = Cuts(), dict[tuple[Tier, Series, int], Window]()
    for tier in ROLLUPS:
        edges = list(_edges(store, tier, series, start, end, cuts))
        spans = [edge.span for edge in edges]
        for edge, parts in zip(edges, _parts(store, tier, spans, (start, end), then), strict=True):
            at, stored = edge.span.start, edge.stored
            if stored is not None and stored.count != sum(part.now.count for part in parts):
                cuts.left[tier].append((edge.span.series, stored))
                cuts.kept += 1
                continue
            window = joined(at, (part.then for part in parts if part.then.count))
            then[tier, edge.span.series, at] = window
            if window.count:
                cuts.left[tier].append((edge.span.series, window))
            elif stored is not None:
                cuts.removed[tier].append(Span(edge.span.series, at, at + 1))
    return cuts


def _edges(store: Store, tier: Tier, series: Sequence[Series], start: int, end: int, cuts: Cuts) -> Iterator[_Edge]:
    """Give the windows that the range cuts, and note those that lie inside it as removed."""
    if tier is Tier.D1:
        yield from _days(store, series, start, end, cuts)
        return
    width = WIDTHS[tier]
    first, last = -(-start // width) * width, end // width * width
    if first < last:
        cuts.removed[tier] += [Span(one, first, last) for one in series]
    starts = sorted({at // width * width for at in (start, end) if at % width})
    spans = [Span(one, at, at + width) for one in series for at in starts]
    for span, found in zip(spans, store.windows(tier, spans) if spans else (), strict=True):
        yield _Edge(span, found[0] if found else None)


def _days(store: Store, series: Sequence[Series], start: int, end: int, cuts: Cuts) -> Iterator[_Edge]:
    """Do the same for days. A day of another zone, which the device had before, is as long as most days."""
    near = [(_whole(start - _LONGEST_DAY), _whole(start)), (_whole(max(start, end - _LONGEST_DAY)), _whole(end))]
    if near[0][1] < near[1][0]:
        cuts.removed[Tier.D1] += [Span(one, near[0][1], near[1][0]) for one in series]
    spans = [Span(one, *bounds) for one in series for bounds in near]
    found = iter(store.windows(Tier.D1, spans) if spans else ())
    for one in series:
        stored = {window.start: window for _ in near for window in next(found)}
        days = {at: _day(one, at) for at in stored}
        for edge in (start, end):
            if not any(at < edge < until for at, until in days.items()):
                at, until = one.days.of(edge)
                days[at] = until
        for at, until in days.items():
            if start <= at and until <= end:
                cuts.removed[Tier.D1].append(Span(one, at, at + 1))
            elif at < start < until or at < end < until:
                yield _Edge(Span(one, at, until), stored.get(at))


def _day(series: Series, at: int) -> int:
    begins, ends = series.days.of(at)
    return ends if begins == at else at + DAY


def _whole(at: int) -> int:
    return -(-at // MINUTE) * MINUTE


def _parts(
    store: Store,
    tier: Tier,
    spans: Sequence[Span],
    bounds: tuple[int, int],
    then: Mapping[tuple[Tier, Series, int], Window],
) -> Iterator[list[_Part]]:
    """Give what each window is made of, in order of time."""
    if not spans:
        return
    if tier is Tier.M1:
        for span, points in zip(spans, store.points(spans), strict=True):
            left = [value for ts, value in points if not bounds[0] <= ts < bounds[1]]
            now = Window(span.start)
            now.count = len(points)
            yield [_Part(now, aggregate(span.start, span.series.kind, left) if left else Window(span.start))]
        return
    inner = spans
    if tier is Tier.D1:
        inner = [Span(one, -(-start // HOUR) * HOUR, end // HOUR * HOUR) for one, start, end in spans]
    finer = Tier.M1 if tier is Tier.H1 else Tier.H1
    whole = store.windows(finer, inner)
    ragged = [part for span, hours in zip(spans, inner, strict=True) for part in _ragged(span, hours)]
    minutes = iter(store.windows(Tier.M1, ragged) if ragged else ())
    for span, hours, found in zip(spans, inner, whole, strict=True):
        before = next(minutes) if span.start < hours.start else []
        after = next(minutes) if hours.end < span.end else []
        pieces = [(Tier.M1, before), (finer, found), (Tier.M1, after)]
        yield [_Part(one, _then(kind, span.series, one, bounds, then)) for kind, some in pieces for one in some]


def _ragged(span: Span, hours: Span) -> Iterator[Span]:
    """Give the parts of a day before its first and after its last whole hour."""
    for start, end in ((span.start, hours.start), (hours.end, span.end)):
        if start < end:
            yield Span(span.series, start, end)


def _then(
    tier: Tier,
    series: Series,
    window: Window,
    bounds: tuple[int, int],
    then: Mapping[tuple[Tier, Series, int], Window],
) -> Window:
    """Give what will be left of a stored window."""
    if bounds[0] <= window.start and window.start + WIDTHS[tier] <= bounds[1]:
        return Window(window.start)
    return then.get((tier, series, window.start), window)
