"""Routes of the dead letters."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from contracts.deadletters import Reason
from contracts.problems import Problem
from devices_api.cursors import encode_cursor, number_position
from devices_api.deadletters import DeadLetters, NotReplayableError
from devices_api.metrics import Metrics
from devices_api.web.params import Cursor, PageLimit, read
from devices_api.web.schemas import DeadLetterOut, DeadLetterPage, Replaying

Sequence = Annotated[int, Path(ge=1, lt=1 << 63)]


def _gone(sequence: int) -> Problem:
    detail = f"There is no dead letter {sequence}: it was replayed, has expired, or never was."
    return Problem(HTTPStatus.NOT_FOUND, "unknown-dead-letter", "Unknown dead letter", detail)


def routes(deadletters: DeadLetters, metrics: Metrics) -> APIRouter:
    """Build the routes on `deadletters`."""
    router = APIRouter(prefix="/dead-letters", tags=["dead letters"])

    @router.get("")
    async def list_dead_letters(
        limit: PageLimit = 100, cursor: Cursor = None, reason: Reason | None = None, device: str | None = None
    ) -> DeadLetterPage:
        """List dead letters, newest first; with filters, a page may be short or empty and still have a next one."""
        below = None if cursor is None else read("bad-cursor", lambda text: number_position("letters", text), cursor)
        page = await deadletters.page(below, limit, reason, device)
        following = None if page.next is None else encode_cursor("letters", page.next)
        return DeadLetterPage(items=[DeadLetterOut.of(*item) for item in page.items], next=following)

    @router.get("/{id}")
    async def show(sequence: Annotated[Sequence, Path(alias="id")]) -> DeadLetterOut:
        """Show a dead letter."""
        letter = await deadletters.get(sequence)
        if letter is None:
            raise _gone(sequence)
        return DeadLetterOut.of(sequence, letter)

    @router.post("/{id}/replay", status_code=HTTPStatus.ACCEPTED)
    async def replay(sequence: Annotated[Sequence, Path(alias="id")]) -> Replaying:
        """Hand a dead letter back to ingest, which treats it as received when it first was."""
        try:
            found = await deadletters.replay(sequence)
        except NotReplayableError as error:
            title = "The dead letter cannot be replayed"
            raise Problem(HTTPStatus.CONFLICT, "not-replayable", title, f"{error}.") from error
        if not found:
            raise _gone(sequence)
        metrics.replays.inc()
        return Replaying(id=sequence)

    return router
