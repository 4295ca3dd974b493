"""From the stream to the store: read, write, dead-letter, and only then acknowledge."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from random import Random

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from contracts.backoff import set_within
from contracts.consumers import partitions_of
from contracts.deadletters import Reason
from contracts.deletions import Deletion, deletion_in, wrong_in
from contracts.derived import Window as ClosedWindow
from contracts.jetstream import Link, Publisher, ensure_stream
from contracts.logs import Log
from contracts.ownership import Ownership
from contracts.partitions import Delivery, Reader
from contracts.readings import Reading
from contracts.streams import DEADLETTERS, TELEMETRY
from contracts.wire import SchemaError
from processor.announce import windows_of
from processor.deadletters import DeadLetters
from processor.deletions import Deletions
from processor.derived import Derived
from processor.engine import Batch, Deleted, Written
from processor.failures import Failures
from processor.metrics import Metrics
from processor.retention import Retentions, divide
from processor.unpack import Unpacked, unpack
from processor.writer import Outcome, StoppedError, Writer

_POLL_S = 0.5
_RECORDS_S = 10.0
_LAG_POLL_S = 2.0
_CLOCK_S = 1.0
_RESTS = 3
"""Rest after a commit, in units of what it took: commits take at most a quarter of the time, until points pile up."""
_MANY = 128
"""Messages that came at once: after so many, more are likely to wait."""
_TOO_LATE = "older than raw points of its profile are kept: keep them for longer, and send it again"

Letter = tuple[Reason, str]
Order = tuple[Delivery, Msg, Deletion]
Group = list[tuple[Delivery, Msg, Unpacked | Letter]]


class Stream:
    """Takes what `reader` reads of the partitions that `ownership` has, and writes DEADLETTERS.

    `found` tells whether TELEMETRY is there. `commit_points` bounds a transaction: it takes whole batches until it
    holds that many points. `rest` in seconds bounds the pause after a commit. It begins when `records` is set: the
    devices' records say in which time zone their days are; or without them, after a while.
    """

    def __init__(  # noqa: PLR0913 - the composition root passes each by name
        self,
        link: Link,
        ownership: Ownership,
        reader: Reader,
        writer: Writer,
        derived: Derived,
        failures: Failures,
        retentions: Retentions,
        *,
        records: asyncio.Event,
        now: Callable[[], int],
        metrics: Metrics,
        rng: Random,
        log: Log,
        commit_points: int,
        rest: float,
    ) -> None:
        self._link, self._ownership, self._reader = link, ownership, reader
        self._writer, self._derived, self._failures, self._retentions = writer, derived, failures, retentions
        self._now, self._metrics = now, metrics
        self._rng, self._log, self._commit_points, self._rest = rng, log, commit_points, rest
        self._publisher = Publisher(link)
        self._letters = DeadLetters(link, self._publisher, now, metrics, rng, log, self._pause)
        self._deletions = Deletions(link, now, metrics, rng, log, self._pause)
        self._stopping = asyncio.Event()
        self._divided, self._records = asyncio.Event(), records
        self._busy = asyncio.Lock()
        self._connected = False  # once; from then on the link keeps itself up
        self.found = False

    async def run(self) -> None:
        """Connect, wait for the stream, and take what it holds, until the service stops."""
        if not self._connected:
            await self._link.connect()
            await self._publisher.start()
            self._connected = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECORDS_S):
                await self._records.wait()
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

    async def watch_clock(self) -> None:
        """Tell for ever which windows the clock closes."""
        while True:
            await asyncio.sleep(_CLOCK_S)
            async with self._busy:
                if self._stopping.is_set():
                    return
                now, epochs = self._now(), self._ownership.epochs
                with contextlib.suppress(StoppedError):
                    await self._tell(await self._writer.due(now, epochs))

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
        self._derived.stop()
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
                if isinstance(group, tuple):
                    await self._delete(*group)
                elif group:
                    points += sum(content.points for _, _, content in group if isinstance(content, Unpacked))
                    await self._settle(group)
        finally:
            for delivery in deliveries:
                self._reader.settle(delivery)
        much = points >= self._commit_points or sum(len(delivery.messages) for delivery in deliveries) >= _MANY
        if not (much or self._reader.more):
            # A commit writes each page that it touches once: of points that come while it rests, several share one.
            await self._pause(min(self._rest, _RESTS * (loop.time() - began)))

    def _groups(self, deliveries: list[Delivery]) -> Iterator[Group | Order]:
        """Decode, and divide into transactions: several partitions may share one, and a deletion has its own."""
        group: Group = []
        points = 0
        for delivery, message in [(one, message) for one in deliveries for message in one.messages]:
            content: Unpacked | Letter
            try:
                content = unpack(message.data)
                points += content.points
            except SchemaError as error:
                deletion = deletion_in(message.data)
                if deletion is not None:
                    yield group
                    yield delivery, message, deletion
                    group, points = [], 0
                    continue
                content = Reason.UNKNOWN_SCHEMA, str(error)
            group.append((delivery, message, content))
            if points >= self._commit_points:
                yield group
                group, points = [], 0
        if group:
            yield group

    async def _settle(self, group: Group) -> None:
        """Bring each message of `group` to its end: stored or dead-lettered, then acknowledged."""
        batches: list[Batch] = []
        for delivery, _, content in group:
            if isinstance(content, Unpacked):
                readings, too_late = divide(content.readings, self._retentions, self._now())
                batches.append((delivery.partition, readings))
                for reading in too_late:
                    await self._letters.bury_reading(delivery.partition, reading, Reason.TOO_LATE, _TOO_LATE)
        outcome = await self._writer.write(batches, {delivery.partition: delivery.epoch for delivery, _, _ in group})
        await self._bury(group, outcome)
        for written in outcome.written:
            await self._tell_written(written)
        # Step 9. acknowledge
        for delivery, last in {delivery: message for delivery, message, _ in group}.items():
            await self._reader.acknowledge(delivery, last, self._ownership.epochs)
        self._metrics.batches.inc(len(group))

    async def _delete(self, delivery: Delivery, message: Msg, deletion: Deletion) -> None:
        """Bring a deletion to its end: done, refused or dead-lettered, and told, then acknowledged."""
        wrong = wrong_in(deletion)
        if wrong is None:
            deleted = await self._writer.delete(delivery.partition, deletion, {delivery.partition: delivery.epoch})
            if isinstance(deleted, Deleted):
                await self._tell_written(deleted.written)
            else:
                self._log.error("deletion.unexpected", id=deletion.id, traceback=deleted)
                await self._letters.bury(message.subject, message.data, Reason.UNEXPECTED, deleted, deletion.device)
                deleted = Deleted(refused="an error that nobody foresaw: see the dead letter `unexpected`")
            await self._deletions.tell(deletion, deleted)
        else:
            await self._letters.bury(message.subject, message.data, Reason.MALFORMED, wrong, deletion.device)
        await self._reader.acknowledge(delivery, message, self._ownership.epochs)
        self._metrics.batches.inc()

    async def _tell_written(self, written: Written) -> None:
        """Tell what a write has made of windows and computed metrics."""
        for verdict in written.verdicts:
            self._failures.note(*verdict)
        await self._tell(windows_of(written.closed), written.computed)

    async def _bury(self, group: Group, outcome: Outcome) -> None:
        """Write a dead letter of everything in `group` that is not stored."""
        bury = self._letters.bury
        problems = iter(outcome.problems)
        for _, message, content in group:
            if isinstance(content, tuple):
                await bury(message.subject, message.data, *content)
                continue
            for reason, details in content.refused.items():
                await bury(message.subject, message.data, reason, "\n".join(details))
            if (problem := next(problems)) is not None:
                self._log.error("batch.unexpected", subject=message.subject, traceback=problem)
                await bury(message.subject, message.data, Reason.UNEXPECTED, problem)
        for written in outcome.written:
            for partition, reading, detail in written.refused:
                await self._letters.bury_reading(partition, reading, Reason.NOT_STORED, detail)

    async def _tell(self, windows: Iterable[tuple[int, ClosedWindow]], computed: Iterable[Batch] = ()) -> None:
        """Publish closed windows and computed values."""
        told: dict[int, tuple[list[ClosedWindow], list[Reading]]] = {}
        for partition, window in windows:
            told.setdefault(partition, ([], []))[0].append(window)
        for partition, readings in computed:
            told.setdefault(partition, ([], []))[1].extend(readings)
        for partition, of_partition in told.items():
            await self._derived.publish(partition, *of_partition)

    async def _pause(self, seconds: float) -> None:
        """Wait. Raises StoppedError if the service stops meanwhile."""
        if await set_within(self._stopping, seconds):
            raise StoppedError
