"""The time-series store in InfluxDB, read with InfluxQL: 1.x, 2.x and 3 all know it."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

import httpx

from contracts.influxql import Result, Table, identifier, read_answer, tagged
from contracts.line_layout import (
    aggregates_of,
    field_of,
    m2_of,
    measurement_of,
    metric_of,
    profile_of,
    start_of_row,
    sum_of,
    to_tag,
    window_field_of,
)
from contracts.readings import Value
from contracts.stores import StoreAddress
from contracts.timeseries import RANK, Kind, Tier
from devices_api.errors import TooMuchError, UnavailableError
from devices_api.telemetry import served
from devices_api.telemetry.served import MAX_ROWS, MOST_BYTES, TOO_MUCH, Fetch, Fetched, Span, point_row
from devices_api.telemetry.timeseries import MAX_METRICS, NAME, Found, Kept, Newest, Pages, joined, scanned
from devices_api.telemetry.windows import Answer, Query, Row

_STATEMENTS = 200
"""Most statements in one request."""
_MISSING = ("database not found", "retention policy not found")

T = TypeVar("T")

_Series = tuple[str, Kind, T]
"""Profile and kind, and what there is of it."""


class InfluxTimeSeries:
    """Queries of one bucket, for devices_api.telemetry.timeseries.TimeSeries.

    The parts of a query are asked for one after the other, so each is as of its own moment.
    """

    def __init__(self, address: StoreAddress, token: str, timeout: float = 10.0) -> None:
        database, _, policy = address.bucket.partition("/")
        self._form = {"db": database, "epoch": "ns"} | ({"rp": policy} if policy else {})
        self._client = httpx.AsyncClient(
            base_url=address.url,
            headers={"Authorization": f"Token {token}"} if token else {},
            timeout=timeout,
            limits=httpx.Limits(max_connections=8),
        )

    async def has(self, device: str) -> bool:
        """Whether anything of `device` is stored."""
        names = [measurement_of(profile, tier) for profile in await self._profiles() for tier in Tier]
        if not names:
            return False
        [found] = await self._ask([f"SELECT * FROM {_from(names)} WHERE {_is(device)} LIMIT 1"])  # noqa: S608 - quoted
        return bool(found)

    async def latest(self, device: str) -> dict[str, tuple[int, Value]]:
        """Return the newest `(ts, value)` of each metric of `device`."""
        profiles = await self._profiles()
        if not profiles:
            return {}
        names = [measurement_of(profile, Tier.RAW) for profile in profiles]
        [tables] = await self._ask([f"SELECT last(*) FROM {_from(names)} WHERE {_is(device)}"])  # noqa: S608 - quoted
        series = [
            (table.name, column.removeprefix("last_"))
            for table in tables
            for column, value in zip(table.columns[1:], table.values[0][1:], strict=True)
            if value is not None and metric_of(column.removeprefix("last_")) is not None
        ][:MAX_METRICS]
        answers = await self._ask(
            [f"SELECT last({identifier(name)}) FROM {identifier(of)} WHERE {_is(device)}" for of, name in series]  # noqa: S608 - quoted
        )
        found: dict[str, tuple[int, int, Value]] = {}
        for (_, name), answer in zip(series, answers, strict=True):
            metric, kind = metric_of(name) or ("", float)
            for table in answer:
                ts, value = table.values[0]
                ranked = (_int(ts), -RANK[kind], _value(kind, value))
                if metric not in found or ranked[:2] > found[metric][:2]:
                    found[metric] = ranked
        return {metric: (ts, value) for metric, (ts, _, value) in sorted(found.items())}

    async def latest_of(self, devices: Sequence[str], metrics: Collection[str] = ()) -> Mapping[str, Newest]:
        """Return what `latest` does of many devices."""
        return await served.latest_of(devices, metrics, self.latest)

    async def points(self, device: str, metric: str, start: int, end: int, limit: int) -> list[tuple[int, Value]]:
        """Return the first `limit` points with `start` <= ts < `end`, in order of ts."""
        profiles = await self._profiles()
        if not profiles:
            return []
        [tables] = await self._ask([_span(profiles, device, metric, Span(Tier.RAW, start, end), limit)])
        series = await self._aged(device, metric, _read_points(tables, metric))
        found = [Found(ts, RANK[kind], -n, value) for n, (_, kind, points) in enumerate(series) for ts, value in points]
        return joined(found, limit)

    async def kept(self, device: str, metric: str, ts: int) -> list[Kept] | None:  # noqa: ARG002 - as TimeSeries has it
        """Tell that InfluxDB is not given what came with a point."""
        return None

    async def windows(self, query: Query) -> Answer:
        """Return the value of each window that holds a point."""
        return await served.windows(query, await self._fetching(query))

    async def windows_of(self, queries: Sequence[Query]) -> list[Answer]:
        """Return the answer of each query."""
        return await served.windows_of(queries, self._fetching)

    def scan(self, device: str, metric: str, start: int, end: int) -> Pages:
        """Give points in order of ts."""
        return scanned(self.points, device, metric, start, end)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _fetching(self, query: Query) -> Fetch:
        profiles = await self._profiles()

        async def fetch(spans: list[Span]) -> list[Fetched]:
            if not profiles:
                return []
            asked = [_span(profiles, query.device, query.metric, span) for span in spans]
            rows: dict[tuple[str, Kind], dict[Tier, list[Row]]] = defaultdict(lambda: defaultdict(list))
            for span, tables in zip(spans, await self._ask(asked), strict=True):
                for profile, kind, found in await asyncio.to_thread(_read_rows, span.tier, tables, query.metric):
                    rows[profile, kind][span.tier] += found
            series = [(*name, tiers) for name, tiers in rows.items()]
            return [Fetched(*one) for one in await self._aged(query.device, query.metric, series)]

        return fetch

    async def _profiles(self) -> list[str]:
        [tables] = await self._ask(["SHOW MEASUREMENTS"])
        return sorted({profile_of(str(row[0]))[0] for table in tables for row in table.values})

    async def _aged(self, device: str, metric: str, found: list[_Series[T]]) -> list[_Series[T]]:
        """Put the profile with the metric's newest point last; asks only where there are several."""
        profiles = sorted({profile for profile, _, _ in found})
        if len(profiles) > 1:
            [tables] = await self._ask([f"{_points(profiles, device, metric)} ORDER BY time DESC LIMIT 1"])
            newest = {profile_of(table.name)[0]: _int(table.values[0][0]) for table in tables}
            found.sort(key=lambda series: newest.get(series[0], 0))
        return found

    async def _ask(self, statements: Sequence[str]) -> list[list[Table]]:
        """Return what each statement finds."""
        answers: list[list[Table]] = []
        for first in range(0, len(statements), _STATEMENTS):
            some = statements[first : first + _STATEMENTS]
            results = {result.statement_id: result.series for result in await self._answer(";".join(some))}
            answers += [results.get(number, []) for number in range(len(some))]
            if sum(len(table.values) for tables in answers for table in tables) > MAX_ROWS:
                raise TooMuchError(TOO_MUCH)
        return answers

    async def _answer(self, statements: str) -> list[Result]:
        content = bytearray()
        try:
            async with self._client.stream("POST", "/query", data=self._form | {"q": statements}) as answer:
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > MOST_BYTES:
                        raise TooMuchError(TOO_MUCH)
            if not answer.is_success:
                raise UnavailableError(f"{NAME} (it answers {answer.status_code})")
            return await asyncio.to_thread(read_answer, bytes(content))
        except httpx.HTTPError as error:
            raise UnavailableError(NAME) from error
        except ValueError as error:  # what the server says of a statement, or an answer that is none
            if any(missing in str(error) for missing in _MISSING):
                return []
            raise UnavailableError(NAME) from error


