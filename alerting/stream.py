"""Intake: reads TELEMETRY in order, has it evaluated, and acknowledges what is on disk."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from alerting.alarms import Alarms, NotLoadedError
from alerting.deadletters import DeadLetters
from alerting.metrics import Metrics
from contracts.jetstream import Link, NotAcknowledgedError, OrderedReader
from contracts.logs import Log
from contracts.readings import READING_BATCH, ReadingBatch
from contracts.streams import ALERTING, TELEMETRY
from contracts.wire import SchemaError

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
    """Reads the stream for as long as it is not told to stop; begins anew, from what is acknowledged, on every loss."""

    def __init__(
        self,
        link: Link,
        alarms: Alarms,
        dead_letters: DeadLetters,
        metrics: Metrics,
        log: Log,
        now: Callable[[], int],
    ) -> None:
        self._link, self._alarms, self._dead_letters = link, alarms, dead_letters
        self._metrics, self._log, self._now = metrics, log, now
        self._stopping = False
        self.attached = False

    def stop(self) -> None:
        """Take in nothing more: `run` returns once what was taken is on disk and acknowledged."""
        self._stopping = True

    async def run(self) -> None:
        """Read until `stop`. The stream, the server and the database may come and go."""
        while not self._stopping:
            reader = OrderedReader(self._link, TELEMETRY.name, ALERTING, ahead=_AHEAD)
            try:
                await self._read(reader)
            except (*AWAY, NotLoadedError) as error:
                if self.attached:
                    self._log.warning("intake.interrupted", error=repr(error))
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
        last: Msg | None = None
        resets, committed_at = reader.resets, loop.time()
        while True:
            began, wait = loop.time(), _READ_S if self.attached else _FIRST_READ_S
            messages = [] if self._stopping else await reader.read(wait)
            self.attached = True
            if reader.resets != resets or self._link.generation != generation:
                resets, last = reader.resets, None  # acknowledging an earlier delivery would confuse the server
            if generation != self._link.generation or (messages and self._alarms.has_seen(_sequence(messages[0]))):
                generation = self._link.generation
                await self._identify(epoch)  # a repetition, or another stream that was made in its place?
            for message in messages:
                await self._take(epoch, message)
                last = message
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
        created = (await self._link.js.stream_info(TELEMETRY.name)).created
        await self._alarms.stream_is(epoch, created.isoformat() if created else "unknown")

    async def _take(self, epoch: int, message: Msg) -> None:
        sequence = _sequence(message)
        if self._alarms.has_seen(sequence):
            self._metrics.messages.labels("repeated").inc()
            return
        try:
            batch: ReadingBatch = READING_BATCH.decode(message.data)
        except SchemaError as error:
            await self._dead_letters.unreadable(message.subject, message.data, error)
            await self._alarms.passed(epoch, sequence)
            self._metrics.messages.labels("dead_lettered").inc()
            self._log.error("intake.message_unreadable", subject=message.subject, sequence=sequence, error=str(error))
            return
        failed = await self._alarms.take(epoch, sequence, batch.readings)
        for reading, cause in failed:
            self._log.error("intake.unexpected", device=reading.device, sequence=sequence, exc_info=cause)
            await self._dead_letters.unexpected(message.subject, batch.partition, reading, cause)
        if failed:
            await self._alarms.passed(epoch, sequence)
        self._metrics.messages.labels("dead_lettered" if failed else "evaluated").inc()
        self._metrics.readings.inc(len(batch.readings))

    def _observe(self, messages: list[Msg]) -> None:
        self._alarms.count()
        if messages:
            newest = messages[-1].metadata
            age = self._now() / 1e9 - (newest.timestamp - _EPOCH).total_seconds()
            self._metrics.lag_messages.set(newest.num_pending)
            self._metrics.lag_seconds.set(max(0.0, age))
        else:
            self._metrics.lag_messages.set(0)
            self._metrics.lag_seconds.set(0)


def _sequence(message: Msg) -> int:
    sequence = message.metadata.sequence
    return sequence.stream if sequence is not None else 0


async def _close(reader: OrderedReader) -> None:
    try:
        await reader.close()
    except AWAY:
        return  # the connection is gone, and the subscription with it
