"""The route of queries of many series."""

import asyncio
from collections.abc import Iterable, Mapping

import msgspec
from fastapi import APIRouter, Response

from contracts.requests import bad, read
from contracts.times import format_time
from devices_api.access import Principal
from devices_api.errors import TooMuchError
from devices_api.lists.filters import parse
from devices_api.telemetry.filling import Fill
from devices_api.telemetry.intervals import AUTO, LOCAL
from devices_api.telemetry.queries import MAX_SERIES, Asked, Found, Rows, answered
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.web.access import Reader
from devices_api.web.addressing import Addressing, one_of, too_much
from devices_api.web.queryschemas import QueryIn, QueryOut

_json = msgspec.json.Encoder()


def _series(rows: Rows, names: Iterable[str]) -> dict[str, object]:
    keys = ("ts", *names)
    points = [dict(zip(keys, (format_time(ts), *values), strict=True)) for ts, values in rows.rows]
    return {"device": rows.device, "metric": rows.metric, "source": rows.source, "points": points}


def _written(found: Found) -> bytes:
    names = found.aggregates or ("value",)
    series = [_series(rows, names) for rows in found.series]
    return _json.encode({"items": series, "aggregates": found.aggregates, "interval": found.interval})


def _check(body: QueryIn) -> None:
    """Answer 400 where what is asked for does not go together."""
    if body.start >= body.end:
        raise bad("bad-time", f"start ({format_time(body.start)}) has to be before end ({format_time(body.end)})")
    if not body.aggregates and body.interval != AUTO:
        raise bad("bad-interval", "an interval is of windows: name aggregates, such as mean")
    if not body.aggregates and body.fill is not Fill.NONE:
        raise bad("bad-fill", "what is filled are windows: name aggregates, such as mean")
    if body.zone is not None and body.interval not in (*LOCAL, AUTO):
        raise bad("bad-zone", f"only an interval of {', '.join(LOCAL)} has a zone, and this one is {body.interval}")


def _asked(devices: Iterable[str], body: QueryIn) -> Asked:
    return Asked(
        list(devices),
        list(dict.fromkeys(body.metrics)),
        body.start,
        body.end,
        list(dict.fromkeys(body.aggregates)),
        body.interval,
        body.zone,
        body.fill,
        body.max_points,
    )


def routes(addressing: Addressing, timeseries: TimeSeries, most_rows: int) -> APIRouter:
    """Build the route on `timeseries`; a query may read `most_rows` rows."""
    router = APIRouter(prefix="/telemetry", tags=["telemetry"])

    async def answer(who: Principal, asked: Asked, zones: Mapping[str, str] | None) -> Found:
        """Answer; the time zones are looked up where they are wanted and not known yet."""

        async def zones_of() -> Mapping[str, str]:
            return await addressing.named(who, asked.devices, zones=True) if zones is None else zones

        try:
            return await answered(timeseries, asked, zones_of, most_rows)
        except TooMuchError as error:
            raise too_much(f"{error}.") from error

    @router.post("/query", response_model=QueryOut)
    async def query(who: Reader, body: QueryIn) -> Response:
        """Give the points, or aggregates over windows, of many series.

        Without `aggregates` that is all points; with `max_points` as many of them as keep the shape of the series, or
        means where there are too many to choose from. `source` says what was read: the points, or which rollup. A query
        that would take too much is refused before it reads, with an estimate of how much.
        """
        meant = None if body.filter is None else read("bad-filter", parse, body.filter)
        one_of(body.devices, meant)
        _check(body)
        if meant is None:
            devices = await addressing.named(who, body.devices)
            found = await answer(who, _asked(devices, body), devices if who.view is not None else None)
            with_data = {rows.device for rows in found.series if not rows.empty}
            await addressing.must_exist(who, [device for device in devices if device not in with_data])
        else:
            most = MAX_SERIES // len(body.metrics)
            devices = await addressing.filtered(who, meant, "", most + 1)
            if len(devices) > most:
                raise too_much(f"the filter takes more than {most} devices: make it narrower, or name fewer metrics.")
            found = await answer(who, _asked(devices, body), devices)
        return Response(await asyncio.to_thread(_written, found), media_type="application/json")

    return router
