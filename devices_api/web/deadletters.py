"""Routes of the dead letters, one by one."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from contracts.problems import Problem
from contracts.requests import Cursor, PageLimit, read
from devices_api.cursors import encode_cursor, number_position
from devices_api.letters.deadletters import DeadLetters, NotReplayableError
from devices_api.web.access import Admin, Reader, Writer, everywhere
from devices_api.web.letterschemas import DeadLetterOut, DeadLetterPage, ReplayIn, Replaying
from devices_api.web.params import Selected

Sequence = Annotated[int, Path(ge=1, lt=1 << 63)]

_LIST = "letters"


def _gone(sequence: int) -> Problem:
    detail = f"There is no dead letter {sequence}: it was replayed or discarded, has expired, or never was."
    return Problem(HTTPStatus.NOT_FOUND, "unknown-dead-letter", "Unknown dead letter", detail)


def routes(deadletters: DeadLetters) -> APIRouter:
    """Build the routes on `deadletters`."""
    router = APIRouter(prefix="/dead-letters", tags=["dead letters"])

    @router.get("")
    async def list_dead_letters(
        who: Reader, selection: Selected, limit: PageLimit = 100, cursor: Cursor = None
    ) -> DeadLetterPage:
        """List dead letters, newest first; with filters, a page may be short or empty and still have a next one."""
        everywhere(who)
        below = None if cursor is None else read("bad-cursor", lambda text: number_position(_LIST, text), cursor)
        page = await deadletters.page(below, limit, selection)
        following = None if page.next is None else encode_cursor(_LIST, page.next)
        return DeadLetterPage(items=[DeadLetterOut.of(*item) for item in page.items], next=following)

    @router.get("/{id}")
    async def show(who: Reader, sequence: Annotated[Sequence, Path(alias="id")]) -> DeadLetterOut:
        """Show a dead letter."""
        everywhere(who)
        letter = await deadletters.get(sequence)
        if letter is None:
            raise _gone(sequence)
        return DeadLetterOut.of(sequence, letter)

    @router.delete("/{id}", status_code=HTTPStatus.NO_CONTENT)
    async def discard(who: Admin, sequence: Annotated[Sequence, Path(alias="id")]) -> None:
        """Delete a dead letter for good."""
        everywhere(who)
        if not await deadletters.discard(sequence):
            raise _gone(sequence)

    @router.post("/{id}/replay", status_code=HTTPStatus.ACCEPTED)
    async def replay(
        who: Writer, sequence: Annotated[Sequence, Path(alias="id")], body: ReplayIn | None = None
    ) -> Replaying:
        """Hand a dead letter back to ingest, which treats it as received when it first was.

        With a body, an edited copy is handed over, and the original stays in the list with the reason `edited`.
        """
        everywhere(who)
        try:
            found = await deadletters.replay(sequence, None if body is None else body.edit())
        except NotReplayableError as error:
            title = "The dead letter cannot be replayed"
            raise Problem(HTTPStatus.CONFLICT, "not-replayable", title, f"{error}.") from error
        if not found:
            raise _gone(sequence)
        return Replaying(id=sequence)

    return router
