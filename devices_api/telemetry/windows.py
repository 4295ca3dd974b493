"""Aggregates over windows: which tier answers which part of a query, and how parts combine.

Windows are named by their start. A query is over exactly start <= ts < end: where that cuts a window, only the points
inside count. Each part is answered by the coarsest tier whose windows lie within those that are asked for, since that
is the fastest to read and kept for longest.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from contracts.readings import Value
from contracts.timeseries import DAY, WIDTHS, Days, Kind, Tier, merged_m2

MAX_WINDOWS = 10_000

Source = Literal["rollup_1d", "rollup_1h", "rollup_1m", "raw"]

_SOURCES: dict[Tier, Source] = {
    Tier.D1: "rollup_1d", Tier.H1: "rollup_1h", Tier.M1: "rollup_1m", Tier.RAW: "raw",
}  # fmt: skip


class Aggregate(StrEnum):
    """What can be asked of a window's points; of booleans and text, only the count and the last."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    FIRST = "first"
    LAST = "last"
    STDDEV = "stddev"
    """Of all that there is, not of a sample: the root of m2 / count."""


OF_ANY_KIND = (Aggregate.COUNT, Aggregate.LAST)


@dataclass(frozen=True)
class Every:
    """Windows of one `width` in ns, aligned to the epoch."""

    width: int

    def of(self, ts: int) -> tuple[int, int]:
        """Return when the window of `ts` begins, and when the next one does."""
        start = ts - ts % self.width
        return start, start + self.width


class Unit(StrEnum):
    """Windows that are made of whole days, by how intervals name them."""

    WEEK = "1w"
    MONTH = "1mo"


