"""Closed windows and computed values on their way to DERIVED, for alerting."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

from nats.errors import Error as NatsError

from contracts.backoff import delays, set_within
from contracts.consumers import partitions_of
from contracts.derived import DerivedBatch, Window, split
from contracts.jetstream import Link, NoStreamError, NotAcknowledgedError, Publisher, ensure_stream
from contracts.logs import Log
from contracts.readings import Reading
from contracts.streams import DERIVED, TELEMETRY, derived_subject
from processor.metrics import Metrics
from processor.writer import StoppedError

_MOST_BYTES = 1 << 20
"""Of one message: who reads the stream asks for many at once."""
_ROOM = 4096
"""Bytes of the server's largest message that are left for what is around the payload."""
_TOO_LARGE = "too_large"


class Derived:
    """Publishes what processor has computed. The stream is made with the first of it, divided as TELEMETRY is.

    To be called on the event loop after the store's commit and before the acknowledgement: what was published and not
    acknowledged is published again. `missing` names the stream while it takes nothing, else it is None.
    """

    def __init__(self, link: Link, *, metrics: Metrics, rng: Random, log: Log) -> None:
        self._link, self._metrics, self._rng, self._log = link, metrics, rng, log
        self._publisher = Publisher(link)
        self._stopping = asyncio.Event()
        self._made = False
        self.missing: str | None = None

    def stop(self) -> None:
        """Try nothing again: a `publish` that the stream does not take raises StoppedError."""
        self._stopping.set()

    async def publish(self, partition: int, windows: Sequence[Window], readings: Sequence[Reading]) -> None:
        """Return once the stream has everything, in order; at once if there is nothing.

        Tries until then. Raises StoppedError if the service stops first. Of one partition one call at a time.
        """
        most = min(_MOST_BYTES, self._link.client.max_payload - _ROOM)
        for batch, data in split(partition, windows, readings, most):
            if len(data) > most:
                self._log.error("derived.too_large", partition=partition, bytes=len(data), most=most)
                self._metrics.derived_dropped.labels(_TOO_LARGE).inc()
                continue
            await self._hand_over(derived_subject(partition), data)
            self._count(batch)

    async def _hand_over(self, subject: str, data: bytes) -> None:
        for wait in delays(self._rng):
            try:
                if not self._made:
                    await self._make()
                await self._publisher.publish(subject, data)
            except (NotAcknowledgedError, NatsError, TimeoutError) as error:
                if isinstance(error, NoStreamError):
                    self._made = False
                self.missing = f"stream {DERIVED.name}"
                self._log.warning("derived.refused", error=repr(error))
            else:
                self.missing = None
                return
            await self._pause(wait)

    async def _make(self) -> None:
        partitions = partitions_of(await self._link.js.stream_info(TELEMETRY.name))
        await ensure_stream(self._link.js, DERIVED, partitions)
        self._made = True

    async def _pause(self, seconds: float) -> None:
        if await set_within(self._stopping, seconds):
            raise StoppedError

    def _count(self, batch: DerivedBatch) -> None:
        self._metrics.readings_published.inc(len(batch.readings))
        for tier, number in Counter(window.tier for window in batch.windows).items():
            self._metrics.windows_published.labels(tier).inc(number)
