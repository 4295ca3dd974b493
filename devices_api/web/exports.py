"""The route that exports telemetry: a stream of any length, of which little is held at a time."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from contracts.problems import Problem
from contracts.requests import TimeParam, bad
from contracts.times import LATEST, format_time
from devices_api.access import Principal
from devices_api.lists.filters import Filter
from devices_api.telemetry.exporting import MEDIA_TYPES, TEXTS, Format, Page, encoded
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.web.access import Reader
from devices_api.web.addressing import Addressing, DeviceNames, MetricNames, one_of
from devices_api.web.params import FilterParam

MAX_EXPORTS = 4
"""Most exports at the same time."""
_DEVICES_AT_ONCE = 500
_RETRY_AFTER_S = 10


class _Stream(StreamingResponse):
    """Sends what it is given, and lets go of everything at the end, or when the client has gone."""

    ended: contextlib.AsyncExitStack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send."""
        async with self.ended:
            await super().__call__(scope, receive, send)


class Exports:
    """How many exports are running; each is made page by page, as its reader takes it."""

    def __init__(self, addressing: Addressing, timeseries: TimeSeries) -> None:
        self._addressing, self._timeseries = addressing, timeseries
        self._running = 0

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Be one of those that run. Answers 429 if that is one too many."""
        if self._running >= MAX_EXPORTS:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too-many-exports",
                "Too many exports at once",
                f"{MAX_EXPORTS} exports are running, which is the most. Ask again later.",
                {"Retry-After": str(_RETRY_AFTER_S)},
            )
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def named(self, who: Principal, devices: Sequence[str]) -> AsyncIterator[str]:
        """Give devices by id. Answers 404 before the first if there is one that there is not."""
        named = sorted(await self._addressing.named(who, devices))
        await self._addressing.must_exist(who, named)
        return _each(named)

    async def taken(self, who: Principal, meant: Filter | None) -> AsyncIterator[str]:
        """Give the devices that a filter takes, or all, by id; as many at once as one read gives."""
        after = ""
        while devices := await self._addressing.filtered(who, meant, after, _DEVICES_AT_ONCE):
            for device in devices:
                yield device
            after = device

    async def pages(
        self, devices: AsyncIterator[str], metrics: Sequence[str], start: int, end: int
    ) -> AsyncGenerator[Page, None]:
        """Give the points of devices by device, metric and time."""
        wanted = sorted(set(metrics))
        async for device in devices:
            for metric in wanted or sorted(await self._timeseries.latest(device)):
                async with contextlib.aclosing(self._timeseries.scan(device, metric, start, end)) as scan:
                    async for points in scan:
                        yield Page(device, metric, points)


async def _each(devices: Sequence[str]) -> AsyncIterator[str]:
    for device in devices:
        yield device


def routes(addressing: Addressing, timeseries: TimeSeries) -> APIRouter:
    """Build the route on `timeseries`."""
    router = APIRouter(prefix="/telemetry", tags=["telemetry"])
    exports = Exports(addressing, timeseries)
    content: dict[str, dict[str, str]] = {media_type.partition(";")[0]: {} for media_type in MEDIA_TYPES.values()}

    @router.get("/export", response_class=StreamingResponse, responses={HTTPStatus.OK.value: {"content": content}})
    async def export(  # noqa: PLR0913 - one parameter each of the query
        who: Reader,
        request: Request,
        filter_: FilterParam,
        *,
        device: DeviceNames = [],  # noqa: B006 - FastAPI makes one for each request
        metric: MetricNames = [],  # noqa: B006 - as above
        start: TimeParam = 0,
        end: TimeParam = LATEST,
        format: Format = Format.CSV,  # noqa: A002 - the parameter's name
        layout: Annotated[Literal["long"], Query(description="A row a point")] = "long",  # noqa: ARG001 - there is one
    ) -> _Stream:
        """Stream the points with `start` <= ts < `end` of devices: those named, those of a filter, or all.

        In order of device, metric and ts. A number, a boolean and a text have a column each, or their JSON type. An
        answer that breaks off lacks the last chunk of its transfer, which HTTP clients report.
        """
        if device and filter_ is not None:
            one_of(device, filter_)
        if start >= end:
            raise bad("bad-time", f"start ({format_time(start)}) has to be before end ({format_time(end)})")
        async with contextlib.AsyncExitStack() as ended:
            ended.enter_context(exports.counted())
            devices = await exports.named(who, device) if device else exports.taken(who, filter_)
            await timeseries.has("")  # a store that is away is told of before the answer begins
            gzip = format in TEXTS and "gzip" in request.headers.get("accept-encoding", "")
            chunks = encoded(format, exports.pages(devices, metric, start, end), gzip=gzip)
            ended.push_async_callback(chunks.aclose)
            headers = {"Content-Disposition": f'attachment; filename="telemetry.{format}"', "Vary": "Accept-Encoding"}
            answer = _Stream(chunks, media_type=MEDIA_TYPES[format], headers=headers)
            if gzip:
                answer.headers["Content-Encoding"] = "gzip"
            answer.ended = ended.pop_all()
        return answer

    return router
