"""Routes of the registry."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from contracts.etags import IfMatch, tagged
from devices_api.errors import ExistsError
from devices_api.telemetry.timeseries import TimeSeries
from devices_api.web.access import Reader, Writer
from devices_api.web.refusals import refusals, unknown_device
from devices_api.web.schemas import DeviceDetail, DeviceIn, DevicePatch

if TYPE_CHECKING:
    from devices_api.repository import Repository

Deleted = Annotated[bool, Query(description="Show what is deleted")]


def routes(
    registry: "Callable[[], Repository]", timeseries: TimeSeries, changed: Callable[[], None], now: Callable[[], int]
) -> APIRouter:
    """Build the routes on `registry`; `changed` is called after each change."""
    router = APIRouter(prefix="/devices", tags=["devices"])

    @router.post("", status_code=HTTPStatus.CREATED)
    async def register(who: Writer, body: DeviceIn, response: Response) -> DeviceDetail:
        """Register a device. A key that is limited to groups has to put it into one of them.

        Such a key is refused an id that has telemetry already, of a device that it did not see.
        """
        with refusals():
            if who.view is not None and await timeseries.has(body.id):
                raise ExistsError(body.id)
            device = await registry().create(body.content(), who, now())
        changed()
        response.headers["Location"] = f"/api/v1/devices/{quote(body.id, safe='')}"
        tagged(response, device.version)
        return DeviceDetail.of(device)

    @router.get("/{device_id}")
    async def show(who: Reader, device_id: str, response: Response, *, deleted: Deleted = False) -> DeviceDetail:
        """Show a device, with its calibration and what it says of itself; with `deleted`, also one that is deleted."""
        device = await registry().get(device_id, who.view, deleted=deleted)
        if device is None:
            raise unknown_device(device_id)
        tagged(response, device.version)
        return DeviceDetail.of(device)

    @router.patch("/{device_id}")
    async def change(
        who: Writer, device_id: str, body: DevicePatch, match: IfMatch, response: Response
    ) -> DeviceDetail:
        """Replace parts of a device."""
        with refusals():
            device = await registry().change(device_id, body.content(), who, now(), match)
        if device is None:
            raise unknown_device(device_id)
        changed()
        tagged(response, device.version)
        return DeviceDetail.of(device)

    return router
