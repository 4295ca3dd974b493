"""Routes of what devices have measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import msgspec
from fastapi import APIRouter, Response
from fastapi import Query as Parameter

from contracts.readings import Value
from contracts.requests import Cursor, TimeParam, bad, read
from contracts.times import format_time
from contracts.timeseries import Days, days_of
from devices_api.cursors import encode_cursor, number_position
from devices_api.errors import TooMuchError
from devices_api.telemetry.intervals import AUTO, LOCAL, finest, grid_of
from devices_api.telemetry.queries import AUTO_POINTS
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.telemetry.windows import MAX_WINDOWS, Aggregate, Grid, Query, count_windows, end_of
from devices_api.web.access import Reader
from devices_api.web.addressing import Addressing, too_much
from devices_api.web.params import MAX_POINTS, Interval, PointsLimit, ZoneParam
from devices_api.web.schemas import Latest, Points

if TYPE_CHECKING:
    from devices_api.repository import Repository

DEFAULT_POINTS = 1000

_KIND = "telemetry"

_json = msgspec.json.Encoder()


def _answer(content: Mapping[str, object]) -> Response:
    """Write an answer directly: ten thousand points would take pydantic many times as long."""
    return Response(_json.encode(content), media_type="application/json")


def _points(rows: Sequence[tuple[int, Value]]) -> list[dict[str, Value]]:
    return [{"ts": format_time(ts), "value": value} for ts, value in rows]


async def _raw(
    timeseries: TimeSeries, device: str, metric: str, span: tuple[int, int], limit: int
) -> dict[str, object]:
    """Answer with the first `limit` points in `span`."""
    rows = await timeseries.points(device, metric, *span, limit + 1)
    following = encode_cursor(_KIND, rows[limit][0]) if len(rows) > limit else None
    return {"device": device, "metric": metric, "points": _points(rows[:limit]), "next": following}


async def _aggregated(timeseries: TimeSeries, query: Query, limit: int, interval: str) -> dict[str, object]:
    """Answer with those of the first `limit` windows of `query` that hold a point."""
    start, end, grid = query.start, query.end, query.grid
    if (count := count_windows(start, end, grid)) > MAX_WINDOWS:
        raise too_much(f"start to end is {count} windows of {interval}; {MAX_WINDOWS} are allowed")
    until = end_of(start, end, grid, limit)
    windows, source = await timeseries.windows(replace(query, end=until))
    return {
        "device": query.device,
        "metric": query.metric,
        "points": _points(windows),
        "next": encode_cursor(_KIND, until) if until < end else None,
        "aggregate": query.aggregate,
        "interval": interval,
        "source": source,
    }


def _span(start: int, end: int, cursor: str | None) -> tuple[int, int]:
    """Give what is left of `start` to `end` after the page that ended with `cursor`."""
    if start >= end:
        raise bad("bad-time", f"start ({format_time(start)}) has to be before end ({format_time(end)})")
    if cursor is None:
        return start, end
    position = read("bad-cursor", lambda text: number_position(_KIND, text), cursor)
    if not start <= position < end:
        raise bad("bad-cursor", "this cursor is of a query with another start and end")
    return position, end


async def _grid_of(
    registry: "Callable[[], Repository]", device: str, interval: str, zone: str | None
) -> tuple[Grid, Days | None]:
    """Give the windows of an interval, and the device's days where the windows are made of local days."""
    if interval in LOCAL:
        own = days_of(await registry().zone(device))
        return grid_of(interval, own if zone is None else days_of(zone)), own
    if zone is not None:
        raise bad("bad-zone", f"only an interval of {', '.join(LOCAL)} has a zone, and this one is {interval}")
    return grid_of(interval, None), None


@contextmanager
def _bounded() -> Iterator[None]:
    try:
        yield
    except TooMuchError as error:
        raise too_much(f"{error}.") from error


def routes(addressing: Addressing, timeseries: TimeSeries) -> APIRouter:
    """Build the routes on `timeseries`."""
    router = APIRouter(prefix="/devices/{device_id}/telemetry", tags=["telemetry"])

    @router.get("/latest", response_model=Latest)
    async def latest(who: Reader, device_id: str) -> Response:
        """Give the newest point of each metric; empty for a registered device without data."""
        await addressing.named(who, [device_id])
        values = await timeseries.latest(device_id)
        if not values:
            await addressing.must_exist(who, [device_id])
        points = {metric: {"ts": format_time(ts), "value": value} for metric, (ts, value) in values.items()}
        return _answer({"device": device_id, "values": points})

    @router.get("", response_model=Points, response_model_exclude_unset=True)
    async def telemetry(  # noqa: PLR0913 - one parameter each of the query
        who: Reader,
        device_id: str,
        metric: Annotated[str, Parameter(min_length=1)],
        start: TimeParam,
        end: TimeParam,
        *,
        limit: PointsLimit = None,
        cursor: Cursor = None,
        aggregate: Aggregate | None = None,
        interval: Interval = "1m",
        zone: ZoneParam = None,
    ) -> Response:
        """Give the points of `metric` with `start` <= ts < `end`, in order of time; at most 1000 if not told otherwise.

        With `aggregate`, one value for each window of `interval` that holds a point, over exactly the points inside
        `start` <= ts < `end`. Windows are aligned to the epoch, but those of 1d are days of `zone`. Numbers have every
        aggregate, booleans and text only count and last; where a window holds several kinds, numbers are the answer.
        The rollups answer where windows are made of theirs, and raw points where `start` or `end` cuts a minute.
        """
        await addressing.named(who, [device_id])
        span = _span(start, end, cursor)
        with _bounded():
            if aggregate is None:
                answer = await _raw(timeseries, device_id, metric, span, limit or DEFAULT_POINTS)
            else:
                interval = finest(start, end, limit or AUTO_POINTS) if interval == AUTO else interval
                windows = await _grid_of(addressing.registry, device_id, interval, zone)
                query = Query(device_id, metric, aggregate, *span, *windows)
                answer = await _aggregated(timeseries, query, limit or MAX_POINTS, interval)
        if not answer["points"]:
            await addressing.must_exist(who, [device_id])
        return _answer(answer)

    return router
