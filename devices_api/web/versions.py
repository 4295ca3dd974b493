"""Routes of the profiles' versions."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Response

from contracts.etags import IfMatch, tagged
from contracts.problems import Problem
from contracts.requests import Cursor, read
from devices_api.cursors import number_position
from devices_api.web.access import Reader, Writer, everywhere
from devices_api.web.params import ProfilesLimit
from devices_api.web.profiles import ProfileId
from devices_api.web.profileschemas import ProfileOut
from devices_api.web.refusals import refusals
from devices_api.web.versionschemas import VersionDetail, VersionPage

if TYPE_CHECKING:
    from devices_api.repository import Repository

_LAST = (1 << 31) - 1
Number = Annotated[int, Path(ge=1, le=_LAST)]


def _unknown(id_: str, number: int) -> Problem:
    detail = f"There is no version {number} of the profile {id_!r}."
    return Problem(HTTPStatus.NOT_FOUND, "unknown-version", "Unknown version", detail)


def routes(registry: "Callable[[], Repository]", changed: Callable[[], None], now: Callable[[], int]) -> APIRouter:
    """Build the routes on `registry`; `changed` is called after each change."""
    router = APIRouter(prefix="/profiles/{profile_id}/versions", tags=["profiles"])

    @router.get("")
    async def list_versions(
        _: Reader, profile_id: ProfileId, limit: ProfilesLimit = 50, cursor: Cursor = None
    ) -> VersionPage:
        """List the versions of a profile, also of one that is removed, newest first."""
        below = None if cursor is None else read("bad-cursor", lambda text: number_position("versions", text), cursor)
        found = await registry().profiles.versions(profile_id, below and min(below, _LAST), limit + 1)
        if not found and below is None:
            detail = f"There is no profile {profile_id!r}, and there was none."
            raise Problem(HTTPStatus.NOT_FOUND, "unknown-profile", "Unknown profile", detail)
        return VersionPage.of(found, limit)

    @router.get("/{version}")
    async def show(_: Reader, profile_id: ProfileId, version: Number) -> VersionDetail:
        """Show what a profile was in one of its versions."""
        found = await registry().profiles.version(profile_id, version)
        if found is None:
            raise _unknown(profile_id, version)
        return VersionDetail.of(found)

    @router.post("/{version}/restore")
    async def restore(
        who: Writer, profile_id: ProfileId, version: Number, match: IfMatch, response: Response
    ) -> ProfileOut:
        """Put a profile as it was in one of its versions; what comes of it is a new version."""
        everywhere(who)
        with refusals():
            profile = await registry().profiles.restore(profile_id, version, who, now(), match)
        if profile is None:
            raise _unknown(profile_id, version)
        changed()
        tagged(response, profile.version)
        return ProfileOut.of_kept(profile)

    return router
