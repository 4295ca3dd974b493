"""The stream DEADLETTERS, read by sequence numbers: newest first a few at a time, or oldest first in batches."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, StreamState
from nats.js.errors import NotFoundError

from contracts.deadletters import DEAD_LETTER, DeadLetter
from contracts.jetstream import Link
from contracts.streams import DEADLETTERS
from contracts.wire import SchemaError

CLOCKS_NS = 300 * 1_000_000_000
"""How far the clocks of whoever received a message and of the stream server may be apart."""

MAX_LOOKED_OVER = 20_000
"""Most sequence numbers looked over in one scan, where dead letters of other subjects or nothing lie between."""

_SPANS = (250, 2_000, 10_000)  # sequence numbers listed at a time: more, the fewer messages there are among them
_AT_ONCE = 16
_BATCH_BYTES = 16 << 20  # more than the largest message
_WAIT_S = 5.0

Letter = tuple[int, bytes, DeadLetter]
"""Sequence number, the message as it is in the stream, and what it says."""


class LetterStream:
    """Reads DEADLETTERS. Every method raises the client's errors while the stream server is away."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def state(self) -> StreamState:
        """Say what the stream holds."""
        return (await self._link.js.stream_info(DEADLETTERS.name)).state

    async def subjects(self, covering: str) -> set[str]:
        """List the subjects that `covering` covers and that there is something on."""
        info = await self._link.js.stream_info(DEADLETTERS.name, subjects_filter=covering)
        return set(info.state.subjects or {})

    async def get(self, sequence: int) -> Letter | None:
        """Read one dead letter; None if there is none."""
        try:
            raw = await self._link.js.get_msg(DEADLETTERS.name, sequence)
        except NotFoundError:
            return None
        stored = 0 if raw.time is None else int(raw.time.timestamp() * 1e9)
        return _letter(sequence, raw.subject or "", raw.data or b"", stored)

    async def first_at(self, received: int) -> int:
        """Give the sequence number from which on those are that were received at `received` ns or later."""
        seconds = max(0, received - CLOCKS_NS) // 1_000_000_000
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=start, filter_subjects=[DEADLETTERS.subjects]
        )
        async with self._consumer(config) as consumer:
            return 1 if consumer.delivered is None else consumer.delivered.stream_seq + 1

    async def newest_first(
        self, first: int, last: int, subjects: list[str]
    ) -> AsyncGenerator[tuple[int, DeadLetter | None], None]:
        """Yield what is on `subjects` from `last` down to `first`, or until MAX_LOOKED_OVER numbers were looked over.

        A None says only how far the scan has come.
        """
        async with contextlib.aclosing(self._listed(first, last, subjects)) as lists:
            async for low, sequences in lists:
                for at in range(0, len(sequences), _AT_ONCE):
                    for found in await asyncio.gather(*map(self.get, sequences[at : at + _AT_ONCE])):
                        if found is not None:
                            yield found[0], found[2]
                yield low, None

    async def oldest_first(
        self, first: int, last: int, subjects: list[str], at_once: int
    ) -> AsyncGenerator[list[Letter], None]:
        """Yield what is on `subjects` from `first` up to `last`, `at_once` or fewer at a time."""
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=first, filter_subjects=subjects
        )
        if last < first:
            return
        async with self._consumer(config) as consumer:
            while messages := await self._fetch(consumer.name, at_once, max_bytes=_BATCH_BYTES):
                letters = [_received(message) for message in messages]
                yield [letter for letter in letters if letter[0] <= last]
                if letters[-1][0] >= last:
                    return

    async def _listed(self, first: int, last: int, subjects: list[str]) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Yield lists of sequence numbers, newest first, each with how far it reaches: all in one if they are few."""
        if last < first:
            return
        if (few := await self._sequences(first, last, subjects, most=_SPANS[1])) is not None:
            yield first, few
            return
        spans, lowest = iter(_SPANS), max(first, last + 1 - MAX_LOOKED_OVER)
        span = next(spans)
        while last >= lowest:
            low = max(lowest, last - span + 1)
            sequences = await self._sequences(low, last, subjects) or []
            yield low, sequences
            last = low - 1
            if len(sequences) < span // 8:
                span = next(spans, span)

    async def _sequences(self, low: int, high: int, subjects: list[str], most: int | None = None) -> list[int] | None:
        """List the numbers from `high` down to `low` that are on `subjects`; None if from `low` on there are `most`."""
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=low,
            filter_subjects=subjects,
            headers_only=True,
        )
        async with self._consumer(config) as consumer:
            pending = consumer.num_pending or 0
            if most is not None and pending >= most:
                return None
            want = min(pending, high - low + 1)
            found = [_sequence(message) for message in await self._fetch(consumer.name, want)] if want else []
            return [sequence for sequence in reversed(found) if sequence <= high]

    @contextlib.asynccontextmanager
    async def _consumer(self, config: ConsumerConfig) -> AsyncIterator[ConsumerInfo]:
        """Make a consumer for a moment; the stream server forgets it by itself, should we not be able to delete it."""
        config = config.evolve(ack_policy=AckPolicy.NONE, mem_storage=True, inactive_threshold=30)
        consumer = await self._link.js.add_consumer(DEADLETTERS.name, config)
        try:
            yield consumer
        finally:
            with contextlib.suppress(NatsError):  # it must not take the place of a cancellation
                await self._link.js.delete_consumer(DEADLETTERS.name, consumer.name)

    async def _fetch(self, consumer: str, want: int, max_bytes: int | None = None) -> list[Msg]:
        """Take `want` messages, or those that are there, or as many as `max_bytes` hold."""
        client = self._link.client
        messages: list[Msg] = []
        done = asyncio.Event()

        async def arrived(message: Msg) -> None:
            if message.headers and "Status" in message.headers:
                done.set()
                return
            messages.append(message)
            if len(messages) == want:
                done.set()

        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=arrived)
        try:
            asked = {"batch": want, "no_wait": True} | ({} if max_bytes is None else {"max_bytes": max_bytes})
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{DEADLETTERS.name}.{consumer}"
            await client.publish(subject, json.dumps(asked).encode(), reply=inbox)
            async with asyncio.timeout(_WAIT_S):
                await done.wait()
        finally:
            with contextlib.suppress(NatsError):  # as above
                await subscription.unsubscribe()
        return messages


def _sequence(message: Msg) -> int:
    return message.metadata.sequence.stream


def _received(message: Msg) -> Letter:
    stored = int(message.metadata.timestamp.timestamp() * 1e9)
    return _letter(_sequence(message), message.subject, message.data, stored)


def _letter(sequence: int, subject: str, data: bytes, stored: int) -> Letter:
    """Read a dead letter; one that this version cannot read is shown as the bytes it is."""
    try:
        return sequence, data, DEAD_LETTER.decode(data)
    except SchemaError as error:
        reason = subject.split(".")[1] if "." in subject else ""
        return sequence, data, DeadLetter(1, reason, f"this dead letter cannot be read: {error}", "", data, stored, "")
