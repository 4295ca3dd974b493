"""Writes cycles to the stream, however long that takes."""

import asyncio
from collections.abc import Callable
from random import Random

from contracts.backoff import delays
from contracts.jetstream import NotAcknowledgedError, Publisher
from contracts.logs import Log


class Writer:
    """Publishes, and publishes again what was not acknowledged: points are idempotent, so twice does no harm."""

    def __init__(self, publisher: Publisher, rng: Random, log: Log, retried: Callable[[], None]) -> None:
        self._publisher, self._rng, self._log, self._retried = publisher, rng, log, retried

    async def write(self, messages: list[tuple[str, bytes]]) -> None:
        """Step 5. Publish: return once the stream has acknowledged every message, which it does after the fsync."""
        waits = delays(self._rng)
        while messages:
            answers = await asyncio.gather(
                *(self._publisher.publish(subject, data) for subject, data in messages), return_exceptions=True
            )
            refused: list[tuple[str, bytes]] = []
            for message, answer in zip(messages, answers, strict=True):
                if isinstance(answer, NotAcknowledgedError):
                    refused.append(message)
                elif answer is not None:
                    raise answer
            if refused:
                self._retried()
                self._log.warning("stream.write_refused", messages=len(refused), first=_first(answers))
                await asyncio.sleep(next(waits))
            messages = refused


def _first(answers: list[BaseException | None]) -> str:
    return next(str(answer) for answer in answers if answer is not None)
