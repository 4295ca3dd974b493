"""Intake: reads a stream's partitions, has what comes evaluated, and lets it be settled."""

import asyncio
from collections.abc import Callable

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from alerting.deadletters import DeadLetters
from alerting.metrics import Metrics
from alerting.partitions.held import Held
from alerting.partitions.holding import Holding
from contracts.deletions import deletion_in
from contracts.derived import DERIVED_BATCH, DerivedBatch
from contracts.jetstream import Link, NotAcknowledgedError
from contracts.logs import Log
from contracts.partitions import Delivery, Reader
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.streams import DERIVED, TELEMETRY
from contracts.wire import SchemaError, Wire

STREAMS: dict[str, Wire[ReadingBatch] | Wire[DerivedBatch]] = {
    TELEMETRY.name: READING_BATCH,
    DERIVED.name: DERIVED_BATCH,
}
"""What is evaluated, and what its messages are."""

AWAY = (NatsError, NotAcknowledgedError, TimeoutError, OSError)
"""What a call raises while the stream server, or the stream, is away."""

_READ_S = 0.5
_POLL_S = 0.5
_AT_ONCE = 500
"""Readings that are evaluated until others have their turn."""


class Intake:
    """Reads one of STREAMS for the partitions that `holding` has.

    Each stream has an intake of its own, so that one that is absent or far behind holds up no other.
    """

    def __init__(  # noqa: PLR0913 - the composition root passes each by name
        self,
        stream: str,
        link: Link,
        reader: Reader,
        *,
        holding: Holding,
        dead_letters: DeadLetters,
        metrics: Metrics,
        log: Log,
        now: Callable[[], int],
    ) -> None:
        self.stream, self._link, self._reader, self._holding = stream, link, reader, holding
        self._dead_letters, self._metrics, self._log, self._now = dead_letters, metrics, log, now
        self._sources: dict[int, object] = {}
        self._readings = 0
        self._stopping = False

    def stop(self) -> None:
        """Take in nothing more."""
        self._stopping = True
        self._reader.wake()

    async def run(self) -> None:
        """Read until `stop`. The stream, the server and the database may come and go."""
        away = False
        while not self._stopping:
            try:
                deliveries = await self._reader.read(self._holding, _READ_S)
            except AWAY as error:
                if not away:
                    self._log.info("intake.waits", stream=self.stream, error=repr(error))
                away = True
                await asyncio.sleep(_POLL_S)
                continue
            away = away and not deliveries
            for delivery in deliveries:
                try:
                    await self._take_all(delivery)
                except Exception as error:  # noqa: BLE001 - whatever it is: what follows is not taken without this
                    self._log.warning(
                        "intake.interrupted",
                        stream=self.stream,
                        error=repr(error),
                        exc_info=None if isinstance(error, AWAY) else error,
                    )
                    if (held := self._held(delivery)) is not None:
                        self._holding.void(held)
                    await asyncio.sleep(_POLL_S)
                finally:
                    self._reader.settle(delivery)
            if deliveries:
                await self._holding.settle()

    def _held(self, delivery: Delivery) -> Held | None:
        """Give the partition in memory, if `delivery` still follows on what it has taken."""
        held = self._holding.held.get(delivery.partition)
        if held is None or held.epoch != delivery.epoch or not self._reader.is_next(delivery):
            return None
        return held

    async def _take_all(self, delivery: Delivery) -> None:
        held = self._held(delivery)
        if held is not None and self._sources.get(delivery.partition) is not delivery.source:
            await self._identify(held)
            self._sources[delivery.partition] = delivery.source
        for message in delivery.messages:
            if held is None or held.over or self._stopping or not self._reader.is_next(delivery):
                return  # what is not taken comes again, to us or to the next owner
            await self._take(held, delivery, message)
        sent = delivery.messages[-1].metadata.timestamp
        self._metrics.lag_seconds.labels(self.stream).set(max(0.0, self._now() / 1e9 - sent.timestamp()))

    async def _identify(self, held: Held) -> None:
        """Find out which stream it is: another may have been made in its place since the partition's last message."""
        made = (await self._link.js.stream_info(self.stream)).created
        if held.follows(self.stream, made.isoformat() if made else "unknown"):
            self._log.warning("intake.stream_is_another", stream=self.stream, partition=held.partition)

    async def _take(self, held: Held, delivery: Delivery, message: Msg) -> None:
        metadata = message.metadata
        sequence = metadata.sequence.stream if metadata.sequence is not None else 0
        if held.has_seen(self.stream, sequence):
            self._count("repeated")
            held.take(self.stream, delivery, message)
            return
        try:
            batch = STREAMS[self.stream].decode(message.data)
        except SchemaError as error:
            if self.stream == TELEMETRY.name and deletion_in(message.data) is not None:
                self._count("passed_over")
            else:
                self._log.error("intake.unreadable", subject=message.subject, sequence=sequence, error=str(error))
                await self._dead_letters.unreadable(message.subject, message.data, error)
                self._count("dead_lettered")
        else:
            await self._evaluate(held, message, batch)
        if not held.over:
            held.move(self.stream, sequence)
            held.take(self.stream, delivery, message)

    async def _evaluate(self, held: Held, message: Msg, batch: ReadingBatch | DerivedBatch) -> None:
        failed: list[tuple[Reading, Exception]] = []
        take, now = held.shard.take, self._now()
        for reading in batch.readings:
            try:
                take(reading, now)
            except Exception as error:  # noqa: BLE001 - our bug in one reading: it is put aside, and told
                failed.append((reading, error))
        self._metrics.readings.labels(self.stream).inc(len(batch.readings))
        if isinstance(batch, DerivedBatch):
            for window in batch.windows:
                try:
                    held.shard.take_window(window, now)
                except Exception:  # noqa: BLE001 - as above; a window is computed again from what is stored
                    self._log.exception("intake.window_unexpected", device=window.device, metric=window.metric)
            self._metrics.windows.inc(len(batch.windows))
        self._readings += len(batch.readings)
        if self._readings >= _AT_ONCE:
            self._readings = 0
            await asyncio.sleep(0)
        for reading, cause in failed:
            self._log.error("intake.unexpected", device=reading.device, exc_info=cause)
            await self._dead_letters.unexpected(message.subject, batch.partition, reading, cause)
        self._count("dead_lettered" if failed else "evaluated")

    def _count(self, outcome: str) -> None:
        self._metrics.messages.labels(self.stream, outcome).inc()
