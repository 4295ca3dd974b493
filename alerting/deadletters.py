"""Dead letters: messages and readings that alerting could not take, with all that is needed to understand them."""

import traceback
from collections.abc import Callable

from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.jetstream import Link, Publisher, ensure_stream
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.streams import DEADLETTERS, deadletter_subject

_LONGEST_DETAIL = 4000


class DeadLetters:
    """Writes dead letters. Each call returns once the stream has stored it, and raises if it could not."""

    def __init__(self, link: Link, now: Callable[[], int]) -> None:
        self._link, self._now = link, now
        self._publisher: Publisher | None = None

    async def unreadable(self, subject: str, data: bytes, error: Exception) -> None:
        """Put aside a message that is no ReadingBatch of a known version."""
        await self._write(Reason.UNKNOWN_SCHEMA, str(error), subject, data, "")

    async def unexpected(self, subject: str, partition: int, reading: Reading, error: Exception) -> None:
        """Put aside a reading on which evaluation failed."""
        detail = "".join(traceback.format_exception(error))[-_LONGEST_DETAIL:]
        data = READING_BATCH.encode(ReadingBatch(1, partition, [reading]))
        await self._write(Reason.UNEXPECTED, detail, subject, data, reading.device)

    async def _write(self, reason: Reason, detail: str, topic: str, payload: bytes, device: str) -> None:
        if self._publisher is None:
            await ensure_stream(self._link.js, DEADLETTERS)
            publisher = Publisher(self._link)
            await publisher.start()
            self._publisher = publisher
        letter = DeadLetter(1, reason.value, detail, topic, payload, self._now(), "alerting", device)
        await self._publisher.publish(deadletter_subject(reason.value, device), DEAD_LETTER.encode(letter))
