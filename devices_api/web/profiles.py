"""Routes of the profiles."""

import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Response

from contracts.computed import ComputedFailure
from contracts.etags import IfMatch, tagged
from contracts.problems import Problem
from contracts.requests import Cursor, read
from devices_api.cursors import text_position
from devices_api.errors import UnavailableError
from devices_api.web.access import Reader, Writer, everywhere
from devices_api.web.params import ProfilesLimit
from devices_api.web.profileschemas import ProfileIn, ProfileOut, ProfilePage, ProfileShown
from devices_api.web.refusals import refusals

if TYPE_CHECKING:
    from devices_api.registry.profiles import Profile
    from devices_api.repository import Repository

FailuresOf = Callable[["Profile"], Awaitable[dict[str, ComputedFailure]]]
"""Gives the failures of a profile's computed metrics; raises UnavailableError."""

ProfileId = Annotated[str, Path(min_length=1, max_length=64)]


def _unknown(id_: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "unknown-profile", "Unknown profile", f"There is no profile {id_!r}.")


def routes(
    registry: "Callable[[], Repository]", failures: FailuresOf, changed: Callable[[], None], now: Callable[[], int]
) -> APIRouter:
    """Build the routes on `registry`; `changed` is called after each change."""
    router = APIRouter(prefix="/profiles", tags=["profiles"])

    @router.put("/{profile_id}", responses={HTTPStatus.CREATED: {"model": ProfileOut}})
    async def put(
        who: Writer, profile_id: ProfileId, body: ProfileIn, match: IfMatch, response: Response
    ) -> ProfileOut:
        """Make a profile, or replace it as a whole. Ingest applies it to the devices that name it, within seconds.

        Each put that changes it makes a version.
        """
        everywhere(who)
        with refusals():
            profile, made = await registry().profiles.put(profile_id, body.content(), who, now(), match)
        changed()
        tagged(response, profile.version)
        if made:
            response.status_code = HTTPStatus.CREATED
        return ProfileOut.of_kept(profile)

    @router.get("")
    async def list_profiles(_: Reader, limit: ProfilesLimit = 50, cursor: Cursor = None) -> ProfilePage:
        """List profiles by id."""
        after = None if cursor is None else read("bad-cursor", lambda text: text_position("profiles", text), cursor)
        return ProfilePage.of(await registry().profiles.page(after, limit + 1), limit)

    @router.get("/{profile_id}")
    async def show(who: Reader, profile_id: ProfileId, response: Response) -> ProfileShown:
        """Show a profile, and which of its computed metrics fail, which a key that is limited to groups is not told."""
        profile = await registry().profiles.get(profile_id)
        if profile is None:
            raise _unknown(profile_id)
        failing = None
        if who.view is None:  # it names a device, and counts over all of them
            with contextlib.suppress(UnavailableError):
                failing = await failures(profile)
        tagged(response, profile.version)
        return ProfileShown.with_failures(profile, failing)

    @router.delete("/{profile_id}", status_code=HTTPStatus.NO_CONTENT)
    async def remove(who: Writer, profile_id: ProfileId, match: IfMatch) -> None:
        """Remove a profile that no device names, nor one that is deleted and may be restored; its versions stay."""
        everywhere(who)
        with refusals():
            removed = await registry().profiles.remove(profile_id, who, now(), match)
        if not removed:
            raise _unknown(profile_id)
        changed()

    return router
