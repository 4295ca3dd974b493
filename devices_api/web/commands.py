"""Routes of commands."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Response

from contracts.problems import Problem
from contracts.requests import Cursor, PageLimit, read
from devices_api.access import View
from devices_api.cursors import text_position
from devices_api.errors import TooMuchError
from devices_api.lists.filters import parse
from devices_api.twins.commands import ENDED, CommandState
from devices_api.web.access import Commander, Reader
from devices_api.web.commandschemas import CommandDetail, CommandIn, CommandOut, CommandPage, ManyIn, ManyOut
from devices_api.web.refusals import unknown_device

if TYPE_CHECKING:
    from devices_api.repository import Repository
    from devices_api.twins.command_repository import Wanted
    from devices_api.twins.commands import Command

_LOOK_S = 0.1

Wait = Annotated[float, Query(ge=0, le=60, description="Seconds to wait for the outcome before answering")]
Name = Annotated[str | None, Query(max_length=128)]


def routes(registry: "Callable[[], Repository]", changed: Callable[[], None], now: Callable[[], int]) -> APIRouter:
    """Build the routes on `registry`; `changed` is called when there is something to send."""
    router = APIRouter(tags=["commands"])
    router.include_router(_sending(registry, changed, now))
    router.include_router(_reading(registry))
    return router


def _sending(registry: "Callable[[], Repository]", changed: Callable[[], None], now: Callable[[], int]) -> APIRouter:
    router = APIRouter()

    @router.post("/devices/{device_id}/commands", status_code=HTTPStatus.CREATED)
    async def send(
        who: Commander, device_id: str, body: CommandIn, response: Response, wait: Wait = 0
    ) -> CommandDetail:
        """Send a command to a device, now or when it is online.

        With `wait` the answer is the command as it is when it has ended, or after so many seconds.
        """
        try:
            made = await registry().commands.send(device_id, body.order(), who, now())
        except TooMuchError as error:
            raise _too_many(error) from error
        if made is None:
            raise unknown_device(device_id)
        changed()
        response.headers["Location"] = f"/api/v1/commands/{made.id}"
        return CommandDetail.of(await _outcome(registry, made, who.view, wait))

    @router.post("/commands", status_code=HTTPStatus.CREATED)
    async def send_many(who: Commander, body: ManyIn) -> ManyOut:
        """Send a command to each device that `filter` takes, at most 1,000."""
        filter_ = read("bad-filter", parse, body.filter)
        try:
            made, refused = await registry().commands.send_all(filter_, body.order(), who, now())
        except TooMuchError as error:
            raise _too_many(error) from error
        changed()
        return ManyOut(items=[CommandOut.of(command) for command in made], refused=refused)

    @router.delete("/commands/{command_id}")
    async def cancel(who: Commander, command_id: str) -> CommandDetail:
        """Take a command back that has not been sent yet."""
        from devices_api.twins.command_repository import BusyError  # noqa: PLC0415 - see App

        try:
            found = await registry().commands.cancel(command_id, who, now())
        except BusyError as error:
            detail = f"Only a queued command can be taken back; this one is {error}."
            raise Problem(HTTPStatus.CONFLICT, "command-not-queued", "The command is not queued", detail) from error
        if found is None:
            raise _unknown(command_id)
        return CommandDetail.of(found)

    return router


def _reading(registry: "Callable[[], Repository]") -> APIRouter:
    router = APIRouter()

    @router.get("/devices/{device_id}/commands")
    async def of_device(
        who: Reader,
        device_id: str,
        state: CommandState | None = None,
        name: Name = None,
        limit: PageLimit = 100,
        cursor: Cursor = None,
    ) -> CommandPage:
        """List a device's commands, the newest first."""
        return await page(who, state, name, device_id, limit, cursor)

    @router.get("/commands")
    async def page(
        who: Reader,
        state: CommandState | None = None,
        name: Name = None,
        device: Annotated[str | None, Query(max_length=256)] = None,
        limit: PageLimit = 100,
        cursor: Cursor = None,
    ) -> CommandPage:
        """List commands, the newest first. Those that are sent meanwhile neither repeat nor displace others."""
        before = None if cursor is None else read("bad-cursor", lambda text: text_position("commands", text), cursor)
        found = await registry().commands.page(_wanted(device, name, state), before, limit + 1, who.view)
        if found is None:
            raise unknown_device(str(device))
        return CommandPage.of(found, limit)

    @router.get("/commands/{command_id}")
    async def show(who: Reader, command_id: str) -> CommandDetail:
        """Show a command with its history."""
        found = await registry().commands.get(command_id, who.view)
        if found is None:
            raise _unknown(command_id)
        return CommandDetail.of(found)

    return router


def _wanted(device: str | None, name: str | None, state: CommandState | None) -> "Wanted":
    from devices_api.twins.command_repository import Wanted  # noqa: PLC0415 - see App

    return Wanted(device, name, state)


async def _outcome(registry: "Callable[[], Repository]", made: "Command", view: View, wait: float) -> "Command":
    """Give a command when it has ended, or after `wait` seconds: another replica may be who hears of it.

    Of a device that `view` does not show any more it is given as it was made.
    """
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        found = await registry().commands.get(made.id, view) or made
        left = deadline - asyncio.get_running_loop().time()
        if found.state in ENDED or left <= 0:
            return found
        await asyncio.sleep(min(_LOOK_S, left))


def _unknown(command_id: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "unknown-command", "Unknown command", f"There is no command {command_id!r}.")


def _too_many(error: TooMuchError) -> Problem:
    return Problem(HTTPStatus.CONFLICT, "too-many-commands", "Too many commands", f"Nothing was sent: {error}.")
