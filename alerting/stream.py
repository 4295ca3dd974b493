"""Intake: reads a stream in order, has it evaluated, and acknowledges what is on disk."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from alerting.alarms import Alarms, NotLoadedError
from alerting.deadletters import DeadLetters
from alerting.metrics import Metrics
from contracts.deletions import deletion_in
from contracts.derived import DERIVED_BATCH, DerivedBatch
from contracts.jetstream import Link, NotAcknowledgedError, OrderedReader
from contracts.logs import Log
from contracts.readings import READING_BATCH, ReadingBatch
from contracts.streams import ALERTING, DERIVED, TELEMETRY
from contracts.wire import SchemaError, Wire

STREAMS: dict[str, Wire[ReadingBatch] | Wire[DerivedBatch]] = {
    TELEMETRY.name: READING_BATCH,
    DERIVED.name: DERIVED_BATCH,
}
"""What is evaluated, and what its messages are."""

AWAY = (NatsError, NotAcknowledgedError, TimeoutError, OSError)
"""What a call raises while the stream server, or the stream, is away."""

CHECKPOINT_S = 1.0
"""Longest time between taking a message that a rule looks at and committing what it came to, in seconds.

A change of an alert is committed at once. Without one there are only marks to write, and a longer time between
commits means fewer of them.
"""

_READ_S = 0.2  # how long a stop may have to wait for a read
_FIRST_READ_S = 0.01
_POLL_S = 0.5
_AHEAD = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Intake:
    """Reads one of STREAMS until it is told to stop; begins anew, from what is acknowledged, on every loss.

    Each stream has an intake of its own, so that one that is absent or far behind holds up no other.
    """

    def __init__(
        self,
        stream: str,
        link: Link,
        alarms: Alarms,
        dead_letters: DeadLetters,
        metrics: Metrics,
        log: Log,
        now: Callable[[], int],
    ) -> None:
        self._stream, self._link, self._alarms, self._dead_letters = stream, link, alarms, dead_letters
        self._metrics, self._log, self._now = metrics, log, now
        self._lag_messages, self._lag_seconds = metrics.lag_messages.labels(stream), metrics.lag_seconds.labels(stream)
        metrics.attached.labels(stream).set_function(lambda: float(self.attached))
        self._stopping = False
        self._created = ""
        self._next = 0  # the sequence that comes next if nothing was discarded; 0: not known
        self.attached = False

    def stop(self) -> None:
        """Take in nothing more: `run` returns once what was taken is on disk and acknowledged."""
        self._stopping = True

    async def run(self) -> None:
        """Read until `stop`. The stream, the server and the database may come and go."""
        while not self._stopping:
            reader = OrderedReader(self._link, self._stream, ALERTING, ahead=_AHEAD)
            try:
                await self._read(reader)
            except (*AWAY, NotLoadedError) as error:
                if self.attached:
                    self._log.warning("intake.interrupted", stream=self._stream, error=repr(error))
                self.attached = False
                await asyncio.sleep(_POLL_S)
            finally:
                self.attached = False
                await _close(reader)

    async def _read(self, reader: OrderedReader) -> None:
        if not self._alarms.loaded:
            raise NotLoadedError
        epoch, generation, loop = self._alarms.epoch, self._link.generation, asyncio.get_running_loop()
        await self._identify(epoch)
        floor = (await self._link.js.consumer_info(self._stream, ALERTING)).ack_floor
        self._next = max(self._next, floor.stream_seq + 1 if floor else 1)
        last: Msg | None = None
        resets, committed_at = reader.resets, loop.time()
        while True:
            began, wait = loop.time(), _READ_S if self.attached else _FIRST_READ_S
            messages = [] if self._stopping else await reader.read(wait)
            self.attached = True
            if reader.resets != resets or self._link.generation != generation:
                resets, last = reader.resets, None  # acknowledging an earlier delivery would confuse the server
            if generation != self._link.generation or (messages and self._seen(messages[0])):
                generation = self._link.generation
                await self._identify(epoch)  # a repetition, or another stream that was made in its place?
            for message in messages:
                await self._take(epoch, message)
                last = message
                await asyncio.sleep(0)  # between any two messages of one stream the other has its turn
            self._observe(messages)
            due = self._stopping or loop.time() - committed_at >= CHECKPOINT_S
            if self._alarms.changed or (due and not self._alarms.settled):
                await self._alarms.commit(epoch)
                committed_at = loop.time()
            if last is not None and self._alarms.settled:
                await last.ack()  # all up to `last` is on disk, or came to nothing: now the stream may forget it
                last = None
            if self._stopping:
                await self._link.client.flush(timeout=2)
                return
            if not messages and loop.time() - began < wait / 2:
                await self._identify(epoch)  # nothing, and so soon: is the stream still there?
                await asyncio.sleep(_POLL_S)

    async def _identify(self, epoch: int) -> None:
        made = (await self._link.js.stream_info(self._stream)).created
        created = made.isoformat() if made else "unknown"
        if created != self._created:
            self._created, self._next = created, 0
        await self._alarms.stream_is(epoch, self._stream, created)

    def _seen(self, message: Msg) -> bool:
        return self._alarms.has_seen(self._stream, _sequence(message))

    async def _take(self, epoch: int, message: Msg) -> None:
        sequence = _sequence(message)
        if 0 < self._next < sequence:
            self._metrics.messages.labels(self._stream, "missed").inc(sequence - self._next)
            self._log.error("intake.missed", stream=self._stream, messages=sequence - self._next, sequence=sequence)
        self._next = max(self._next, sequence + 1)
        if self._seen(message):
            self._metrics.messages.labels(self._stream, "repeated").inc()
            return
        try:
            batch = STREAMS[self._stream].decode(message.data)
        except SchemaError as error:
            if self._stream == TELEMETRY.name and deletion_in(message.data) is not None:
                await self._alarms.passed(epoch, self._stream, sequence)
                self._metrics.messages.labels(self._stream, "passed_over").inc()
                return
            await self._dead_letters.unreadable(message.subject, message.data, error)
            await self._alarms.passed(epoch, self._stream, sequence)
            self._metrics.messages.labels(self._stream, "dead_lettered").inc()
            self._log.error("intake.message_unreadable", subject=message.subject, sequence=sequence, error=str(error))
            return
        failed = await self._alarms.take(epoch, self._stream, sequence, batch.readings)
        for reading, cause in failed:
            self._log.error("intake.unexpected", device=reading.device, sequence=sequence, exc_info=cause)
            await self._dead_letters.unexpected(message.subject, batch.partition, reading, cause)
        if failed:
            await self._alarms.passed(epoch, self._stream, sequence)
        self._metrics.messages.labels(self._stream, "dead_lettered" if failed else "evaluated").inc()
        self._metrics.readings.labels(self._stream).inc(len(batch.readings))
        if isinstance(batch, DerivedBatch):
            self._metrics.windows.inc(len(batch.windows))

    def _observe(self, messages: list[Msg]) -> None:
        self._alarms.count()
        if messages:
            newest = messages[-1].metadata
            age = self._now() / 1e9 - (newest.timestamp - _EPOCH).total_seconds()
            self._lag_messages.set(newest.num_pending)
            self._lag_seconds.set(max(0.0, age))
        else:
            self._lag_messages.set(0)
            self._lag_seconds.set(0)


def _sequence(message: Msg) -> int:
    sequence = message.metadata.sequence
    return sequence.stream if sequence is not None else 0


async def _close(reader: OrderedReader) -> None:
    try:
        await reader.close()
    except AWAY:
        return  # the connection is gone, and the subscription with it
