"""Queries of the embedded store, on a connection that holds a snapshot: every function reads, and nothing else.

Rows lie by time first, so a series is found again by one seek for each minute (or hour, or day) that is asked for:
`wanted` lists those, and CROSS JOIN keeps SQLite from doing it the other way round.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from contracts.readings import Value
from contracts.sqlite_layout import AGGREGATES, OPEN_COLUMNS, SPANS, to_kind
from contracts.timeseries import KINDS, MINUTE, RANK, WIDTHS, Kind, Tier, days_of, merged_m2
from devices_api.errors import TooMuchError
from devices_api.telemetry.timeseries import MAX_LATEST, MAX_METRICS, TOO_MANY_LATEST, Found, Kept, Newest, joined
from devices_api.telemetry.windows import (
    OF_ANY_KIND,
    Aggregate,
    Answer,
    Part,
    Piece,
    Query,
    Row,
    combine,
    part_of,
    plan,
    source,
    starts_of,
)

_LATEST = """
SELECT metric, newest, kind, minute_last FROM series JOIN open ON series = id WHERE device = ? ORDER BY metric, newest
LIMIT ?
"""
_LATEST_OF = """
SELECT device, metric, newest, kind, minute_last
FROM json_each(:devices) AS wanted CROSS JOIN series ON device = wanted.value {named}
CROSS JOIN open ON series = series.id
LIMIT :limit
"""
_NAMED = "AND metric IN (SELECT value FROM json_each(:metrics))"
_SERIES = f"""
SELECT id, profile, kind, coalesce(zone, ''), {", ".join(OPEN_COLUMNS)} FROM series LEFT JOIN open ON series = id
WHERE device = ? AND metric = ? ORDER BY newest, id
"""  # noqa: S608 - constants
_PARTITIONS = """
SELECT name, start FROM partition WHERE tier = ? AND profile = (SELECT id FROM profile WHERE name = ?)
AND start > ? AND start < ? ORDER BY start
"""
_WANTED = (
    "WITH RECURSIVE wanted (at) AS (VALUES (:first) UNION ALL SELECT at + :step FROM wanted WHERE at + :step < :stop)"
)
_POINTS = f"""
{_WANTED} SELECT ts, value FROM wanted CROSS JOIN {{name}} ON minute = at AND series = :series
WHERE ts >= :start AND ts < :end LIMIT :limit
"""  # noqa: S608 - constants
_KEPT = "SELECT value, received, flags FROM {name} WHERE minute = ? AND series = ? AND ts = ?"
_RAW = f"""
{_WANTED} SELECT (ts - :origin) / :width * :width + :origin AS w, count(*), {{value}}
FROM wanted CROSS JOIN {{name}} ON minute = at AND series = :series WHERE ts >= :start AND ts < :end GROUP BY w
"""  # noqa: S608 - constants
_ROLLUP = f"""
{_WANTED} SELECT (start - :origin) / :width * :width + :origin AS w, sum(count), {{value}}
FROM wanted CROSS JOIN {{name}} ON start = at AND series = :series GROUP BY w
"""  # noqa: S608 - constants
_WINDOWS = f"""
{_WANTED} SELECT start, count, {{value}} FROM wanted CROSS JOIN {{name}} ON start = at AND series = :series
"""  # noqa: S608 - constants
_DAYS = f"""
SELECT {", ".join(AGGREGATES)} FROM json_each(?) AS wanted CROSS JOIN {{name}} ON start = wanted.value AND series = ?
"""  # noqa: S608 - constants
# The columns of a Part after its count. With a single min() or max() in it, SQLite takes the plain columns of a group
# from the row that has it.
_RAW_VALUE = {
    Aggregate.MEAN: "sum(value)",
    Aggregate.SUM: "sum(value)",
    Aggregate.COUNT: "count(*)",
    Aggregate.MIN: "min(value)",
    Aggregate.MAX: "max(value)",
    Aggregate.FIRST: "value, min(ts)",
    Aggregate.LAST: "value, max(ts)",
    Aggregate.STDDEV: "merged_m2(1, value, 0.0), 0, sum(value)",
}
_ROLLUP_VALUE = {
    Aggregate.MEAN: "sum(coalesce(sum, 9e999))",
    Aggregate.SUM: "sum(coalesce(sum, 9e999))",
    Aggregate.COUNT: "sum(count)",
    Aggregate.MIN: "min(min)",
    Aggregate.MAX: "max(max)",
    Aggregate.FIRST: "first, min(start)",
    Aggregate.LAST: "last, max(start)",
    Aggregate.STDDEV: "merged_m2(count, coalesce(sum, 9e999), coalesce(m2, 9e999)), 0, sum(coalesce(sum, 9e999))",
}


# The same of windows that are asked for as they are stored: nothing has to be sorted and grouped.
_WINDOW_VALUE = {
    Aggregate.MEAN: "coalesce(sum, 9e999)",
    Aggregate.SUM: "coalesce(sum, 9e999)",
    Aggregate.COUNT: "count",
    Aggregate.MIN: "min",
    Aggregate.MAX: "max",
    Aggregate.FIRST: "first, start",
    Aggregate.LAST: "last, start",
    Aggregate.STDDEV: "coalesce(m2, 9e999), 0, coalesce(sum, 9e999)",
}

_DAYS_A_PAGE = 16
"""Of so many days of a series, each minute is looked for in one go."""


class MergedM2:
    """SQL aggregate of `count, sum, m2`: the m2 of all rows together."""

    def __init__(self) -> None:
        self._count, self._total, self._m2 = 0, 0.0, 0.0

    def step(self, *row: float) -> None:
        """Take in a row."""
        part = count, total, m2 = int(row[0]), row[1], row[2]
        self._m2 = merged_m2(self._count, self._total, self._m2, part) if self._count else m2
        self._count += count
        self._total += total

    def finalize(self) -> float:
        """Return the m2."""
        return self._m2


class _Series(NamedTuple):
    id: int
    profile: str
    kind: Kind
    zone: str
    open: dict[Tier, Row]
    """The windows of the newest point, which no partition holds; empty where all points are deleted."""


def has(db: sqlite3.Connection, device: str) -> bool:
    """Whether anything of `device` is stored."""
    return db.execute("SELECT 1 FROM series WHERE device = ? LIMIT 1", (device,)).fetchone() is not None


def latest(db: sqlite3.Connection, device: str) -> dict[str, tuple[int, Value]]:
    """Return the newest `(ts, value)` of each metric."""
    found: dict[str, tuple[int, int, Value]] = {}
    for metric, ts, name, value in db.execute(_LATEST, (device, MAX_METRICS)):
        kind = KINDS[name]
        ranked = (ts, -RANK[kind], to_kind(kind, value))
        if metric not in found or ranked[:2] >= found[metric][:2]:
            found[metric] = ranked
    return {metric: (ts, value) for metric, (ts, _, value) in found.items()}


def latest_of(db: sqlite3.Connection, devices: Sequence[str], metrics: Collection[str]) -> dict[str, Newest]:
    """Return the newest `(ts, value)` of each metric of each device, or of `metrics` where some are named."""
    found: dict[str, dict[str, tuple[int, int, Value]]] = {}
    query = _LATEST_OF.format(named=_NAMED if metrics else "")
    wanted = {"devices": json.dumps(devices), "metrics": json.dumps(list(metrics)), "limit": MAX_LATEST + 1}
    rows = db.execute(query, wanted).fetchall()
    if len(rows) > MAX_LATEST:
        raise TooMuchError(TOO_MANY_LATEST)
    for device, metric, ts, name, value in rows:
        kind, of_device = KINDS[name], found.setdefault(device, {})
        ranked = (ts, -RANK[kind], to_kind(kind, value))
        if metric not in of_device or ranked[:2] >= of_device[metric][:2]:
            of_device[metric] = ranked
    return {
        device: {metric: (ts, value) for metric, (ts, _, value) in sorted(values.items())}
        for device, values in found.items()
    }


def page(
    db: sqlite3.Connection, device: str, metric: str, start: int, end: int, limit: int
) -> tuple[list[tuple[int, Value]], int]:
    """Return the next points as `points` does, at most `limit` and of a few days, and where to go on: `end` at last."""
    series = _series(db, device, metric)
    days = sorted({begin for one in series for _, begin in _partitions(db, Tier.RAW, one, start, end)})
    if not days:
        return [], end
    until = min(end, days[_DAYS_A_PAGE]) if len(days) > _DAYS_A_PAGE else end
    found = points(db, device, metric, max(start, days[0]), until, limit)
    return found, found[-1][0] + 1 if len(found) == limit else until


def points(
    db: sqlite3.Connection, device: str, metric: str, start: int, end: int, limit: int
) -> list[tuple[int, Value]]:
    """Return the first `limit` points with `start` <= ts < `end`, in order of ts."""
    found: list[Found] = []
    for age, series in enumerate(reversed(_series(db, device, metric))):
        rank, left = RANK[series.kind], limit
        for name, about in _parts(db, Tier.RAW, series, start, end):
            rows = db.execute(_POINTS.format(name=name), about | {"limit": left}).fetchall()
            found += [Found(ts, rank, age, to_kind(series.kind, value)) for ts, value in rows]
            left -= len(rows)
            if left <= 0:
                break
    return joined(found, limit)


def kept(db: sqlite3.Connection, device: str, metric: str, ts: int) -> list[Kept]:
    """Return what is kept about the points of a metric at `ts`."""
    return [
        Kept(series.profile, to_kind(series.kind, value), received, json.loads(flags) if flags else {})
        for series in reversed(_series(db, device, metric))
        for name, _ in _partitions(db, Tier.RAW, series, ts, ts + 1)
        for value, received, flags in db.execute(_KEPT.format(name=name), (ts // MINUTE, series.id, ts))
    ]


def windows(db: sqlite3.Connection, query: Query) -> Answer:
    """Return the value of each window that holds a point."""
    parts: dict[Kind, list[Part]] = defaultdict(list)
    pieces: list[Piece] = plan(query.start, query.end, query.grid, None)
    for series in _series(db, query.device, query.metric):
        if series.kind is not float and query.aggregate not in OF_ANY_KIND:
            continue
        pieces = plan(query.start, query.end, query.grid, days_of(series.zone))
        parts[series.kind] += _parts_of(db, series, query, pieces)
    return Answer(combine(query.aggregate, parts), source(pieces))


def _series(db: sqlite3.Connection, device: str, metric: str) -> list[_Series]:
    """Return the series of a metric, the one with the newest point last."""
    return [
        _Series(id_, profile, KINDS[kind], zone, _open(columns, KINDS[kind]))
        for id_, profile, kind, zone, *columns in db.execute(_SERIES, (device, metric))
    ]


def _open(columns: Sequence[Any], kind: Kind) -> dict[Tier, Row]:
    rows = ((tier, columns[at : at + 8]) for tier, at in _OPEN_AT)
    return {tier: _row(row, kind) for tier, row in rows if row[0] is not None}


_OPEN_AT = ((Tier.M1, 0), (Tier.H1, 8), (Tier.D1, 16))


def _row(columns: Sequence[Any], kind: Kind) -> Row:
    row = Row(*columns)
    row.last = to_kind(kind, row.last)
    return row


def _parts_of(db: sqlite3.Connection, series: _Series, query: Query, pieces: list[Piece]) -> Iterator[Part]:
    for piece in pieces:
        if piece.tier is Tier.D1:
            yield from _of_days(db, series, query, piece)
            continue
        sql, value = _statement(piece)
        grouping = {"origin": piece.origin, "width": piece.width}
        for name, about in _parts(db, piece.tier, series, piece.start, piece.end):
            for row in db.execute(sql.format(name=name, value=value[query.aggregate]), about | grouping):
                part = Part(*row)
                yield replace(part, value=to_kind(bool, part.value)) if _is_flag(series, query) else part
        open_ = series.open.get(piece.tier)
        if open_ is not None and piece.start <= open_.start < piece.end:
            yield part_of(query.aggregate, query.grid.of(open_.start)[0], open_)


def _statement(piece: Piece) -> tuple[str, dict[Aggregate, str]]:
    if piece.tier is Tier.RAW:
        return _RAW, _RAW_VALUE
    return (_WINDOWS, _WINDOW_VALUE) if piece.width == WIDTHS[piece.tier] else (_ROLLUP, _ROLLUP_VALUE)


def _of_days(db: sqlite3.Connection, series: _Series, query: Query, piece: Piece) -> Iterator[Part]:
    """Answer with days; where there is none, it may be that its windows are those of another zone: with hours."""
    days = days_of(series.zone)
    missing = set(starts_of(piece, days))
    open_ = series.open.get(Tier.D1)
    wanted = json.dumps(sorted(missing))
    rows = [
        _row(columns, series.kind)
        for name, _ in _partitions(db, Tier.D1, series, piece.start, piece.end)
        for columns in db.execute(_DAYS.format(name=name), (wanted, series.id))
    ]
    if open_ is not None and open_.start in missing:
        rows.append(open_)
    for row in rows:
        missing.discard(row.start)
        yield part_of(query.aggregate, query.grid.of(row.start)[0], row)
    for start in sorted(missing):
        yield from _parts_of(db, series, query, plan(start, days.of(start)[1], query.grid, None))


def _parts(
    db: sqlite3.Connection, tier: Tier, series: _Series, start: int, end: int
) -> Iterator[tuple[str, dict[str, int]]]:
    """Give each partition that holds a part of `start` <= ts < `end`, and the parameters to read that part with."""
    step = 1 if tier is Tier.RAW else WIDTHS[tier]
    for name, begin in _partitions(db, tier, series, start, end):
        first, last = max(start, begin), min(end, begin + SPANS[tier])
        bounds = {"first": first // MINUTE, "stop": -(-last // MINUTE)} if step == 1 else {"first": first, "stop": last}
        yield name, {"series": series.id, "step": step, "start": first, "end": last, **bounds}


def _partitions(db: sqlite3.Connection, tier: Tier, series: _Series, start: int, end: int) -> list[tuple[str, int]]:
    return db.execute(_PARTITIONS, (tier, series.profile, start - SPANS[tier], end)).fetchall()


def _is_flag(series: _Series, query: Query) -> bool:
    return series.kind is bool and query.aggregate is Aggregate.LAST
