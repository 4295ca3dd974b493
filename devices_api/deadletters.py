"""The dead letters, read from their stream newest first, and handed back to ingest."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.streams import DEADLETTERS, INGEST, REPLAYS, deadletter_subjects
from contracts.wire import SchemaError
from devices_api.errors import UnavailableError
from devices_api.stream import AWAY, NAME, StreamServer

MAX_READ = 1000
"""Most messages read for one page."""
MAX_LOOKED_OVER = 20_000
"""Most sequence numbers looked over for one page, where dead letters of other reasons or nothing lie between."""
MAX_BYTES = 8 << 20
"""Payload after which a page ends."""

_SPANS = (250, 2_000, 10_000)  # sequence numbers listed at a time: more, the fewer messages there are among them
_AT_ONCE = 16
_WAIT_S = 5.0


class NotReplayableError(Exception):
    """Ingest did not reject this message, so it cannot take it again; the message says who did."""


@dataclass(frozen=True)
class Page:
    """Dead letters with their sequence numbers, newest first; more may follow below `next`, if it is not None."""

    items: list[tuple[int, DeadLetter]]
    next: int | None


class DeadLetters:
    """What DEADLETTERS holds. Every method raises UnavailableError while the stream server is away."""

    def __init__(self, stream: StreamServer) -> None:
        self._stream = stream

    async def page(self, below: int | None, limit: int, reason: Reason | None, device: str | None) -> Page:
        """Find at most `limit` dead letters with sequence numbers under `below`.

        The work is bounded, so a page may hold fewer, or none, and still have a `next`.
        """
        with self._reaching():
            state = (await self._stream.link.js.stream_info(DEADLETTERS.name)).state
            first = max(1, state.first_seq)
            last = state.last_seq if below is None else min(below - 1, state.last_seq)
            items: list[tuple[int, DeadLetter]] = []
            reached, read, size = last + 1, 0, 0
            async with contextlib.aclosing(self._scan(first, last, reason)) as scan:
                async for sequence, letter in scan:
                    reached = sequence
                    if letter is not None:
                        read += 1
                        if device is None or letter.device == device:
                            items.append((sequence, letter))
                            size += len(letter.payload)
                    looked_over = last + 1 - reached
                    if len(items) >= limit or read >= MAX_READ or size >= MAX_BYTES or looked_over >= MAX_LOOKED_OVER:
                        break
        return Page(items, reached if reached > first else None)

    async def get(self, sequence: int) -> DeadLetter | None:
        """Return one dead letter, or None if there is none."""
        with self._reaching():
            raw = await self._message(sequence)
        return None if raw is None else _letter(raw)

    async def replay(self, sequence: int) -> bool:
        """Hand a dead letter back to ingest and delete it; False if there is none.

        A repeat, within the two minutes in which the stream knows duplicates, hands nothing over twice. Raises
        NotReplayableError if another service rejected it.
        """
        with self._reaching():
            raw = await self._message(sequence)
            if raw is None:
                return False
            letter = _letter(raw)
            if letter.service != INGEST:
                raise NotReplayableError(f"{letter.service or 'an unknown service'} rejected it, not {INGEST}")
            await self._stream.link.js.publish(
                REPLAYS.subjects,
                raw.data or b"",
                timeout=_WAIT_S,
                stream=REPLAYS.name,
                headers={"Nats-Msg-Id": f"{DEADLETTERS.name}-{sequence}"},
            )
            try:
                await self._stream.link.js.delete_msg(DEADLETTERS.name, sequence)
            except APIError:
                if await self._message(sequence) is not None:
                    raise  # otherwise another request has just done the same
        return True

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        if not self._stream.link.up:
            raise UnavailableError(NAME)
        try:
            yield
        except AWAY as error:
            self._stream.doubt()
            raise UnavailableError(NAME) from error

    async def _scan(
        self, first: int, last: int, reason: Reason | None
    ) -> AsyncGenerator[tuple[int, DeadLetter | None], None]:
        """Yield dead letters from `last` down to `first`; a None says only how far the scan has come."""
        spans = iter(_SPANS)
        span = next(spans)
        while last >= first:
            low = max(first, last - span + 1)
            sequences = await self._sequences(low, last, reason)
            for at in range(0, len(sequences), _AT_ONCE):
                some = sequences[at : at + _AT_ONCE]
                for sequence, raw in zip(some, await asyncio.gather(*map(self._message, some)), strict=True):
                    yield sequence, None if raw is None else _letter(raw)
            yield low, None
            last = low - 1
            if len(sequences) < span // 8:
                span = next(spans, span)

    async def _sequences(self, low: int, high: int, reason: Reason | None) -> list[int]:
        """List the sequence numbers from `high` down to `low` that hold a dead letter, by their headers alone."""
        link = self._stream.link
        consumer = await link.js.add_consumer(
            DEADLETTERS.name,
            ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=low,
                filter_subjects=[*deadletter_subjects(reason or "*")],
                ack_policy=AckPolicy.NONE,
                headers_only=True,
                mem_storage=True,
                inactive_threshold=30,
            ),
        )
        want = min(consumer.num_pending or 0, high - low + 1)
        try:
            return [s for s in reversed(await self._fetch(consumer.name, want)) if s <= high] if want else []
        finally:
            await link.js.delete_consumer(DEADLETTERS.name, consumer.name)

    async def _fetch(self, consumer: str, want: int) -> list[int]:
        client = self._stream.link.client
        sequences: list[int] = []
        done = asyncio.Event()

        async def arrived(message: Msg) -> None:
            if message.headers and "Status" in message.headers:
                done.set()
                return
            sequences.append(message.metadata.sequence.stream)
            if len(sequences) == want:
                done.set()

        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=arrived)
        try:
            request = json.dumps({"batch": want, "no_wait": True}).encode()
            await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{DEADLETTERS.name}.{consumer}", request, reply=inbox)
            async with asyncio.timeout(_WAIT_S):
                await done.wait()
        finally:
            await subscription.unsubscribe()
        return sequences

    async def _message(self, sequence: int) -> RawStreamMsg | None:
        try:
            return await self._stream.link.js.get_msg(DEADLETTERS.name, sequence)
        except NotFoundError:
            return None


def _letter(raw: RawStreamMsg) -> DeadLetter:
    """Read a dead letter; one that this version cannot read is shown as the bytes it is."""
    data = raw.data or b""
    try:
        return DEAD_LETTER.decode(data)
    except SchemaError as error:
        reason = (raw.subject or "").split(".")[1]
        stored = int(raw.time.timestamp() * 1e9) if raw.time else 0
        return DeadLetter(1, reason, f"this dead letter cannot be read: {error}", "", data, stored, "")
