"""Dead letters of processor: what cannot be stored, with everything that is needed to understand it."""

from collections.abc import Awaitable, Callable
from random import Random

from contracts.backoff import delays
from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.jetstream import Link, NotAcknowledgedError, Publisher
from contracts.logs import Log
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.streams import PROCESSOR, deadletter_subject, telemetry_subject
from processor.metrics import Metrics

_DETAIL_CHARACTERS = 8_000
_LETTER_ROOM = 65_536
"""Bytes that a dead letter may need beside the payload."""


class DeadLetters:
    """Writes to DEADLETTERS, and counts. `pause` waits, and raises StoppedError if the service stops meanwhile."""

    def __init__(
        self,
        link: Link,
        publisher: Publisher,
        now: Callable[[], int],
        metrics: Metrics,
        rng: Random,
        log: Log,
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._link, self._publisher, self._now, self._metrics = link, publisher, now, metrics
        self._rng, self._log, self._pause = rng, log, pause

    async def bury_reading(self, partition: int, reading: Reading, reason: Reason, detail: str) -> None:
        """Write a dead letter of one reading, as a batch of its own; see `bury`."""
        batch = READING_BATCH.encode(ReadingBatch(1, partition, [reading]))
        await self.bury(telemetry_subject(partition), batch, reason, detail, reading.device)

    async def bury(self, subject: str, payload: bytes, reason: Reason, detail: str, device: str = "") -> None:
        """Write a dead letter; returns when the stream has it. Raises StoppedError if the service stops first."""
        most = self._link.client.max_payload - _LETTER_ROOM
        if len(payload) > most:
            detail = f"{detail}\n(the first {most} of {len(payload)} bytes)"
            payload = payload[:most]
        detail = detail[:_DETAIL_CHARACTERS]
        letter = DeadLetter(1, reason, detail, subject, payload, self._now(), PROCESSOR, device)
        for wait in delays(self._rng):
            try:
                await self._publisher.publish(deadletter_subject(reason, device), DEAD_LETTER.encode(letter))
            except NotAcknowledgedError as error:
                self._log.warning("deadletter.refused", error=str(error))
                await self._pause(wait)
            else:
                self._metrics.dead_letters.labels(reason).inc()
                return
