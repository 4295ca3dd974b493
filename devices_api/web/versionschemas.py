"""What the API answers about versions of profiles."""

from typing import Annotated

from pydantic import BaseModel, Field

from contracts.times import format_time
from devices_api.cursors import encode_cursor
from devices_api.registry.profiles import Version
from devices_api.web.profileschemas import ProfileIn


class VersionOut(BaseModel):
    """One version of a profile: who made it, and when."""

    version: int
    at: str
    by: str

    @staticmethod
    def of(version: Version) -> "VersionOut":
        """Show a version."""
        return VersionOut.model_construct(version=version.version, at=format_time(version.at), by=version.by)


class VersionDetail(VersionOut):
    """One version of a profile, and what it said."""

    content: ProfileIn

    @staticmethod
    def of(version: Version) -> "VersionDetail":
        """Show a version with its content."""
        head = vars(VersionOut.of(version))
        return VersionDetail.model_construct(**head, content=ProfileIn.of(version.content))


class VersionPage(BaseModel):
    """Versions of a profile, newest first."""

    items: list[VersionOut]
    next: Annotated[str | None, Field(description="Cursor of the next page; null after the last")]

    @staticmethod
    def of(versions: list[Version], limit: int) -> "VersionPage":
        """Show the first `limit` of `versions`; there is a next page if there are more."""
        shown = versions[:limit]
        following = encode_cursor("versions", shown[-1].version) if len(versions) > limit else None
        return VersionPage.model_construct(items=[VersionOut.of(version) for version in shown], next=following)
