"""The query API, as an operator asks it: points of a series, metrics of a device, dead letters. All by httpx."""

import asyncio
import base64
import calendar
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from contracts.readings import Value

POINTS_PAGE = 10_000
LETTERS_PAGE = 1_000
_RETRY_S = 0.25


class ApiError(Exception):
    """The query API cannot be asked, so nothing can be said about what it holds."""


class Point(msgspec.Struct, frozen=True):
    """One stored value; `ts` as RFC 3339 with nine fraction digits."""

    ts: str
    value: Value


class _Points(msgspec.Struct):
    points: list[Point]
    next: str | None = None


class _Latest(msgspec.Struct):
    values: dict[str, Point]


class Letter(msgspec.Struct, frozen=True):
    """One dead letter, as far as it matters here."""

    reason: str
    payload_base64: str

    @property
    def payload(self) -> bytes:
        """Give the original bytes."""
        return base64.b64decode(self.payload_base64)


class _Letters(msgspec.Struct):
    items: list[Letter]
    next: str | None = None


T = TypeVar("T", _Points, _Latest, _Letters)


@lru_cache(maxsize=4096)
def _seconds(text: str) -> int:
    year, month, day, hour, minute, second = (
        int(part) for part in (text[:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    )
    return calendar.timegm((year, month, day, hour, minute, second))


def nanoseconds(text: str) -> int:
    """Read `2026-01-01T00:00:00.250000000Z` as ns since 1970. Raises ValueError for any other form."""
    if len(text) != 30 or text[19] != "." or text[29] != "Z":  # noqa: PLR2004 - the form above
        raise ValueError(f"not RFC 3339 in UTC with nine fraction digits: {text!r}")
    return _seconds(text[:19]) * 1_000_000_000 + int(text[20:29])


class QueryApi:
    """A client of devices_api at `url`, with at most `concurrency` requests at once.

    While the API does not answer, requests are made again until `deadline` (the event loop's clock), then raise
    ApiError; so does an answer that no waiting mends, such as a wrong key.
    """

    def __init__(self, url: str, key: str, concurrency: int, transport: httpx.AsyncBaseTransport | None) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._client = httpx.AsyncClient(
            base_url=f"{url.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
            transport=transport,
            trust_env=False,
        )
        self.deadline = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def points(self, device: str, metric: str, start: int, end: int) -> list[tuple[int, Value]]:
        """Give every point with `start` <= ts < `end` (ns), as (ts, value); none for an unknown device."""
        found: list[tuple[int, Value]] = []
        query: dict[str, str | int] = {"metric": metric, "start": start, "end": end, "limit": POINTS_PAGE}
        while (page := await self._get(f"/devices/{quote(device, safe='')}/telemetry", query, _Points)) is not None:
            found += [(nanoseconds(point.ts), point.value) for point in page.points]
            if page.next is None:
                break
            query["cursor"] = page.next
        return found

    async def metrics(self, device: str) -> list[str]:
        """List the metrics that are stored for `device`."""
        latest = await self._get(f"/devices/{quote(device, safe='')}/telemetry/latest", {}, _Latest)
        return [] if latest is None else list(latest.values)

    async def dead_letters(self, device: str) -> list[Letter]:
        """Give every dead letter of `device`."""
        found: list[Letter] = []
        query: dict[str, str | int] = {"device": device, "limit": LETTERS_PAGE}
        while (page := await self._get("/dead-letters", query, _Letters)) is not None:
            found += page.items
            if page.next is None:
                break
            query["cursor"] = page.next
        return found

    async def _get(self, path: str, query: Mapping[str, str | int], form: type[T]) -> T | None:
        """Ask, again and again where that may help; None stands for 404."""
        while True:
            problem = ""
            try:
                async with self._slots:
                    answer = await self._client.get(path, params=dict(query))
            except httpx.TransportError as error:
                problem = repr(error)
            else:
                if answer.is_success:
                    return _decode(answer, form)
                if answer.status_code == HTTPStatus.NOT_FOUND:
                    return None
                problem = f"{answer.status_code} {answer.text[:200]}"
                if answer.is_client_error and answer.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                    raise ApiError(f"{answer.request.url} answers {problem}")
            if asyncio.get_running_loop().time() >= self.deadline:
                raise ApiError(f"{self._client.base_url}{path} does not answer: {problem}")
            await asyncio.sleep(_RETRY_S)


def _decode(answer: httpx.Response, form: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(f"{answer.request.url} answers something else than was agreed: {error}") from error
