"""The time-series store in VictoriaMetrics, in the layout of contracts.victoria_layout."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import httpx
import msgspec

from contracts.line_layout import TAG, from_name, m2_of, measurement_of, metric_of, sum_of, to_tag
from contracts.readings import Value
from contracts.stores import StoreAddress
from contracts.timeseries import DAY, HOUR, MINUTE, RANK, Days, Kind, Tier
from contracts.victoria_layout import (
    PROFILE,
    TICK,
    name_of,
    points_of,
    rows_of,
    selector,
    window_names_of,
)
from devices_api.errors import TooMuchError, UnavailableError
from devices_api.telemetry import served
from devices_api.telemetry.served import MAX_ROWS, MOST_BYTES, TOO_MUCH, Fetch, Fetched, Span, point_row
from devices_api.telemetry.timeseries import MAX_METRICS, NAME, Found, Kept, Newest, Pages, joined, scanned
from devices_api.telemetry.windows import Answer, Query, Row

_AHEAD = 2 * DAY
"""The server keeps nothing that is later than that."""
_BACK = (HOUR, DAY, 31 * DAY, 366 * DAY)
"""How far back newest points are looked for, step by step: the server reads all that is in the range."""
_BEHIND = {Tier.M1: 2 * MINUTE, Tier.H1: 2 * HOUR, Tier.D1: DAY + 2 * HOUR}
"""How far a row lies at most behind the start of its window: the window's width and a minute, or more."""

_Labels = dict[str, str]

_NAMES = 50
"""Most names in one query."""
_MOST_SAMPLES = 10 * MAX_ROWS


class _Exported(msgspec.Struct):
    metric: _Labels
    values: list[float]
    timestamps: list[int]


_exported = msgspec.json.Decoder(_Exported)


