"""Routes of live events."""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, WebSocket
from fastapi.responses import Response

from contracts.problems import Problem
from contracts.requests import bad, read
from devices_api.access import Principal, View
from devices_api.lists.filters import Filter
from devices_api.live.hub import Hub, TooManyError
from devices_api.live.listening import Listener, Matching, Wish
from devices_api.live.live import Entry, Kind, Position
from devices_api.web.access import Reader
from devices_api.web.livestream import EventStream, Holds, serve_socket
from devices_api.web.params import FilterParam

MatchingOf = Callable[[Filter | None, View], Matching | None]
"""Gives what tells which devices a filter means and a view shows; None: all of them."""

_EVENTS = {"description": "Events, for as long as somebody listens", "content": {"text/event-stream": {}}}
_KINDS: tuple[Kind, ...] = ("reading", "computed", "presence")


def _wish(
    filter_: FilterParam,
    event: Annotated[list[Kind], Query(description="Kinds of events; all where none is given", max_length=3)] = [],  # noqa: B006 - FastAPI's way to say that a list may be empty
    metric: Annotated[
        list[Annotated[str, Query(max_length=256)]],
        Query(description="Metrics whose values are told; all where none is given", max_length=100),
    ] = [],  # noqa: B006 - as above
) -> tuple[Filter | None, Wish]:
    return filter_, Wish(frozenset(event or _KINDS), frozenset(metric))


Asked = Annotated[tuple[Filter | None, Wish], Depends(_wish)]
LastId = Annotated[str | None, Query(description="The id after which to go on", max_length=128)]


HoldsOf = Callable[[Principal], Awaitable[bool]]
"""Whether what somebody has proved is good still, and lets them see the same. Raises UnavailableError."""


def routes(hub: Hub, matching_of: MatchingOf, holds_of: HoldsOf) -> tuple[APIRouter, APIRouter]:
    """Build the routes on `hub`: that of server-sent events, and that of the WebSocket."""

    async def join(who: Reader, asked: Asked, last: str | None) -> tuple[Listener, Iterable[Entry], Holds]:
        filter_, wish = asked
        position = None if last is None else read("bad-event-id", Position.parse, last)
        try:
            listener, missed = await hub.listen(wish.of(matching_of(filter_, who.view)), position)
        except ValueError as error:
            raise bad("bad-event-id", str(error)) from error
        except TooManyError as error:
            detail = "As many listen to live events as this replica takes. Try again later, or another replica."
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too-many-listeners", "Too many listeners", detail) from error
        return listener, missed, lambda: holds_of(who)

    router, sockets = APIRouter(tags=["live"]), APIRouter()

    @router.get("/events", response_class=Response, responses={HTTPStatus.OK: _EVENTS})
    async def events(
        who: Reader,
        asked: Asked,
        last_event_id: LastId = None,
        resumed: Annotated[str | None, Header(alias="Last-Event-ID", max_length=128)] = None,
    ) -> Response:
        """Tell of readings, computed metrics, and devices that come and go, as server-sent events.

        Each has an `id`; with the last one as `Last-Event-ID` a listener goes on where it was, for as long as that is
        remembered. An event `lost` says that messages of a stream could not be told: ask for that time's telemetry. A
        listener that reads too slowly, or whose key has ended, is dropped, with an event `dropped` that says why.
        """
        return EventStream(hub, *await join(who, asked, resumed or last_event_id))

    @sockets.websocket("/events/ws")
    async def socket(websocket: WebSocket, who: Reader, asked: Asked, last_event_id: LastId = None) -> None:
        """Tell the same over a WebSocket, in text messages `{"id": …, "event": …, "data": …}`."""
        await serve_socket(websocket, hub, *await join(who, asked, last_event_id))

    return router, sockets
