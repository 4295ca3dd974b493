"""Windows of a store that is a server: what to fetch of which tier, and what the rows make. Does no I/O of its own."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from contracts.readings import Value
from contracts.timeseries import Kind, Tier
from devices_api.errors import TooMuchError
from devices_api.telemetry.timeseries import MAX_LATEST, TOO_MANY_LATEST, Newest
from devices_api.telemetry.windows import (
    OF_ANY_KIND,
    Aggregate,
    Answer,
    Part,
    Piece,
    Query,
    Row,
    Source,
    combine,
    part_of,
    plan,
    source,
    starts_of,
)

MAX_ROWS = 200_000
"""Most rows that are fetched for one query."""

MOST_BYTES = 64 << 20
"""Most bytes of one answer."""
_MOST_SPANS = 5000
_AT_ONCE = 8
"""Most series that one request asks for at the same time."""
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


async def windows_of(queries: Sequence[Query], fetch: Callable[[Query], Awaitable[Fetch]]) -> list[Answer]:
    """Answer queries; for those that differ in their aggregate alone, things are fetched once."""
    alike: dict[Query, list[Aggregate]] = {}
    for query in queries:
        alike.setdefault(replace(query, aggregate=Aggregate.COUNT), []).append(query.aggregate)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def answers(query: Query, aggregates: Sequence[Aggregate]) -> Mapping[Query, Answer]:
        async with gate:
            found, answered = await _found(query, await fetch(query))
        each = [replace(query, aggregate=aggregate) for aggregate in aggregates]
        return {one: Answer(await asyncio.to_thread(_combined, one, found), answered) for one in each}

    known: dict[Query, Answer] = {}
    for found in await asyncio.gather(*(answers(query, aggregates) for query, aggregates in alike.items())):
        known |= found
    return [known[query] for query in queries]


async def latest_of(
    devices: Sequence[str], metrics: Collection[str], latest: Callable[[str], Awaitable[Newest]]
) -> dict[str, Newest]:
    """Ask `latest` of each device, a few at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def of(device: str) -> Newest:
        async with gate:
            return await latest(device)

    found: dict[str, Newest] = {}
    for device, values in zip(devices, await asyncio.gather(*map(of, devices)), strict=True):
        named = {metric: value for metric, value in values.items() if not metrics or metric in metrics}
        if named:
            found[device] = named
    if sum(map(len, found.values())) > MAX_LATEST:
        raise TooMuchError(TOO_MANY_LATEST)
    return found


async def windows(query: Query, fetch: Fetch) -> Answer:
    """Answer a query from what `fetch` gives. Each part is as of the moment at which it was fetched."""
    found, answered = await _found(query, fetch)
    return Answer(await asyncio.to_thread(_combined, query, found), answered)


async def _found(query: Query, fetch: Fetch) -> tuple[list[Fetched], Source]:
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
    return found, source(pieces)


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
