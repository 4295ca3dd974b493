"""Dead letters that an operator replays: they come back by the stream, as if they had just been received."""

import asyncio

from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError

from contracts.deadletters import DEAD_LETTER
from contracts.jetstream import Link
from contracts.logs import Log
from contracts.streams import INGEST, REPLAYS
from contracts.wire import SchemaError
from ingest.outcomes import Arrival
from ingest.pipeline import Pipeline

_WAIT_S = 5.0


class Replays:
    """Pulls the work queue REPLAYS, one message at a time, and acknowledges each when it is on disk again."""

    def __init__(self, link: Link, pipeline: Pipeline, log: Log) -> None:
        self._link, self._pipeline, self._log = link, pipeline, log

    async def run(self) -> None:
        """Take what is replayed, until cancelled."""
        while True:
            try:
                await self._pull()
            except (NatsError, APIError) as error:
                self._log.debug("replays.unreachable", error=str(error))
                await asyncio.sleep(1)

    async def _pull(self) -> None:
        subscription = await self._link.js.pull_subscribe_bind(consumer=INGEST, stream=REPLAYS.name)
        generation = self._link.generation
        try:
            while generation == self._link.generation:
                try:
                    [message] = await subscription.fetch(1, timeout=_WAIT_S)
                except (TimeoutError, NatsTimeoutError):
                    continue
                try:
                    letter = DEAD_LETTER.decode(message.data)
                except SchemaError as error:
                    self._log.error("replays.unreadable", error=str(error))
                    await message.term()
                    continue
                stored = asyncio.Event()

                async def done(stored: asyncio.Event = stored) -> bool:
                    stored.set()
                    return True

                await self._pipeline.room()
                self._pipeline.take(Arrival(letter.topic, letter.payload, letter.received), done)
                await stored.wait()
                await message.ack()
        finally:
            await subscription.unsubscribe()