class VictoriaTimeSeries:
    """Queries of one server, for devices_api.telemetry.timeseries.TimeSeries. `now` gives the time in ns.

    The parts of a query are asked for one after the other, so each is as of its own moment.
    """

    def __init__(self, address: StoreAddress, token: str, now: Callable[[], int], timeout: float = 10.0) -> None:
        self._now = now
        self._client = httpx.AsyncClient(
            base_url=address.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout,
            limits=httpx.Limits(max_connections=8),
        )

    async def has(self, device: str) -> bool:
        """Whether anything of `device` is stored."""
        return bool(await self._profiles(device))

    async def latest(self, device: str) -> dict[str, tuple[int, Value]]:
        """Return the newest `(ts, value)` of each metric of `device`."""
        newest: dict[str, tuple[int, int, str, str]] = {}
        for profile in await self._profiles(device):
            prefix = f"{measurement_of(profile, Tier.RAW)}_"
            names = await self._labels("__name__", f"{{{PROFILE}={_text(profile)},{TAG}={_text(device)}}}")
            raw = [name for name in names if name.startswith(prefix)][:MAX_METRICS]
            for name, at in (await self._newest(profile, device, raw)).items():
                metric, kind = metric_of(name.removeprefix(prefix)) or ("", None)
                if kind is not None:
                    newest[metric] = max(newest.get(metric, (-1, 0, "", "")), (at, -RANK[kind], profile, name))
        together: dict[tuple[int, str], list[str]] = defaultdict(list)
        for at, _, profile, name in newest.values():
            together[at, profile].append(name)
        values: dict[tuple[str, str], Value] = {}
        for (at, profile), names in together.items():
            found = await self._export(names, profile, device, at, at + 1)
            for name in names:
                _, kind = metric_of(name.removeprefix(f"{measurement_of(profile, Tier.RAW)}_")) or ("", float)
                points = points_of(kind, [one for one in found if one[0]["__name__"] == name])
                if at in points:
                    values[profile, name] = points[at]
        return {
            metric: (at * TICK, values[profile, name])
            for metric, (at, _, profile, name) in sorted(newest.items())
            if (profile, name) in values
        }

    async def latest_of(self, devices: Sequence[str], metrics: Collection[str] = ()) -> Mapping[str, Newest]:
        """Return what `latest` does of many devices."""
        return await served.latest_of(devices, metrics, self.latest)

    async def points(self, device: str, metric: str, start: int, end: int, limit: int) -> list[tuple[int, Value]]:
        """Return the first `limit` points with `start` <= ts < `end`, in order of ts."""
        end = min(end, self._now() + _AHEAD)
        found: list[Found] = []
        series = await self._series(device, metric)
        for age, ((profile, kind), newest) in enumerate(reversed(series.items())):
            left: list[Found] = []
            at, step, until = start, MINUTE, min(end, newest + 1)
            while at < until and len(left) < limit:
                try:
                    some = await self._points(device, metric, profile, kind, at, min(at + step, until))
                except TooMuchError:
                    if step == MINUTE:
                        raise
                    step = max(MINUTE, step // 64)
                    continue
                left += [Found(ts, RANK[kind], age, value) for ts, value in some]
                at, step = at + step, step * 8
            found += left
        return joined(found, limit)

    async def kept(self, device: str, metric: str, ts: int) -> list[Kept] | None:  # noqa: ARG002 - as TimeSeries has it
        """Tell that VictoriaMetrics is not given what came with a point."""
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
        series = await self._series(query.device, query.metric)

        async def fetch(spans: list[Span]) -> list[Fetched]:
            found = []
            for (profile, kind), newest in series.items():
                rows: dict[Tier, list[Row]] = defaultdict(list)
                for span in _closed(spans, newest, query.days):
                    rows[span.tier] += await self._rows(query, profile, kind, span)
                    if sum(map(len, rows.values())) > MAX_ROWS:
                        raise TooMuchError(TOO_MUCH)
                found.append(Fetched(profile, kind, rows))
            return found

        return fetch

    async def _profiles(self, device: str) -> list[str]:
        return [from_name(name) for name in await self._labels(PROFILE, f"{{{TAG}={_text(device)}}}")]

    async def _series(self, device: str, metric: str) -> dict[tuple[str, Kind], int]:
        """Return the time of the newest point of each series of a metric, the newest last."""
        found = {}
        for profile in await self._profiles(device):
            names = {name_of(profile, metric, kind): kind for kind in RANK}
            for name, at in (await self._newest(profile, device, list(names))).items():
                found[profile, names[name]] = at * TICK
        return dict(sorted(found.items(), key=lambda one: one[1]))

    async def _newest(self, profile: str, device: str, names: list[str]) -> dict[str, int]:
        """Return the time in ms of the newest sample of each name that has one."""
        found: dict[str, int] = {}
        at = self._now() + _AHEAD
        for back in (*(_AHEAD + back for back in _BACK), at):
            left = [name for name in names if name not in found]
            for first in range(0, len(left), _NAMES):
                match = selector(left[first : first + _NAMES], profile, [device])
                question = f"tlast_over_time({match}[{back // TICK}ms]) keep_metric_names"
                form = {"query": question, "time": _seconds(at // TICK), "nocache": "1"}
                for one in (await self._ask("/api/v1/query", form))["data"]["result"]:
                    name = one["metric"]["__name__"]
                    found[name] = max(found.get(name, 0), round(float(one["value"][1]) * 1000))
        return found

    async def _rows(self, query: Query, profile: str, kind: Kind, span: Span) -> list[Row]:
        if span.tier is Tier.RAW:
            points = await self._points(query.device, query.metric, profile, kind, span.start, span.end)
            return [point_row(*point) for point in points]
        names = window_names_of(profile, query.metric, kind, span.tier)
        start, end = span.start // TICK, (span.end + _BEHIND[span.tier]) // TICK
        found = await self._export(names, profile, query.device, start, end)
        rows = await asyncio.to_thread(rows_of, kind, names, found)
        return [
            _row(kind, at * TICK, row) for at, (_, row) in sorted(rows.items()) if span.start <= at * TICK < span.end
        ]

    async def _points(
        self, device: str, metric: str, profile: str, kind: Kind, start: int, end: int
    ) -> list[tuple[int, Value]]:
        names = [name_of(profile, metric, kind)]
        found = await self._export(names, profile, device, -(-start // TICK), -(-end // TICK))
        points = await asyncio.to_thread(points_of, kind, found)
        return [(at * TICK, value) for at, value in sorted(points.items())]

    async def _export(
        self, names: Iterable[str], profile: str, device: str, start: int, end: int
    ) -> list[tuple[_Labels, list[tuple[int, float]]]]:
        """Return all samples with `start` <= ms < `end`."""
        if start >= end:
            return []
        form = {"match[]": selector(names, profile, [device]), "start": _seconds(start), "end": _seconds(end - 1)}
        lines = (await self._read("/api/v1/export", form)).splitlines()
        series = await asyncio.to_thread(lambda: [_exported.decode(line) for line in lines])
        if sum(len(one.values) for one in series) > _MOST_SAMPLES:
            raise TooMuchError(TOO_MUCH)
        return [(one.metric, list(zip(one.timestamps, one.values, strict=True))) for one in series]

    async def _labels(self, label: str, match: str) -> list[str]:
        form = {"match[]": match, "start": "1", "end": _seconds((self._now() + _AHEAD) // TICK)}
        return sorted((await self._ask(f"/api/v1/label/{label}/values", form))["data"])

    async def _ask(self, path: str, form: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever the server answers
        return msgspec.json.decode(await self._read(path, form))

    async def _read(self, path: str, form: Mapping[str, str]) -> bytes:
        content = bytearray()
        try:
            async with self._client.stream("POST", path, data=form) as answer:
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > MOST_BYTES:
                        raise TooMuchError(TOO_MUCH)
        except httpx.HTTPError as error:
            raise UnavailableError(NAME) from error
        if not answer.is_success:
            raise UnavailableError(f"{NAME} (it answers {answer.status_code})")
        return bytes(content)


def _closed(spans: Iterable[Span], newest: int, days: Days | None) -> Iterator[Span]:
    """Put what finer tiers have in place of the windows of the newest point, which are not stored.

    Of tier 1d nothing comes in its place: a day that there is none of is asked for again, in hours.
    """
    minute, hour = newest - newest % MINUTE, newest - newest % HOUR
    opened = {Tier.M1: minute, Tier.H1: hour, Tier.D1: 0 if days is None else days.of(newest)[0]}
    for tier, start, end in spans:
        if tier is Tier.RAW:
            yield Span(tier, start, end)
            continue
        if start < opened[tier]:
            yield Span(tier, start, min(end, opened[tier]))
        if tier is not Tier.D1 and start <= opened[tier] < end:
            yield Span(Tier.M1, opened[tier], minute)
            yield Span(Tier.RAW, minute, minute + MINUTE)


def _row(kind: Kind, start: int, found: Mapping[str, Value]) -> Row:
    count, last = int(found["count"]), found["last"]
    if kind is not float:
        return Row(start, count, None, None, None, None, None, last)
    mean, stddev, least, most, first = (float(found[name]) for name in ("mean", "stddev", "min", "max", "first"))
    return Row(start, count, sum_of(mean, count), m2_of(stddev, count), least, most, first, last)


def _text(name: str) -> str:
    return json.dumps(to_tag(name), ensure_ascii=False)


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"
