"""Routes about who asks: who they are, and tickets that stand in for their key."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from contracts.times import format_time
from devices_api.keys.tickets import Tickets
from devices_api.web.access import Somebody
from devices_api.web.keyschemas import Me
from devices_api.web.schemas import Time


class TicketMade(BaseModel):
    """A ticket, which is of use once."""

    ticket: Annotated[str, Field(description="To be sent as ?ticket= in place of a key")]
    expires: Time


def routes(tickets: Tickets) -> APIRouter:
    """Build the routes on `tickets`."""
    router = APIRouter(tags=["access"])

    @router.get("/me")
    async def me(who: Somebody) -> Me:
        """Tell who asks, and what they may do."""
        return Me.of(who)

    @router.post("/tickets", status_code=HTTPStatus.CREATED)
    async def make(who: Somebody, response: Response) -> TicketMade:
        """Make a ticket that stands in for the key of this request, once and within 30 s.

        It is for EventSource and WebSocket in browsers, which can send no header.
        """
        text, expires = await tickets.make(who)
        response.headers["Cache-Control"] = "no-store"
        return TicketMade(ticket=text, expires=format_time(expires))

    return router
