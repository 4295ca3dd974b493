"""Dead letters that an operator replays: they come back by the stream, as if they had just been received."""

import asyncio
from collections.abc import Callable

from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext

from contracts.deadletters import DEAD_LETTER, Reason
from contracts.jetstream import Link
from contracts.logs import Log
from contracts.streams import INGEST, REPLAYS
from contracts.wire import SchemaError
from ingest.admit import REFUSED
from ingest.outcomes import Arrival
from ingest.pipeline import Pipeline

_AT_ONCE = 64
_WAIT_S = 2.0
_RETRY_S = 1.0


class Replays:
    """Pulls the work queue REPLAYS, and acknowledges each message when what became of it is on disk.

    It does so while `ours` is true: of several ingests one knows what devices said before, by which some are read.
    """

    def __init__(self, link: Link, pipeline: Pipeline, ours: Callable[[], bool], log: Log) -> None:
        self._link, self._pipeline, self._ours, self._log = link, pipeline, ours, log

    async def run(self) -> None:
        """Take what is replayed, until cancelled."""
        while True:
            if not self._ours():
                await asyncio.sleep(_RETRY_S)
                continue
            try:
                await self._follow()
            except NatsError as error:
                self._log.debug("replays.unreachable", error=repr(error))
                await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        """Take what is replayed, until the connection is another one."""
        generation = self._link.generation
        subscription = await self._link.js.pull_subscribe_bind(consumer=INGEST, stream=REPLAYS.name)
        try:
            while generation == self._link.generation and self._ours():
                await self._take(subscription)
        finally:
            if self._link.up:
                await subscription.unsubscribe()

    async def _take(self, subscription: JetStreamContext.PullSubscription) -> None:
        try:
            messages = await subscription.fetch(_AT_ONCE, timeout=_WAIT_S)
        except TimeoutError:
            return
        taken = []
        for message in messages:
            await self._pipeline.room()
            stored = asyncio.Event()
            self._hand_over(message.data, message.subject, stored)
            taken.append((message, stored))
        for message, stored in taken:
            await stored.wait()
            await message.ack()

    def _hand_over(self, data: bytes, subject: str, stored: asyncio.Event) -> None:
        try:
            letter = DEAD_LETTER.decode(data)
        except SchemaError as error:
            self._pipeline.reject(Arrival(subject, data, 0), Reason.UNKNOWN_SCHEMA, str(error), stored)
        else:
            arrival = Arrival(
                letter.topic,
                letter.payload,
                letter.received,
                retained=letter.retained,
                replayed=True,
                properties=letter.properties,
                about=letter.device if letter.reason in REFUSED else "",
            )
            self._pipeline.take(arrival, None, stored)
