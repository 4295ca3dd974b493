"""Routes of the audit log."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel

from contracts.requests import Cursor, PageLimit, TimeParam, bad, read
from contracts.times import format_time
from devices_api.cursors import encode_cursor, number_position
from devices_api.web.access import Admin, everywhere
from devices_api.web.schemas import Next, Time

if TYPE_CHECKING:
    from devices_api.audit import Entry
    from devices_api.repository import Repository

_LIST = "audit"

Text = Annotated[str | None, Query(min_length=1, max_length=512)]


class EntryOut(BaseModel):
    """A change: of what there was before and after it, the fields that differ."""

    id: int
    at: Time
    who: str
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request: str

    @classmethod
    def of(cls, entry: "Entry") -> Self:
        """Show an entry."""
        return cls(**vars(entry) | {"at": format_time(entry.at)})


class AuditPage(BaseModel):
    """Changes, newest first."""

    items: list[EntryOut]
    next: Next


def routes(registry: "Callable[[], Repository]") -> APIRouter:
    """Build the routes on `registry`."""
    router = APIRouter(tags=["audit"])

    @router.get("/audit")
    async def list_changes(  # noqa: PLR0913 - a parameter of the query each
        who: Admin,
        *,
        by: Annotated[Text, Query(alias="who", description="Who made the change")] = None,
        action: Annotated[Text, Query(description="What they did", examples=["device.change"])] = None,
        target: Annotated[Text, Query(description="What they did it to", examples=["device/pump-7"])] = None,
        start: TimeParam | None = None,
        end: TimeParam | None = None,
        limit: PageLimit = 100,
        cursor: Cursor = None,
    ) -> AuditPage:
        """List changes, newest first: those at `start` <= at < `end`, by whom, of which kind, to what."""
        from devices_api.audit import Wanted  # noqa: PLC0415 - the database's library is imported after the start

        everywhere(who)
        if start is not None and end is not None and start >= end:
            raise bad("bad-time", "start has to be before end")
        below = None if cursor is None else read("bad-cursor", lambda text: number_position(_LIST, text), cursor)
        found = await registry().audit.page(Wanted(by, action, target, start, end), below, limit + 1)
        following = encode_cursor(_LIST, found[limit - 1].id) if len(found) > limit else None
        return AuditPage(items=[EntryOut.of(entry) for entry in found[:limit]], next=following)

    return router
