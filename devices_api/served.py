"""Windows of a store that is a server: what to fetch of which tier, and what the rows make. Does no I/O of its own."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from contracts.readings import Value
from contracts.timeseries import Kind, Tier
from devices_api.errors import TooMuchError
from devices_api.windows import OF_ANY_KIND, Answer, Part, Piece, Query, Row, combine, part_of, plan, source, starts_of

MAX_ROWS = 200_000
"""Most rows that are fetched for one query."""

MOST_BYTES = 64 << 20
"""Most bytes of one answer."""
_MOST_SPANS = 5000
TOO_MUCH = "the query takes too much: narrow start and end, or widen interval"


class Span(NamedTuple):
    """The windows of a tier that begin in `start` <= ts < `end`, or the points."""

    tier: Tier
    start: int
    end: int


@dataclass
class Fetched:
    """What was found of one series, each window and each point as a row."""

    profile: str
    kind: Kind
    rows: dict[Tier, list[Row]]


Fetch = Callable[[list[Span]], Awaitable[list[Fetched]]]
"""Fetch the spans of all series of a metric; the series of one kind with the newest point comes last."""


def point_row(ts: int, value: Value) -> Row:
    """Make the row of a single point."""
    if isinstance(value, float):
        return Row(ts, 1, value, 0.0, value, value, value, value)
    return Row(ts, 1, None, None, None, None, None, value)


async def windows(query: Query, fetch: Fetch) -> Answer:
    """Answer a query from what `fetch` gives. Each part is as of the moment at which it was fetched."""
    pieces = plan(query.start, query.end, query.grid, query.days)
    found = await fetch(_spans(pieces))
    missing = _missing_days(query, pieces, found)
    lacking = sorted({day for days in missing.values() for day in days})
    if query.days is not None and lacking:  # there are none, or the device had other days then: ask for hours
        of_day = query.days.of
        hours = [piece for day in lacking for piece in plan(*of_day(day), query.grid, None)]
        for series in await fetch(_spans(hours)):
            days = missing.get((series.profile, series.kind), set(lacking))
            rows = {tier: [row for row in of if of_day(row.start)[0] in days] for tier, of in series.rows.items()}
            found.append(replace(series, rows=rows))
    return Answer(await asyncio.to_thread(_combined, query, found), source(pieces))


def _missing_days(query: Query, pieces: list[Piece], found: list[Fetched]) -> dict[tuple[str, Kind], set[int]]:
    """Take the days out of `found` that are not those asked for, and tell which a series lacks."""
    if query.days is None:
        return {}
    wanted = {day for piece in pieces if piece.tier is Tier.D1 for day in starts_of(piece, query.days)}
    missing = {}
    for series in found:
        series.rows[Tier.D1] = [row for row in series.rows.get(Tier.D1, ()) if row.start in wanted]
        missing[series.profile, series.kind] = wanted - {row.start for row in series.rows[Tier.D1]}
    return missing


def _spans(pieces: Iterable[Piece]) -> list[Span]:
    """Join pieces of one tier that follow each other."""
    spans: list[Span] = []
    for piece in sorted(pieces, key=lambda piece: (piece.tier, piece.start)):
        start = piece.start
        if spans and spans[-1].tier is piece.tier and spans[-1].end == start:
            start = spans.pop().start
        spans.append(Span(piece.tier, start, piece.end))
    if len(spans) > _MOST_SPANS:
        raise TooMuchError(TOO_MUCH)
    return spans


def _combined(query: Query, found: list[Fetched]) -> list[tuple[int, Value]]:
    parts: dict[Kind, list[Part]] = defaultdict(list)
    for series in found:
        if series.kind is float or query.aggregate in OF_ANY_KIND:
            parts[series.kind] += [
                part_of(query.aggregate, query.grid.of(row.start)[0], row)
                for rows in series.rows.values()
                for row in rows
            ]
    return combine(query.aggregate, parts)
