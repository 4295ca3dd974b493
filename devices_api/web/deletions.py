"""Routes by which devices are deleted and brought back."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Response

from contracts.etags import IfMatch, tagged
from contracts.problems import Problem
from devices_api.access import Scope
from devices_api.web.access import Writer, scope_missing
from devices_api.web.refusals import refusals, unknown_device
from devices_api.web.schemas import DeviceDetail

if TYPE_CHECKING:
    from devices_api.repository import Repository

Purge = Annotated[bool, Query(description="Remove it for good")]


def routes(registry: "Callable[[], Repository]", changed: Callable[[], None], now: Callable[[], int]) -> APIRouter:
    """Build the routes on `registry`; `changed` is called after each change."""
    router = APIRouter(prefix="/devices", tags=["devices"])

    @router.delete("/{device_id}", status_code=HTTPStatus.NO_CONTENT)
    async def remove(who: Writer, device_id: str, match: IfMatch, *, purge: Purge = False) -> None:
        """Delete a device so that it can be restored; what it sends becomes dead letters, its telemetry stays.

        `purge` removes it for good, deleted already or not, and takes the scope admin; its telemetry stays.
        """
        if purge and not who.may(Scope.ADMIN):
            raise scope_missing(who, Scope.ADMIN)
        do = registry().purge if purge else registry().remove
        with refusals():
            done = await do(device_id, who, now(), match)
        if not done:
            raise unknown_device(device_id)
        changed()

    @router.post("/{device_id}/restore")
    async def restore(who: Writer, device_id: str, match: IfMatch, response: Response) -> DeviceDetail:
        """Undo a deletion."""
        with refusals():
            device = await registry().restore(device_id, who, now(), match)
        if device is None:
            if await registry().get(device_id, who.view) is None:
                raise unknown_device(device_id)
            raise Problem(HTTPStatus.CONFLICT, "not-deleted", "Not deleted", f"Device {device_id!r} is not deleted.")
        changed()
        tagged(response, device.version)
        return DeviceDetail.of(device)

    return router
