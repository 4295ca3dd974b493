"""Routing, silences, calendars and chains over HTTP, and what would happen with some labels."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from alerting.calendars import Calendar
from alerting.notify import documents as stored
from alerting.notify.chains import ChainSpec
from alerting.notify.document import ROUTING, Document, Kind
from alerting.notify.documents import Documents
from alerting.notify.plan_store import PlanStore
from alerting.notify.routing import RoutingSpec, default_routing
from alerting.notify.silences import SilenceSpec
from alerting.notify.views import Views
from alerting.web.documentschemas import (
    Answered,
    Asked,
    DocumentId,
    DocumentOut,
    DocumentPage,
    GroupOut,
    GroupPage,
    RouteOut,
)
from contracts.etags import IfMatch, stale, tagged
from contracts.problems import Problem
from contracts.requests import PageLimit
from contracts.versions import Match, StaleError, check

Cursor = Annotated[str | None, Query(max_length=64, description="`next` of the page before; opaque")]


class Writing:
    """What changes of documents need: `changed` is called after each."""

    def __init__(self, documents: Documents, now: Callable[[], int], changed: Callable[[], None]) -> None:
        self.documents, self._now, self._changed = documents, now, changed

    async def found(self, kind: Kind, name: str) -> Document:
        """Read a document. Raises Problem if there is none."""
        document = await self.documents.get(kind, name)
        if document is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"no-such-{kind}", f"No such {kind}", f"There is no {kind} {name!r}.")
        return document

    async def put(self, kind: Kind, name: str, spec: BaseModel, match: Match, response: Response) -> DocumentOut:
        """Make a document, or replace it. Raises Problem."""
        old = await self.documents.get(kind, name)
        _check(old, match)
        content = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
        try:
            if old is None:
                new = await self.documents.create(kind, name, content, {}, self._now())
            else:
                new = await self.documents.replace(kind, name, content, None, self._now(), version=old.version)
        except stored.RefusedError as error:
            raise _refused(error, match, old) from error
        self._changed()
        response.status_code = HTTPStatus.OK if old else HTTPStatus.CREATED
        tagged(response, new.version)
        return DocumentOut.of(new)

    async def delete(self, kind: Kind, name: str, match: Match) -> None:
        """Delete a document. Raises Problem."""
        old = await self.found(kind, name)
        _check(old, match)
        try:
            await self.documents.delete(kind, name, version=old.version)
        except stored.RefusedError as error:
            raise _refused(error, match, old) from error
        self._changed()


def routes(
    documents: Documents,
    views: Views,
    now: Callable[[], int],
    new_id: Callable[[], str],
    changed: Callable[[], None] = lambda: None,
) -> APIRouter:
    """Build the routes of documents. `changed` is called after each change, so that it is taken up at once."""
    router = APIRouter()
    writing = Writing(documents, now, changed)
    router.include_router(_routing(writing, views, now))
    silences, calendars, chains = (
        _reading(writing, kind, path)
        for kind, path in ((Kind.SILENCE, "silences"), (Kind.CALENDAR, "calendars"), (Kind.CHAIN, "chains"))
    )

    @silences.post("", status_code=HTTPStatus.CREATED)
    async def silence(body: SilenceSpec, response: Response) -> DocumentOut:
        """Let nobody be told of some alerts for a time."""
        made = await writing.put(Kind.SILENCE, new_id(), body, None, response)
        response.headers["Location"] = f"/api/v1/silences/{made.id}"
        return made

    @silences.put("/{name}", responses={201: {"model": DocumentOut}})
    async def put_silence(name: DocumentId, body: SilenceSpec, match: IfMatch, response: Response) -> DocumentOut:
        """Make a silence of this id, or replace it."""
        return await writing.put(Kind.SILENCE, name, body, match, response)

    @calendars.put("/{name}", responses={201: {"model": DocumentOut}})
    async def put_calendar(name: DocumentId, body: Calendar, match: IfMatch, response: Response) -> DocumentOut:
        """Make a calendar, or replace it."""
        return await writing.put(Kind.CALENDAR, name, body, match, response)

    @chains.put("/{name}", responses={201: {"model": DocumentOut}})
    async def put_chain(name: DocumentId, body: ChainSpec, match: IfMatch, response: Response) -> DocumentOut:
        """Make an escalation chain, or replace it."""
        return await writing.put(Kind.CHAIN, name, body, match, response)

    for some in (silences, calendars, chains):
        router.include_router(some)
    return router


def _routing(writing: Writing, views: Views, now: Callable[[], int]) -> APIRouter:
    router = APIRouter(prefix="/routing", tags=["routing"])

    @router.get("")
    async def show_routing(response: Response) -> DocumentOut:
        """Show the routes and inhibitions; at version 0 those that hold where nobody has written any."""
        document = await writing.documents.get(Kind.ROUTING, ROUTING)
        if document is None:
            spec = default_routing(built_in=views.built_in)
            content = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
            document = Document(
                kind=Kind.ROUTING, id=ROUTING, version=0, content=content, secrets={}, created_at=0, updated_at=0
            )
        tagged(response, document.version)
        return DocumentOut.of(document)

    @router.put("", responses={201: {"model": DocumentOut}})
    async def put_routing(body: RoutingSpec, match: IfMatch, response: Response) -> DocumentOut:
        """Replace the routes and inhibitions. Who knows of an alert is not told of it again for that."""
        return await writing.put(Kind.ROUTING, ROUTING, body, match, response)

    @router.delete("", status_code=HTTPStatus.NO_CONTENT)
    async def delete_routing(match: IfMatch) -> None:
        """Go back to the routes that hold where nobody has written any."""
        await writing.delete(Kind.ROUTING, ROUTING, match)

    @router.post("/test")
    async def test_routing(body: Asked) -> Answered:
        """Say who would be told of an alert with these labels. Nobody is told."""
        at = now()
        view = await views.at(at)
        return Answered(
            routes=[RouteOut.of(route, body.labels, at) for route in view.routes(body.labels)],
            silenced_by=view.silenced_by(body.labels),
            inhibited_by=view.inhibited_by(body.labels),
        )

    return router


def group_routes(store: PlanStore) -> APIRouter:
    """Build the routes of notification groups."""
    router = APIRouter(prefix="/notification-groups", tags=["routing"])

    @router.get("")
    async def list_groups(limit: PageLimit = 100, cursor: Cursor = None) -> GroupPage:
        """List the groups of alerts that are told together, by key."""
        found = await store.page(limit + 1, cursor or "")
        items = [GroupOut.of(key, group, due) for key, group, due in found[:limit]]
        return GroupPage(items=items, next=items[-1].key if len(found) > limit else None)

    return router


def _reading(writing: Writing, kind: Kind, path: str) -> APIRouter:
    """Build what is the same for every kind."""
    router = APIRouter(prefix=f"/{path}", tags=[path])

    @router.get("", name=f"list_{path}")
    async def page(limit: PageLimit = 100, cursor: Cursor = None) -> DocumentPage:
        """List them by id."""
        return DocumentPage.of(await writing.documents.page(kind, limit + 1, cursor or ""), limit)

    @router.get("/{name}", name=f"show_{kind}")
    async def show(name: DocumentId, response: Response) -> DocumentOut:
        """Show one."""
        found = await writing.found(kind, name)
        tagged(response, found.version)
        return DocumentOut.of(found)

    @router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT, name=f"delete_{kind}")
    async def delete(name: DocumentId, match: IfMatch) -> None:
        """Delete one that nothing else names."""
        await writing.delete(kind, name, match)

    return router


def _check(old: Document | None, match: Match) -> None:
    try:
        check(old.version if old else 0, match)
    except StaleError as error:
        raise stale(error) from error


def _refused(error: stored.RefusedError, match: Match, old: Document | None) -> Problem:
    if isinstance(error, stored.StaleError | stored.MissingError) and match is not None:
        return stale(StaleError(old.version if old else 0))
    if isinstance(error, stored.InvalidError):
        return Problem(HTTPStatus.CONFLICT, "dangling-name", "Documents would not fit together", f"{error}.")
    return Problem(HTTPStatus.CONFLICT, "cannot-be-changed", "It cannot be changed so", f"{error}.")
