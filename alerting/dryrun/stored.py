"""History as devices_api has it: read over HTTP, page by page."""

from collections.abc import AsyncIterator, Collection, Mapping
from http import HTTPStatus
from math import inf
from typing import Any, Self, TypeVar

import httpx
import msgspec

from alerting.dryrun.history import UnavailableError, span_of
from alerting.dryrun.merging import in_order
from contracts.derived import Window
from contracts.readings import Reading, Value
from contracts.times import format_time, parse_time
from contracts.timeseries import DAY, WIDTHS, Days, Tier

MOST_METRICS = 100
"""Metrics of one device that are read at once; of one that has more, the first by name."""

_TIMEOUT_S = 15.0
_PAGE = 2_000
_WINDOWS = 5_000
"""Windows that are asked for at once."""
_AGGREGATES = ["count", "last", "sum", "stddev", "min", "max", "first"]


class _Point(msgspec.Struct):
    ts: str
    value: Value


class _Points(msgspec.Struct):
    points: list[_Point]
    next: str | None = None


class _Latest(msgspec.Struct):
    values: dict[str, _Point]


class _Row(msgspec.Struct):
    ts: str
    count: int
    last: Value
    sum: float | None = None
    stddev: float | None = None
    min: float | None = None
    max: float | None = None
    first: float | bool | str | None = None


class _Series(msgspec.Struct):
    points: list[_Row]


class _Answer(msgspec.Struct):
    items: list[_Series]


T = TypeVar("T", bound=msgspec.Struct)


class StoredHistory:
    """What processor has stored, as `client` reads it from devices_api: its base is that API's, /api/v1 included.

    Of what was measured and computed alike. When ingest received it is not kept: it counts as received at its time.
    """

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    def at(cls, url: str, key: str) -> Self:
        """Read from the devices_api at `url`, with a key of its own."""
        headers = {"Authorization": f"Bearer {key}"}
        return cls(httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers, timeout=_TIMEOUT_S, trust_env=False))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def readings(self, device: str, metrics: Collection[str], start: int, end: int) -> AsyncIterator[Reading]:
        """Give readings as History says."""
        names = sorted(metrics or await self._metrics(device))[:MOST_METRICS]
        values: dict[str, Value] = {}
        moment = -1
        points = [self._points(device, metric, start, end) for metric in names]
        async for ts, (metric, value) in in_order(points):
            if ts != moment and values:
                yield Reading(device, moment, moment, values)
                values = {}
            moment = ts
            values[metric] = value
        if values:
            yield Reading(device, moment, moment, values)

    async def windows(
        self, device: str, metric: str, tier: Tier, days: Days, start: int, end: int
    ) -> AsyncIterator[Window]:
        """Give windows as History says."""
        begin, after = span_of(tier, start, days)
        at = begin if begin == start else after
        last = span_of(tier, end, days)[0]
        while at < last:
            until = min(last, span_of(tier, at + _WINDOWS * WIDTHS.get(tier, DAY), days)[0])
            body = {
                "devices": [device],
                "metrics": [metric],
                "start": format_time(at),
                "end": format_time(until),
                "aggregates": _AGGREGATES,
                "interval": tier.value,
            } | ({"zone": days.name} if tier is Tier.D1 else {})
            found = await self._ask(_Answer, "POST", "/telemetry/query", json=body)
            for row in found.items[0].points if found and found.items else []:
                span = span_of(tier, parse_time(row.ts), days)
                yield _window(device, metric, tier, span, row)
            at = until

    async def _points(
        self, device: str, metric: str, start: int, end: int
    ) -> AsyncIterator[tuple[int, tuple[str, Value]]]:
        asked = {"metric": metric, "start": format_time(start), "end": format_time(end), "limit": str(_PAGE)}
        while True:
            page = await self._ask(_Points, "GET", _telemetry(device), params=asked)
            if page is None:
                return
            for point in page.points:
                yield parse_time(point.ts), (metric, point.value)
            if page.next is None:
                return
            asked["cursor"] = page.next

    async def _metrics(self, device: str) -> list[str]:
        found = await self._ask(_Latest, "GET", f"{_telemetry(device)}/latest")
        return [] if found is None else list(found.values)

    async def _ask(self, answer: type[T], method: str, path: str, **request: Any) -> T | None:  # noqa: ANN401 - as httpx takes it
        """Ask for something; None where nothing is known of the device."""
        try:
            response = await self._client.request(method, path, **request)
            if response.status_code == HTTPStatus.NOT_FOUND:
                return None
            if response.status_code != HTTPStatus.OK:
                raise UnavailableError(f"devices_api answered {response.status_code}: {_detail(response)}")
            return msgspec.json.decode(response.content, type=answer)
        except httpx.HTTPError as error:
            raise UnavailableError(f"devices_api cannot be asked: {type(error).__name__}") from error
        except msgspec.MsgspecError as error:
            raise UnavailableError(f"devices_api gave an answer that is none: {error}") from error


def _telemetry(device: str) -> str:
    # All of it is quoted, so that no id can lead elsewhere.
    return f"/devices/{''.join(f'%{byte:02X}' for byte in device.encode())}/telemetry"


def _window(device: str, metric: str, tier: Tier, span: tuple[int, int], row: _Row) -> Window:
    first = row.first if type(row.first) is float else None
    m2 = None if row.stddev is None or row.stddev == inf else row.stddev * row.stddev * row.count
    return Window(device, "", metric, tier, *span, row.count, row.last, row.sum, m2, row.min, row.max, first)


def _detail(response: httpx.Response) -> str:
    try:
        found: Mapping[str, object] = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        return response.reason_phrase
    return str(found.get("detail", response.reason_phrase))[:500]