class Calendar:
    """The weeks, from Monday on, or the months of a time zone: each is made of its local `days`."""

    def __init__(self, days: Days, unit: Unit) -> None:
        self.days, self.unit, self.name = days, unit, days.name
        self._zone = ZoneInfo(days.name)
        self._last = (0, 0)

    def of(self, ts: int) -> tuple[int, int]:
        """Return when the week or month of `ts` begins, and when the next one does."""
        start, end = self._last
        if not start <= ts < end:
            start, end = self.days.of(ts)
            number = self.number(start)
            while self.number(start - 1) == number:
                start = self.days.of(start - 1)[0]
            while self.number(end) == number:
                end = self.days.of(end)[1]
            self._last = start, end
        return start, end

    def number(self, ts: int) -> tuple[int, int]:
        """Return the year and the number in it of the week or month that the day of `ts` is in."""
        start, end = self.days.of(ts)
        date = datetime.fromtimestamp((start + end) // 2_000_000_000, self._zone).date()
        return date.isocalendar()[:2] if self.unit is Unit.WEEK else (date.year, date.month)


Grid = Every | Days | Calendar
"""The windows that are asked for."""


@dataclass(frozen=True)
class Query:
    """An aggregate over each window of `grid` that `start` <= ts < `end` touches, of one metric.

    `days` are those of the device, where they are known: what a store has of tier 1d.
    """

    device: str
    metric: str
    aggregate: Aggregate
    start: int
    end: int
    grid: Grid
    days: Days | None = None


class Answer(NamedTuple):
    """`(start, value)` of each window that holds a point, and what answered for the most part."""

    windows: list[tuple[int, Value]]
    source: Source


@dataclass(frozen=True)
class Piece:
    """A part of a query, `start` <= ts < `end` in ns, that one tier answers.

    What lies in it belongs to the windows of `width` from `origin` on; but each day of tier 1d to that of its start.
    """

    tier: Tier
    start: int
    end: int
    origin: int
    width: int


@dataclass(slots=True)
class Row:
    """A window as it is stored; see contracts.sqlite_layout. A sum that is None is too large for a float."""

    start: int
    count: int
    sum: float | None
    m2: float | None
    min: float | None
    max: float | None
    first: float | None
    last: Value


@dataclass(slots=True)
class Part:
    """What one piece of one series gives for the window at `start`, over `count` points.

    `value` is the sum for a mean, and m2 for a standard deviation, with the sum in `total`. `at` is the time of the
    first or last, or the start of the stored window that it is in.
    """

    start: int
    count: int
    value: Any
    at: int = 0
    total: float = 0.0


def count_windows(start: int, end: int, grid: Grid) -> int:
    """Count the windows that start <= ts < end touches."""
    first, last = grid.of(start)[0], grid.of(end - 1)[0]
    match grid:
        case Every():
            return (last - first) // grid.width + 1
        case Calendar(unit=Unit.MONTH):
            months = [year * 12 + month for year, month in (grid.number(first), grid.number(last))]
            return months[1] - months[0] + 1
        case Calendar():
            return round((last - first) / (7 * DAY)) + 1
        case _:
            return round((last - first) / DAY) + 1


def starts_in(start: int, end: int, grid: Grid) -> Iterator[int]:
    """Give the start of each window that start <= ts < `end` touches."""
    at = grid.of(start)[0]
    while at < end:
        yield at
        at = grid.of(at)[1]


def end_of(start: int, end: int, grid: Grid, most: int) -> int:
    """Return where the first `most` windows from `start` on end, `end` at the latest."""
    for _ in range(most):
        if start >= end:
            return end
        start = grid.of(start)[1]
    return min(start, end)


def plan(start: int, end: int, grid: Grid, days: Days | None) -> list[Piece]:
    """Split a query into pieces, in time order. Windows of tier 1d are those of `days`; None: there are none."""
    if isinstance(grid, Every):
        tiers = [tier for tier in (Tier.H1, Tier.M1) if grid.width % WIDTHS[tier] == 0]
        if days is not None and days.name == "UTC" and grid.width % DAY == 0:
            tiers.insert(0, Tier.D1)
        return _cover(start, end, tiers, 0, grid.width)
    pieces: list[Piece] = []
    while start < end:
        first, after = grid.of(start)
        until = min(after, end)
        begin, stop = _whole_days(start, until, days) if days is not None and days.name == grid.name else (until, until)
        pieces += _cover(start, begin, [Tier.H1, Tier.M1], first, after - first)
        if begin < stop:
            begin = pieces.pop().start if pieces and pieces[-1].tier is Tier.D1 else begin
            pieces.append(Piece(Tier.D1, begin, stop, 0, DAY))
        pieces += _cover(stop, until, [Tier.H1, Tier.M1], first, after - first)
        start = until
    return pieces


def _whole_days(start: int, end: int, days: Days) -> tuple[int, int]:
    """Return from when to when there are whole days in start <= ts < `end`; `end` twice if there is none."""
    day, following = days.of(start)
    first, last = start if day == start else following, days.of(end)[0]
    return (first, last) if first < last else (end, end)


def _cover(start: int, end: int, tiers: list[Tier], origin: int, width: int) -> list[Piece]:
    """Answer whole windows of the first tier with it, and what is left at both ends with the others."""
    if start >= end:
        return []
    if not tiers:
        return [Piece(Tier.RAW, start, end, origin, width)]
    tier, *finer = tiers
    step = WIDTHS.get(tier, DAY)
    first, last = -(-start // step) * step, end // step * step
    if first >= last:
        return _cover(start, end, finer, origin, width)
    return [
        *_cover(start, first, finer, origin, width),
        Piece(tier, first, last, origin, width),
        *_cover(last, end, finer, origin, width),
    ]


def starts_of(piece: Piece, days: Days) -> Iterator[int]:
    """Give the start of each day in a piece of tier 1d."""
    at = piece.start
    while at < piece.end:
        yield at
        at = days.of(at)[1]


def source(pieces: Iterable[Piece]) -> Source:
    """Name what answers a query for the most part: the coarsest tier of the pieces."""
    used = {piece.tier for piece in pieces}
    return next((name for tier, name in _SOURCES.items() if tier in used), "raw")


def part_of(aggregate: Aggregate, start: int, row: Row) -> Part:
    """Make the part that one stored window gives for the window at `start`."""
    total = math.inf if row.sum is None else row.sum
    match aggregate:
        case Aggregate.MEAN | Aggregate.SUM:
            return Part(start, row.count, total)
        case Aggregate.STDDEV:
            return Part(start, row.count, math.inf if row.m2 is None else row.m2, total=total)
        case Aggregate.COUNT:
            return Part(start, row.count, row.count)
        case _:
            return Part(start, row.count, getattr(row, aggregate), row.start)


def combine(aggregate: Aggregate, parts: Mapping[Kind, Iterable[Part]]) -> list[tuple[int, Value]]:
    """Join parts into one value for each window, in order of time; of several series, the newest one's come last.

    A window's value is of one kind: of numbers where there is one, else of booleans, else of text.
    """
    found: dict[int, Value] = {}
    for kind in (str, bool, float):
        found |= _joined(aggregate, parts.get(kind, ()))
    return sorted(found.items())


def _joined(aggregate: Aggregate, parts: Iterable[Part]) -> dict[int, Value]:
    windows: dict[int, Part] = {}
    for part in parts:
        before = windows.get(part.start)
        windows[part.start] = part if before is None else _join(aggregate, before, part)
    match aggregate:
        case Aggregate.MEAN:
            return {start: part.value / part.count for start, part in windows.items()}
        case Aggregate.STDDEV:
            return {start: math.sqrt(part.value / part.count) for start, part in windows.items()}
        case _:
            return {start: part.value for start, part in windows.items()}


def _join(aggregate: Aggregate, one: Part, other: Part) -> Part:
    total = 0.0
    match aggregate:
        case Aggregate.MIN:
            value = min(one.value, other.value)
        case Aggregate.MAX:
            value = max(one.value, other.value)
        case Aggregate.FIRST:
            return one if one.at <= other.at else other
        case Aggregate.LAST:
            return other if other.at >= one.at else one
        case Aggregate.STDDEV:
            value = merged_m2(one.count, one.total, one.value, (other.count, other.total, other.value))
            total = one.total + other.total
        case _:
            value = one.value + other.value
    return Part(one.start, one.count + other.count, value, total=total)
