"""The dead letters: listed, replayed as they are or edited, and discarded."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from contracts.deadletters import DeadLetter, Reason
from contracts.streams import INGEST, deadletter_subjects
from devices_api.errors import UnavailableError
from devices_api.letters.handover import Edit, delete, hand_over, hand_over_edited
from devices_api.letters.letterstream import Letter, LetterStream
from devices_api.letters.selection import Selection
from devices_api.metrics import Metrics
from devices_api.stream import AWAY, NAME, StreamServer

MAX_READ = 1000
"""Most messages read for one page."""
MAX_BYTES = 8 << 20
"""Payload after which a page ends."""
SWEEP_S = 5.0
"""After how many seconds a sweep ends, with the rest left for the next."""

_AT_ONCE = 64


class NotReplayableError(Exception):
    """Ingest did not reject this message, so it cannot take it again; the message says who did."""


@dataclass(frozen=True)
class Page:
    """Dead letters with their sequence numbers, newest first; more may follow below `next`, if it is not None."""

    items: list[tuple[int, DeadLetter]]
    next: int | None


Cause = Literal["request", "filter", "registered", "online"]
"""What a replay is counted under."""

Rest = tuple[int, int]
"""The first and the last sequence number of what a sweep has not seen."""


@dataclass
class Sweep:
    """What a sweep has done: how many dead letters it dealt with and left alone, and what is still to be looked at."""

    done: int = 0
    skipped: int = 0
    rest: Rest | None = None


class DeadLetters:
    """What DEADLETTERS holds. Every method raises UnavailableError while the stream server is away."""

    def __init__(self, stream: StreamServer, metrics: Metrics) -> None:
        self._stream, self._metrics = stream, metrics
        self._letters = LetterStream(stream.link)

    async def page(self, below: int | None, limit: int, selection: Selection) -> Page:
        """Find at most `limit` dead letters with sequence numbers under `below`.

        The work is bounded, so a page may hold fewer, or none, and still have a `next`.
        """
        with self._reaching():
            first, last = await self._bounds(selection)
            last = last if below is None else min(below - 1, last)
            items: list[tuple[int, DeadLetter]] = []
            reached, read, size = last + 1, 0, 0
            async with contextlib.aclosing(self._letters.newest_first(first, last, selection.subjects)) as scan:
                async for sequence, letter in scan:
                    reached = sequence
                    if letter is not None:
                        read += 1
                        if selection.takes(letter):
                            items.append((sequence, letter))
                            size += len(letter.payload)
                    if len(items) >= limit or read >= MAX_READ or size >= MAX_BYTES:
                        break
        return Page(items, reached if reached > first else None)

    async def get(self, sequence: int) -> DeadLetter | None:
        """Return one dead letter, or None if there is none."""
        with self._reaching():
            found = await self._letters.get(sequence)
        return None if found is None else found[2]

    async def replay(self, sequence: int, edit: Edit | None = None) -> bool:
        """Hand a dead letter back to ingest, as it is or edited; False if there is none.

        It is deleted when ingest's queue has it. A repeat, within the two minutes in which the stream knows duplicates,
        hands nothing over twice. What was edited stays, as it was, with the reason `edited`. Raises NotReplayableError
        if another service rejected it.
        """
        with self._reaching():
            found = await self._letters.get(sequence)
            if found is None:
                return False
            letter = found[2]
            if letter.service != INGEST:
                raise NotReplayableError(f"{letter.service or 'an unknown service'} rejected it, not {INGEST}")
            if edit is None:
                await self._replay(found, "request")
            else:
                await hand_over_edited(self._stream.link, found, edit)
                self._metrics.replays.labels("edit").inc()
        return True

    async def discard(self, sequence: int) -> bool:
        """Delete a dead letter for good; False if there is none."""
        with self._reaching():
            found = await self._letters.get(sequence)
            return found is not None and await self._discard(found)

    async def replay_all(self, selection: Selection, rest: Rest | None, limit: int, cause: Cause = "filter") -> Sweep:
        """Hand the selected dead letters back to ingest, oldest first: at most `limit`, the `rest` at the next call.

        What is rejected again meanwhile is not taken up once more. Those that other services rejected, and those that
        have been edited, are skipped.
        """

        async def replay(found: Letter) -> bool:
            letter = found[2]
            if letter.service != INGEST or letter.reason == Reason.EDITED:
                return False
            await self._replay(found, cause)
            return True

        return await self._sweep(selection, rest, limit, replay)

    async def discard_all(self, selection: Selection, rest: Rest | None, limit: int) -> Sweep:
        """Delete the selected dead letters for good: at most `limit`, and the `rest` at the next call."""
        return await self._sweep(selection, rest, limit, self._discard)

    async def having(self, wanted: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Tell which of these reasons and devices may have dead letters; the others have none."""
        with self._reaching():
            subjects = set[str]()
            for reason in {reason for reason, _ in wanted}:
                for covering in deadletter_subjects(reason):
                    subjects |= await self._letters.subjects(covering)
        return {(r, d) for r, d in wanted if not subjects.isdisjoint(deadletter_subjects(r, d))}

    async def _replay(self, found: Letter, cause: Cause) -> None:
        await hand_over(self._stream.link, found)
        self._metrics.replays.labels(cause).inc()

    async def _discard(self, found: Letter) -> bool:
        if not await delete(self._stream.link, found[0]):
            return False
        self._metrics.discard(found[2].reason)
        return True

    async def _sweep(
        self, selection: Selection, rest: Rest | None, limit: int, act: Callable[[Letter], Awaitable[bool]]
    ) -> Sweep:
        """Do `act` to the selected ones, in order; it says whether it did something."""
        clock = asyncio.get_running_loop().time
        sweep, until = Sweep(), clock() + SWEEP_S
        with self._reaching():
            first, last = rest or await self._bounds(selection)
            scan = self._letters.oldest_first(first, last, selection.subjects, min(limit, _AT_ONCE))
            async with contextlib.aclosing(scan) as batches:
                async for batch in batches:
                    chosen = [found for found in batch if selection.takes(found[2])]
                    chosen = chosen[: limit - sweep.done - sweep.skipped]
                    for did in await asyncio.gather(*map(act, chosen)):
                        sweep.done += did
                        sweep.skipped += not did
                    if not batch:
                        continue
                    full = sweep.done + sweep.skipped >= limit
                    seen = chosen[-1][0] if full else batch[-1][0]
                    if seen < last and (full or clock() > until):
                        sweep.rest = seen + 1, last
                        break
        return sweep

    async def _bounds(self, selection: Selection) -> tuple[int, int]:
        """Give the first and the last sequence number that `selection` may be at."""
        state = await self._letters.state()
        first = max(1, state.first_seq)
        if selection.start is not None:
            first = max(first, await self._letters.first_at(selection.start))
        return first, state.last_seq

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        if not self._stream.link.up:
            raise UnavailableError(NAME)
        try:
            yield
        except AWAY as error:
            self._stream.doubt()
            raise UnavailableError(NAME) from error
