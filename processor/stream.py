"""From the stream to the store: read, write, dead-letter, and only then acknowledge."""

import asyncio
from collections.abc import Callable, Iterator
from random import Random

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from contracts.backoff import delays
from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.jetstream import Link, NotAcknowledgedError, OrderedReader, Publisher, ensure_stream
from contracts.logs import Log
from contracts.streams import DEADLETTERS, PROCESSOR, TELEMETRY, deadletter_subject
from contracts.wire import SchemaError
from processor.metrics import Metrics
from processor.unpack import Unpacked, unpack
from processor.writer import StoppedError, Writer

_POLL_S = 0.5
_READ_S = 1.0
"""Longest wait for a message: a new connection is noticed after it."""
_LAG_POLL_S = 2.0
_RESTS = 3
"""Rest after a commit, in units of what it took: commits take at most a quarter of the time, until points pile up."""
_READ_AHEAD = 256
"""Messages that may wait here: batches of ingest, most of them below 100 kB."""
_DETAIL_CHARACTERS = 8_000
_LETTER_ROOM = 65_536
"""Bytes that a dead letter may need beside the payload."""

Letter = tuple[Reason, str]
Group = list[tuple[Msg, Unpacked | Letter]]


class Stream:
    """Reads TELEMETRY as its consumer `processor`, and writes DEADLETTERS.

    `found` tells whether TELEMETRY is there. `commit_points` bounds a transaction: it takes whole batches until it
    holds that many points. `rest` in seconds bounds the pause after a commit.
    """

    def __init__(  # noqa: PLR0913 - the composition root passes each by name
        self,
        link: Link,
        writer: Writer,
        *,
        now: Callable[[], int],
        metrics: Metrics,
        rng: Random,
        log: Log,
        commit_points: int,
        rest: float,
    ) -> None:
        self._link, self._writer, self._now, self._metrics = link, writer, now, metrics
        self._rng, self._log, self._commit_points, self._rest = rng, log, commit_points, rest
        self._publisher = Publisher(link)
        self._stopping = asyncio.Event()
        self._busy = asyncio.Lock()
        self._connected = False  # once; from then on the link keeps itself up
        self.found = False

    async def run(self) -> None:
        """Connect, wait for the stream, and take what it holds, until the service stops."""
        if not self._connected:
            await self._link.connect()
            await self._publisher.start()
            self._connected = True
        reader = OrderedReader(self._link, TELEMETRY.name, PROCESSOR, ahead=_READ_AHEAD)
        try:
            while not self._stopping.is_set():
                try:
                    if not self.found:
                        await self._find()
                    messages = await reader.read(_READ_S)
                except (NatsError, TimeoutError):
                    self.found = False  # the server does not answer for a stream that is gone
                    await asyncio.sleep(_POLL_S)
                    continue
                async with self._busy:
                    await self._take(messages)
        except StoppedError:
            return
        finally:
            if self._link.up:
                await reader.close()

    async def watch_lag(self) -> None:
        """Look up for ever how many batches are not acknowledged."""
        while True:
            await asyncio.sleep(_LAG_POLL_S)
            if not (self._link.up and self.found):
                continue
            try:
                info = await self._link.js.consumer_info(TELEMETRY.name, PROCESSOR, timeout=2)
            except (NatsError, TimeoutError):
                continue
            self._metrics.lag.set((info.num_pending or 0) + (info.num_ack_pending or 0))

    async def stop(self) -> None:
        """Read nothing more; returns when what was read is settled, or given up because the store takes nothing."""
        self._stopping.set()
        self._writer.stop()
        async with self._busy:
            pass

    async def _find(self) -> None:
        """Return when the stream and its consumer are there, and dead letters have where to go."""
        await self._link.js.consumer_info(TELEMETRY.name, PROCESSOR)
        await ensure_stream(self._link.js, DEADLETTERS)
        self.found = True

    async def _take(self, messages: list[Msg]) -> None:
        loop = asyncio.get_running_loop()
        began, points = loop.time(), 0
        for group in self._groups(messages):
            began = loop.time()
            points += sum(content.points for _, content in group if isinstance(content, Unpacked))
            await self._settle(group)
        if points < self._commit_points and len(messages) < _READ_AHEAD // 2:  # more is hardly waiting
            # A commit writes each page that it touches once: of points that come while it rests, several share one.
            await self._pause(min(self._rest, _RESTS * (loop.time() - began)))

    def _groups(self, messages: list[Msg]) -> Iterator[Group]:
        """Decode, and divide into transactions."""
        group: Group = []
        points = 0
        for message in messages:
            content: Unpacked | Letter
            try:
                content = unpack(message.data)
                points += content.points
            except SchemaError as error:
                content = Reason.UNKNOWN_SCHEMA, str(error)
            group.append((message, content))
            if points >= self._commit_points:
                yield group
                group, points = [], 0
        if group:
            yield group

    async def _settle(self, group: Group) -> None:
        """Bring each message of `group` to its end: stored or dead-lettered, then acknowledged."""
        unpacked = [content for _, content in group if isinstance(content, Unpacked)]
        problems = iter(await self._writer.write([content.readings for content in unpacked]))
        for message, content in group:
            if isinstance(content, tuple):
                await self._bury(message, *content)
                continue
            for reason, details in content.refused.items():
                await self._bury(message, reason, "\n".join(details))
            if (problem := next(problems)) is not None:
                self._log.error("batch.unexpected", subject=message.subject, traceback=problem)
                await self._bury(message, Reason.UNEXPECTED, problem)
        # Step 9. acknowledge
        await self._acknowledge(group[-1][0])
        self._metrics.batches.inc(len(group))

    async def _acknowledge(self, last: Msg) -> None:
        """Acknowledge `last` and all before it. If that is lost, they come again, and are stored once even so."""
        try:
            await last.ack()
        except NatsError as error:
            self._log.warning("acknowledgement.failed", error=repr(error))

    async def _bury(self, message: Msg, reason: Reason, detail: str) -> None:
        """Write a dead letter; returns when the stream has it. Raises StoppedError if the service stops first."""
        payload = message.data
        most = self._link.client.max_payload - _LETTER_ROOM
        if len(payload) > most:
            detail = f"{detail}\n(the first {most} of {len(payload)} bytes)"
            payload = payload[:most]
        letter = DeadLetter(1, reason, detail[:_DETAIL_CHARACTERS], message.subject, payload, self._now(), PROCESSOR)
        for wait in delays(self._rng):
            try:
                await self._publisher.publish(deadletter_subject(reason), DEAD_LETTER.encode(letter))
            except NotAcknowledgedError as error:
                self._log.warning("deadletter.refused", error=str(error))
                await self._pause(wait)
            else:
                self._metrics.dead_letters.labels(reason).inc()
                return

    async def _pause(self, seconds: float) -> None:
        """Wait. Raises StoppedError if the service stops meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise StoppedError
