"""From the stream to the store: read, write, dead-letter, and only then acknowledge."""

import asyncio
from collections.abc import Callable, Iterator
from random import Random

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from contracts.backoff import delays
from contracts.consumers import partitions_of
from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.jetstream import Link, NotAcknowledgedError, Publisher, ensure_stream
from contracts.logs import Log
from contracts.streams import DEADLETTERS, PROCESSOR, TELEMETRY, deadletter_subject
from contracts.wire import SchemaError
from processor.metrics import Metrics
from processor.ownership import Ownership
from processor.reader import Delivery, Reader
from processor.unpack import Unpacked, unpack
from processor.writer import StoppedError, Writer

_POLL_S = 0.5
_LAG_POLL_S = 2.0
_RESTS = 3
"""Rest after a commit, in units of what it took: commits take at most a quarter of the time, until points pile up."""
_MANY = 128
"""Messages that came at once: after so many, more are likely to wait."""
_DETAIL_CHARACTERS = 8_000
_LETTER_ROOM = 65_536
"""Bytes that a dead letter may need beside the payload."""

Letter = tuple[Reason, str]
Group = list[tuple[Delivery, Msg, Unpacked | Letter]]


class Stream:
    """Takes what `reader` reads of the partitions that `ownership` has, and writes DEADLETTERS.

    `found` tells whether TELEMETRY is there. `commit_points` bounds a transaction: it takes whole batches until it
    holds that many points. `rest` in seconds bounds the pause after a commit.
    """

    def __init__(  # noqa: PLR0913 - the composition root passes each by name
        self,
        link: Link,
        ownership: Ownership,
        reader: Reader,
        writer: Writer,
        *,
        now: Callable[[], int],
        metrics: Metrics,
        rng: Random,
        log: Log,
        commit_points: int,
        rest: float,
    ) -> None:
        self._link, self._ownership, self._reader = link, ownership, reader
        self._writer, self._now, self._metrics = writer, now, metrics
        self._rng, self._log, self._commit_points, self._rest = rng, log, commit_points, rest
        self._publisher = Publisher(link)
        self._stopping = asyncio.Event()
        self._divided = asyncio.Event()
        self._busy = asyncio.Lock()
        self._connected = False  # once; from then on the link keeps itself up
        self.found = False

    async def run(self) -> None:
        """Connect, wait for the stream, and take what it holds, until the service stops."""
        if not self._connected:
            await self._link.connect()
            await self._publisher.start()
            self._connected = True
        try:
            while not self._stopping.is_set():
                try:
                    if not self.found:
                        await self._find()
                    deliveries = await self._reader.read(self._ownership)
                except (NatsError, TimeoutError):
                    self.found = False  # the server does not answer for a stream that is gone
                    await asyncio.sleep(_POLL_S)
                    continue
                async with self._busy:
                    await self._take(deliveries)
        except StoppedError:
            return
        finally:
            await self._reader.close()

    async def own(self) -> None:
        """Own a share of the partitions, for ever, once it is known how many there are."""
        await self._divided.wait()
        await self._ownership.keep()

    async def watch_lag(self) -> None:
        """Look up for ever how many batches of the partitions that are ours are not acknowledged."""
        while True:
            await asyncio.sleep(_LAG_POLL_S)
            if not (self._link.up and self.found):
                continue
            try:
                self._metrics.lag.set(await self._reader.lag(self._ownership.epochs))
            except (NatsError, TimeoutError):
                continue

    async def stop(self) -> None:
        """Read nothing more; returns when what was read is settled, or given up because the store takes nothing."""
        self._stopping.set()
        self._writer.stop()
        async with self._busy:
            pass

    async def _find(self) -> None:
        """Return when the stream is there and its partitions are known, and dead letters have where to go."""
        self._ownership.divide(partitions_of(await self._link.js.stream_info(TELEMETRY.name)))
        await ensure_stream(self._link.js, DEADLETTERS)
        self._divided.set()
        self.found = True

    async def _take(self, deliveries: list[Delivery]) -> None:
        loop = asyncio.get_running_loop()
        began, points = loop.time(), 0
        try:
            for group in self._groups(deliveries):
                began = loop.time()
                points += sum(content.points for _, _, content in group if isinstance(content, Unpacked))
                await self._settle(group)
        finally:
            for delivery in deliveries:
                self._reader.settle(delivery)
        if points < self._commit_points and sum(len(delivery.messages) for delivery in deliveries) < _MANY:
            # A commit writes each page that it touches once: of points that come while it rests, several share one.
            await self._pause(min(self._rest, _RESTS * (loop.time() - began)))

    def _groups(self, deliveries: list[Delivery]) -> Iterator[Group]:
        """Decode, and divide into transactions: several partitions may share one."""
        group: Group = []
        points = 0
        for delivery, message in [(one, message) for one in deliveries for message in one.messages]:
            content: Unpacked | Letter
            try:
                content = unpack(message.data)
                points += content.points
            except SchemaError as error:
                content = Reason.UNKNOWN_SCHEMA, str(error)
            group.append((delivery, message, content))
            if points >= self._commit_points:
                yield group
                group, points = [], 0
        if group:
            yield group

    async def _settle(self, group: Group) -> None:
        """Bring each message of `group` to its end: stored or dead-lettered, then acknowledged."""
        unpacked = [content for _, _, content in group if isinstance(content, Unpacked)]
        # The epochs in which these partitions are ours are {delivery.partition: delivery.epoch for delivery, _, _ in
        # group}: a store that several write to without transactions takes them along with the batches.
        problems = iter(await self._writer.write([content.readings for content in unpacked]))
        for _, message, content in group:
            if isinstance(content, tuple):
                await self._bury(message, *content)
                continue
            for reason, details in content.refused.items():
                await self._bury(message, reason, "\n".join(details))
            if (problem := next(problems)) is not None:
                self._log.error("batch.unexpected", subject=message.subject, traceback=problem)
                await self._bury(message, Reason.UNEXPECTED, problem)
        # Step 9. acknowledge
        for delivery, last in {delivery: message for delivery, message, _ in group}.items():
            await self._reader.acknowledge(delivery, last, self._ownership.epochs)
        self._metrics.batches.inc(len(group))

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
