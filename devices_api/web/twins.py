"""Routes of the devices' twins."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, Response

from contracts.etags import IfMatch, tagged
from contracts.problems import Problem
from devices_api.twins.twin import without_nulls
from devices_api.web.access import Reader, Writer
from devices_api.web.refusals import refusals, unknown_device
from devices_api.web.twinschemas import StateIn, TwinOut

if TYPE_CHECKING:
    from devices_api.repository import Repository
    from devices_api.twins.twin import Twin


def routes(registry: "Callable[[], Repository]", changed: Callable[[], None], now: Callable[[], int]) -> APIRouter:
    """Build the routes on `registry`; `changed` is called after each change that a device has to be told of."""
    router = APIRouter(prefix="/devices/{device_id}/twin", tags=["twins"])

    @router.get("")
    async def show(who: Reader, device_id: str, response: Response) -> TwinOut:
        """Show what a device is to be, what it says that it is, and what it lacks."""
        return _answer(await registry().twins.get(device_id, who.view), device_id, response)

    @router.patch("/desired")
    async def change(who: Writer, device_id: str, body: StateIn, match: IfMatch, response: Response) -> TwinOut:
        """Merge into the desired state: null removes a field (RFC 7396). The device is told the whole of it."""
        with refusals(), _too_large():
            twin = await registry().twins.desire(device_id, body, who, now(), match)
        changed()
        return _answer(twin, device_id, response)

    @router.put("/desired")
    async def replace(who: Writer, device_id: str, body: StateIn, match: IfMatch, response: Response) -> TwinOut:
        """Replace the desired state; fields that stay as they are keep their times."""
        with refusals(), _too_large():
            twin = await registry().twins.desire(device_id, without_nulls(body), who, now(), match, whole=True)
        changed()
        return _answer(twin, device_id, response)

    @router.patch("/reported")
    async def report(who: Writer, device_id: str, body: StateIn, response: Response) -> TwinOut:
        """Merge into the reported state, for a device that cannot do so over MQTT."""
        with _too_large():
            twin = await registry().twins.report(device_id, body, who, now())
        return _answer(twin, device_id, response)

    return router


def _answer(twin: "Twin | None", device_id: str, response: Response) -> TwinOut:
    if twin is None:
        raise unknown_device(device_id)
    tagged(response, twin.version)
    return TwinOut.of(twin)


@contextmanager
def _too_large() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        detail = f"The state would not be kept: {error}."
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "state-too-large", "The state is too large", detail) from error
