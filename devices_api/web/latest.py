"""The route of the newest values of many devices."""

from collections.abc import Iterable, Mapping

import msgspec
from fastapi import APIRouter, Response

from contracts.requests import Cursor, PageLimit, read
from contracts.times import format_time
from devices_api.cursors import encode_cursor, text_position
from devices_api.errors import TooMuchError
from devices_api.telemetry.timeseries import Newest, TimeSeries
from devices_api.web.access import Reader
from devices_api.web.addressing import Addressing, DeviceNames, MetricNames, one_of, too_much
from devices_api.web.params import FilterParam
from devices_api.web.queryschemas import LatestPage

_KIND = "latest"
_json = msgspec.json.Encoder()


def _newest(device: str, values: Newest) -> dict[str, object]:
    points = {metric: {"ts": format_time(ts), "value": value} for metric, (ts, value) in values.items()}
    return {"device": device, "values": points}


def _page(devices: Iterable[str], found: Mapping[str, Newest], following: str | None) -> bytes:
    return _json.encode({"items": [_newest(device, found.get(device, {})) for device in devices], "next": following})


def routes(addressing: Addressing, timeseries: TimeSeries) -> APIRouter:
    """Build the route on `timeseries`."""
    router = APIRouter(prefix="/telemetry", tags=["telemetry"])

    @router.get("/latest", response_model=LatestPage)
    async def latest(
        who: Reader,
        filter_: FilterParam,
        *,
        device: DeviceNames = [],  # noqa: B006 - FastAPI makes one for each request
        metric: MetricNames = [],  # noqa: B006 - as above
        limit: PageLimit = 100,
        cursor: Cursor = None,
    ) -> Response:
        """Give the newest point of each metric of devices: those named, or those of a filter, by id.

        A device without data has no values. One that is not registered and has no data, or that the key may not see, is
        answered with 404. With a filter, `limit` and `cursor` page over the devices.
        """
        one_of(device, filter_)
        following = None
        if filter_ is None:
            devices = list(await addressing.named(who, device))
        else:
            after = "" if cursor is None else read("bad-cursor", lambda text: text_position(_KIND, text), cursor)
            devices = list(await addressing.filtered(who, filter_, after, limit + 1))
            if len(devices) > limit:
                devices = devices[:limit]
                following = encode_cursor(_KIND, devices[-1])
        try:
            found = await timeseries.latest_of(devices, metric) if devices else {}
        except TooMuchError as error:
            raise too_much(f"{error}.") from error
        if filter_ is None:
            await addressing.must_exist(who, [name for name in devices if name not in found])
        return Response(_page(devices, found, following), media_type="application/json")

    return router