def _from(names: Iterable[str]) -> str:
    return ", ".join(map(identifier, names))


def _is(device: str) -> str:
    return tagged([to_tag(device)])


def _points(profiles: Iterable[str], device: str, metric: str) -> str:
    names = [identifier(field_of(metric, kind)) for kind in RANK]
    measurements = _from(measurement_of(profile, Tier.RAW) for profile in profiles)
    return f"SELECT {', '.join(names)} FROM {measurements} WHERE {_is(device)}"  # noqa: S608 - quoted


def _span(profiles: Iterable[str], device: str, metric: str, span: Span, limit: int = MAX_ROWS + 1) -> str:
    """Write the statement that finds the points or windows in a span."""
    within = f"time >= {span.start} AND time < {span.end} ORDER BY time LIMIT {limit}"
    if span.tier is Tier.RAW:
        return f"{_points(profiles, device, metric)} AND {within}"
    names = [identifier(window_field_of(metric, kind, one)) for kind in RANK for one in aggregates_of(kind)]
    measurements = _from(measurement_of(profile, span.tier) for profile in profiles)
    return f"SELECT {', '.join(names)} FROM {measurements} WHERE {_is(device)} AND {within}"  # noqa: S608 - quoted


def _read_points(tables: Iterable[Table], metric: str) -> list[_Series[list[tuple[int, Value]]]]:
    found = []
    for table in tables:
        for kind in RANK:
            at = table.columns.index(field_of(metric, kind))
            points = [(_int(row[0]), _value(kind, row[at])) for row in table.values if row[at] is not None]
            if points:
                found.append((profile_of(table.name)[0], kind, points))
    return found


def _read_rows(tier: Tier, tables: Iterable[Table], metric: str) -> list[_Series[list[Row]]]:
    if tier is Tier.RAW:
        series = _read_points(tables, metric)
        return [(profile, kind, [point_row(*point) for point in points]) for profile, kind, points in series]
    found = []
    for table in tables:
        for kind in RANK:
            names = aggregates_of(kind)
            at = [table.columns.index(window_field_of(metric, kind, name)) for name in names]
            rows: dict[int, Row] = {}
            for values in table.values:
                if values[at[0]] is not None:  # of the rows of a window the last one counts
                    start = start_of_row(_int(values[0]))
                    rows[start] = _row(kind, start, dict(zip(names, [values[one] for one in at], strict=True)))
            if rows:
                found.append((profile_of(table.name)[0], kind, list(rows.values())))
    return found


def _row(kind: Kind, start: int, found: dict[str, Value | int | None]) -> Row:
    count, last = _int(found["count"]), _value(kind, found["last"])
    if kind is not float:
        return Row(start, count, None, None, None, None, None, last)
    mean, stddev, least, most, first = (float(found[name] or 0.0) for name in ("mean", "stddev", "min", "max", "first"))
    return Row(start, count, sum_of(mean, count), m2_of(stddev, count), least, most, first, last)


def _value(kind: Kind, value: Value | int | None) -> Value:
    """Give a value the class of its kind: servers write a number without a fraction as an integer."""
    return float(value or 0.0) if kind is float else value  # type: ignore[return-value]  # it is of that kind


def _int(value: Value | int | None) -> int:
    return int(value or 0)
