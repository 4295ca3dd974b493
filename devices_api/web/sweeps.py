"""Routes of the dead letters, many at a time: those that a filter selects."""

from fastapi import APIRouter

from contracts.requests import Cursor, bad, read
from devices_api.cursors import encode_cursor, text_position
from devices_api.letters.deadletters import DeadLetters, Rest
from devices_api.web.access import Admin, Writer, everywhere
from devices_api.web.letterschemas import Discarded, Replayed
from devices_api.web.params import Selected, SweepLimit

_NO_FILTER = "say which dead letters to discard: give at least one of reason, device, start, end, route and decoder"


def _rest(kind: str, cursor: str | None) -> Rest | None:
    """Read where a sweep goes on."""

    def parse(text: str) -> Rest:
        first, _, last = text_position(kind, text).partition("-")
        if not (first.isdecimal() and last.isdecimal()):
            raise ValueError("this cursor is of another kind of request")
        return int(first), int(last)

    return None if cursor is None else read("bad-cursor", parse, cursor)


def _next(kind: str, rest: Rest | None) -> str | None:
    return None if rest is None else encode_cursor(kind, f"{rest[0]}-{rest[1]}")


def routes(deadletters: DeadLetters) -> APIRouter:
    """Build the routes on `deadletters`."""
    router = APIRouter(prefix="/dead-letters", tags=["dead letters"])

    @router.delete("")
    async def discard_by_filter(
        who: Admin, selection: Selected, limit: SweepLimit = 1000, cursor: Cursor = None
    ) -> Discarded:
        """Delete dead letters for good, oldest first, at most `limit` in one request; needs at least one filter.

        Ask again with `next` as `cursor` until it is null. Dead letters that come meanwhile are not touched.
        """
        everywhere(who)
        if selection.everything:
            raise bad("no-filter", _NO_FILTER)
        sweep = await deadletters.discard_all(selection, _rest("discard", cursor), limit)
        return Discarded(discarded=sweep.done, next=_next("discard", sweep.rest))

    @router.post("/replay")
    async def replay_by_filter(
        who: Writer, selection: Selected, limit: SweepLimit = 1000, cursor: Cursor = None
    ) -> Replayed:
        """Hand dead letters back to ingest, oldest first, at most `limit` in one request.

        Ask again with `next` as `cursor` until it is null. Those that come meanwhile, because they were rejected once
        more, are not touched. Begun anew, it goes on with those that are left.
        """
        everywhere(who)
        sweep = await deadletters.replay_all(selection, _rest("replay", cursor), limit)
        return Replayed(replayed=sweep.done, skipped=sweep.skipped, next=_next("replay", sweep.rest))

    return router
