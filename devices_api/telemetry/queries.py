"""Queries of many series at once: which tier answers, how much that is, and what is made of the answers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from contracts.readings import Value
from contracts.times import SECOND
from contracts.timeseries import DAY, WIDTHS, Days, Tier, days_of
from devices_api.errors import TooMuchError
from devices_api.telemetry.filling import Fill, filled
from devices_api.telemetry.intervals import AUTO, LOCAL, finest, grid_of
from devices_api.telemetry.thinning import thinned
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.telemetry.windows import Aggregate, Answer, Every, Grid, Query, Source, count_windows, plan, starts_in

MOST_ROWS = 1_000_000
"""Most points and windows that a query may read, unless told otherwise."""
MAX_SERIES = 1000
"""Most series of one query: devices times metrics."""
MAX_ANSWER = 100_000
"""Most points, or values of windows, in one answer."""
MAX_THINNED = 200_000
"""Most points that `max_points` are chosen from; of more, windows are taken instead."""
AUTO_POINTS = 1000
"""Most windows of a series that `auto` aims at where `max_points` says nothing."""
_AT_ONCE = 8
_FEW = 3600 * SECOND
"""Points of so short a time are not counted beforehand."""

Zones = Callable[[], Awaitable[Mapping[str, str]]]
"""Gives the time zone of each device; empty for none."""


@dataclass(frozen=True)
class Asked:
    """Each metric of each device over `start` <= ts < `end`: points or, with `aggregates`, windows of `interval`."""

    devices: Sequence[str]
    metrics: Sequence[str]
    start: int
    end: int
    aggregates: Sequence[Aggregate] = ()
    interval: str = AUTO
    zone: str | None = None
    fill: Fill | float = Fill.NONE
    max_points: int | None = None

    @property
    def series(self) -> list[tuple[str, str]]:
        """The series, in order."""
        return [(device, metric) for device in self.devices for metric in self.metrics]


class Rows(NamedTuple):
    """What was found of one series: its points, or windows with a value for each aggregate."""

    device: str
    metric: str
    source: Source
    empty: bool
    """Whether there is nothing of it, whatever windows are filled with."""
    rows: list[tuple[int, tuple[Value | None, ...]]]


class Found(NamedTuple):
    """An answer. Without aggregates the rows are points, and there is no interval."""

    series: list[Rows]
    aggregates: Sequence[Aggregate]
    interval: str | None


async def answered(store: TimeSeries, asked: Asked, zones: Zones, most_rows: int) -> Found:
    """Answer a query. Raises TooMuchError, before it reads, if that would take more than `most_rows` rows."""
    if (count := len(asked.devices) * len(asked.metrics)) > MAX_SERIES:
        raise TooMuchError(f"devices times metrics are {count} series, and {MAX_SERIES} are allowed: name fewer")
    if asked.aggregates:
        return await _windows(store, asked, zones, most_rows)
    points = sum(await _counts(store, asked.series, asked.start, asked.end, most_rows))
    if asked.max_points is not None and points > min(MAX_THINNED, most_rows):
        per_series = max(asked.max_points, MAX_THINNED // max(count, 1))
        interval = finest(asked.start, asked.end, per_series)
        means = replace(asked, aggregates=(Aggregate.MEAN,), interval=interval)
        return await _windows(store, means, zones, most_rows)
    most = MAX_ANSWER if asked.max_points is None else MAX_THINNED
    if points > most:
        _refuse(points, "points", most, "narrow start and end, name fewer series, or give max_points or aggregates")
    return Found(await _points(store, asked, most), (), None)


async def _points(store: TimeSeries, asked: Asked, most: int) -> list[Rows]:
    found: list[Rows] = []
    left, series = most, asked.series
    for first in range(0, len(series), _AT_ONCE):
        some = series[first : first + _AT_ONCE]
        reads = (store.points(*names, asked.start, asked.end, left + 1) for names in some)
        for names, points in zip(some, await asyncio.gather(*reads), strict=True):
            left -= len(points)
            if left < 0:  # more than was counted: of two kinds at one time, or come meanwhile
                _refuse(most - left, "points", most, "narrow start and end, or name fewer series")
            rows: list[tuple[int, tuple[Value | None, ...]]] = [(ts, (value,)) for ts, value in points]
            found.append(Rows(*names, "raw", not rows, await _thinned(rows, asked.max_points)))
    return found


async def _windows(store: TimeSeries, asked: Asked, zones: Zones, most_rows: int) -> Found:
    interval = asked.interval
    if interval == AUTO:
        interval = finest(asked.start, asked.end, asked.max_points or AUTO_POINTS)
    zone_of = await zones() if interval in LOCAL else {}
    grids: dict[Days | None, Grid] = {}
    queries: list[Query] = []
    for device, metric in asked.series:
        own = days_of(zone_of.get(device, "")) if interval in LOCAL else None
        if own not in grids:
            grids[own] = grid_of(interval, own if asked.zone is None else days_of(asked.zone))
        queries.append(Query(device, metric, asked.aggregates[0], asked.start, asked.end, grids[own], own))
    await _refuse_too_many(store, asked, queries, most_rows)
    each = [replace(query, aggregate=aggregate) for query in queries for aggregate in asked.aggregates]
    answers = await store.windows_of(each)
    found, width = [], len(asked.aggregates)
    for at, query in enumerate(queries):
        some = answers[at * width : (at + 1) * width]
        rows = await asyncio.to_thread(_rows, query, some, asked.fill)
        empty = not any(answer.windows for answer in some)
        chosen = await _thinned(rows, asked.max_points)
        found.append(Rows(query.device, query.metric, some[0].source, empty, chosen))
    return Found(found, asked.aggregates, interval)


def _rows(query: Query, answers: Sequence[Answer], fill: Fill | float) -> list[tuple[int, tuple[Value | None, ...]]]:
    """Bring the values of all aggregates together by window."""
    if fill is Fill.NONE:
        starts = sorted({start for answer in answers for start, _ in answer.windows})
        columns = [dict(answer.windows) for answer in answers]
        return [(start, tuple(column.get(start) for column in columns)) for start in starts]
    starts = list(starts_in(query.start, query.end, query.grid))
    whole = [filled(answer.windows, starts, fill) for answer in answers]
    together = zip(starts, zip(*whole, strict=True), strict=True)
    return [(start, tuple(value for _, value in values)) for start, values in together]


async def _thinned(
    rows: list[tuple[int, tuple[Value | None, ...]]], most: int | None
) -> list[tuple[int, tuple[Value | None, ...]]]:
    """Choose at most `most` rows by their first value; those that have none are left out then."""
    if most is None or len(rows) <= most:
        return rows
    known = [(ts, values) for ts, values in rows if values[0] is not None]
    numbers = [(ts, values[0]) for ts, values in known if values[0] is not None]
    return [known[at] for at in await asyncio.to_thread(thinned, numbers, most)]


async def _counts(
    store: TimeSeries, series: Iterable[tuple[str, str]], start: int, end: int, most_rows: int
) -> list[int]:
    """Count points by the windows that are stored of them: how many there were, also where they are not kept."""
    names = list(series)
    days = -(-(end - start) // DAY) * len(names)
    if days > most_rows:
        _refuse(days, "days of a series", most_rows, "narrow start and end, or name fewer series")
    queries = [Query(*one, Aggregate.COUNT, start, end, Every(DAY), Days()) for one in names]
    answers = await store.windows_of(queries)
    return [sum(int(count) for _, count in answer.windows) for answer in answers]


async def _refuse_too_many(store: TimeSeries, asked: Asked, queries: Sequence[Query], most_rows: int) -> None:
    """Raise TooMuchError if what would be answered, or what would be read for it, is too much."""
    windows = sum(count_windows(query.start, query.end, query.grid) for query in queries) * len(asked.aggregates)
    most = MAX_ANSWER if asked.max_points is None else most_rows
    if windows > most:
        _refuse(windows, "values of windows", most, "widen interval, narrow start and end, or name fewer series")
    alike: dict[tuple[Grid, Days | None], list[tuple[str, str]]] = {}
    for query in queries:
        alike.setdefault((query.grid, query.days), []).append((query.device, query.metric))
    rows, points = 0, 0
    for (grid, own), series in alike.items():
        for piece in plan(asked.start, asked.end, grid, own):
            if piece.tier is not Tier.RAW:
                rows += -(-(piece.end - piece.start) // WIDTHS.get(piece.tier, DAY)) * len(series)
            elif piece.end - piece.start > _FEW:
                points += sum(await _counts(store, series, piece.start, piece.end, most_rows))
    if rows + points > most_rows:
        what = "an interval of whole minutes" if points else "a wider interval, or the device's own zone,"
        _refuse(rows + points, "rows to read, or more,", most_rows, f"{what} takes fewer; or narrow start and end")


def _refuse(estimate: int, what: str, most: int, advice: str) -> None:
    raise TooMuchError(f"the query is about {estimate} {what}, and {most} are allowed: {advice}")
