"""Routes of the groups."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Response

from contracts.etags import IfMatch, tagged
from contracts.problems import Problem
from contracts.requests import Cursor, PageLimit, read
from devices_api.cursors import text_position
from devices_api.errors import ExistsError, UnknownGroupError
from devices_api.web.access import Reader, Writer
from devices_api.web.groupschemas import GroupIn, GroupOut, GroupPage, GroupPatch
from devices_api.web.refusals import refusals, unknown_device, unknown_group
from devices_api.web.textschemas import GroupId

if TYPE_CHECKING:
    from devices_api.repository import Repository

MoveTo = Annotated[GroupId | None, Query(description="The group that gets what is in it")]


def routes(registry: "Callable[[], Repository]", changed: Callable[[], None], now: Callable[[], int]) -> APIRouter:
    """Build the routes on `registry`; `changed` is called after each change."""
    router = APIRouter(prefix="/groups", tags=["groups"])

    @router.post("", status_code=HTTPStatus.CREATED)
    async def make(who: Writer, body: GroupIn, response: Response) -> GroupOut:
        """Make a group. A key that is limited to groups has to put it below one of them."""
        with refusals():
            try:
                group = await registry().groups.create(body.content(), who, now())
            except ExistsError as error:
                detail = f"There is a group {body.id!r} already."
                raise Problem(HTTPStatus.CONFLICT, "group-exists", "The group exists", detail) from error
        response.headers["Location"] = f"/api/v1/groups/{group.id}"
        tagged(response, group.version)
        return GroupOut.of(group, who.view)

    @router.get("")
    async def list_groups(who: Reader, limit: PageLimit = 100, cursor: Cursor = None) -> GroupPage:
        """List the tree, each group followed by what is below it, with how many devices there are."""
        after = None if cursor is None else read("bad-cursor", lambda text: text_position("groups", text), cursor)
        path = None if after is None else after.split("/")
        return GroupPage.of(await registry().groups.page(path, limit + 1, who.view), limit, who.view)

    @router.get("/{group_id}")
    async def show(who: Reader, group_id: str, response: Response) -> GroupOut:
        """Show a group."""
        group = await registry().groups.get(group_id, who.view)
        if group is None:
            raise unknown_group(group_id)
        tagged(response, group.version)
        return GroupOut.of(group, who.view)

    @router.patch("/{group_id}")
    async def change(who: Writer, group_id: str, body: GroupPatch, match: IfMatch, response: Response) -> GroupOut:
        """Rename a group, or move it with all that is below it."""
        with refusals():
            group = await registry().groups.change(group_id, body.content(), who, now(), match)
        if group is None:
            raise unknown_group(group_id)
        changed()
        tagged(response, group.version)
        return GroupOut.of(group, who.view)

    @router.delete("/{group_id}", status_code=HTTPStatus.NO_CONTENT)
    async def remove(who: Writer, group_id: str, match: IfMatch, move_to: MoveTo = None) -> None:
        """Remove a group that is empty, or whose groups and devices go to `move_to`."""
        with refusals():
            removed = await registry().groups.remove(group_id, who, now(), match, move_to)
        if not removed:
            raise unknown_group(group_id)
        changed()

    return router


def member_routes(
    registry: "Callable[[], Repository]", changed: Callable[[], None], now: Callable[[], int]
) -> APIRouter:
    """Build the routes by which devices are put into groups."""
    router = APIRouter(prefix="/groups/{group_id}/devices", tags=["groups"])

    async def regroup(who: Writer, group_id: str, device_id: str, *, inside: bool) -> None:
        groups = registry().groups
        with refusals():
            try:
                device = await (groups.put_in if inside else groups.take_out)(group_id, device_id, who, now())
            except UnknownGroupError as error:
                raise unknown_group(group_id) from error
        if device is None:
            raise unknown_device(device_id)
        changed()

    @router.put("/{device_id}", status_code=HTTPStatus.NO_CONTENT)
    async def put_in(who: Writer, group_id: str, device_id: str) -> None:
        """Put a device into a group, if it is not in it; it stays in others."""
        await regroup(who, group_id, device_id, inside=True)

    @router.delete("/{device_id}", status_code=HTTPStatus.NO_CONTENT)
    async def take_out(who: Writer, group_id: str, device_id: str) -> None:
        """Take a device out of a group, if it is in it."""
        await regroup(who, group_id, device_id, inside=False)

    return router
