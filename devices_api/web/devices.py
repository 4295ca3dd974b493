"""Routes of the registry."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import APIRouter, Response

from contracts.problems import Problem
from devices_api.cursors import text_position
from devices_api.errors import ExistsError
from devices_api.web.access import Reader, Writer, everywhere
from devices_api.web.params import Cursor, PageLimit, read
from devices_api.web.schemas import DeviceDetail, DeviceIn, DevicePage, DevicePatch

if TYPE_CHECKING:
    from devices_api.repository import Repository


def unknown_device(id_: str) -> Problem:
    """Build the answer to a request about a device that there is not."""
    return Problem(HTTPStatus.NOT_FOUND, "unknown-device", "Unknown device", f"No device {id_!r} is registered.")


def routes(registry: "Callable[[], Repository]", changed: Callable[[], None], now: Callable[[], int]) -> APIRouter:
    """Build the routes on `registry`; `changed` is called after each change."""
    router = APIRouter(prefix="/devices", tags=["devices"])

    @router.post("", status_code=HTTPStatus.CREATED)
    async def register(who: Writer, body: DeviceIn, response: Response) -> DeviceDetail:
        """Register a device."""
        everywhere(who)
        try:
            device = await registry().create(body.content(), now())
        except ExistsError as error:
            raise Problem(
                HTTPStatus.CONFLICT, "device-exists", "The device exists", f"Device {body.id!r} is registered already."
            ) from error
        changed()
        response.headers["Location"] = f"/api/v1/devices/{quote(body.id, safe='')}"
        return DeviceDetail.of(device)

    @router.get("")
    async def list_devices(who: Reader, limit: PageLimit = 100, cursor: Cursor = None) -> DevicePage:
        """List devices by id. Devices registered meanwhile neither repeat nor displace others."""
        after = None if cursor is None else read("bad-cursor", lambda text: text_position("devices", text), cursor)
        return DevicePage.of(await registry().page(after, limit + 1, who.view), limit)

    @router.get("/{device_id}")
    async def show(who: Reader, device_id: str) -> DeviceDetail:
        """Show a device, with its calibration and what it says of itself."""
        device = await registry().get(device_id, who.view)
        if device is None:
            raise unknown_device(device_id)
        return DeviceDetail.of(device)

    @router.patch("/{device_id}")
    async def change(who: Writer, device_id: str, body: DevicePatch) -> DeviceDetail:
        """Replace parts of a device."""
        device = await registry().change(device_id, body.content(), now(), who.view)
        if device is None:
            raise unknown_device(device_id)
        changed()
        return DeviceDetail.of(device)

    @router.delete("/{device_id}", status_code=HTTPStatus.NO_CONTENT)
    async def remove(who: Writer, device_id: str) -> None:
        """Remove a device from the registry; its telemetry stays."""
        if not await registry().remove(device_id, who.view):
            raise unknown_device(device_id)
        changed()

    return router
