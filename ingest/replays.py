"""Dead letters that an operator replays: they come back by the stream, as if they had just been received."""

import asyncio
import json
from collections.abc import Callable

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

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
_BYTES = 16 << 20
"""Most that is asked for at once, and more than the largest message. The stream server drops a connection on which more
than 64 MiB wait, and what is being written goes over the same one."""

_NEXT = f"$JS.API.CONSUMER.MSG.NEXT.{REPLAYS.name}.{INGEST}"
_REQUEST = json.dumps({"batch": _AT_ONCE, "max_bytes": _BYTES, "expires": int(_WAIT_S * 1e9)}).encode()
_EXPIRED = "408"


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
        client, generation = self._link.client, self._link.generation
        queue: asyncio.Queue[Msg] = asyncio.Queue()  # bounded by what is asked for

        async def arrived(message: Msg) -> None:
            queue.put_nowait(message)

        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=arrived)
        try:
            while generation == self._link.generation and self._ours():
                await client.publish(_NEXT, _REQUEST, reply=inbox)
                await self._take(queue)
        finally:
            if self._link.up:
                await subscription.unsubscribe()

    async def _take(self, queue: asyncio.Queue[Msg]) -> None:
        """Take what one request brings, as it comes."""
        taken = 0
        while taken < _AT_ONCE:
            try:
                async with asyncio.timeout(2 * _WAIT_S):
                    messages = [await queue.get()]
            except TimeoutError:
                return
            while not queue.empty():
                messages.append(queue.get_nowait())
            letters = [message for message in messages if not (message.headers and "Status" in message.headers)]
            await self._store(letters)
            taken += len(letters)
            if len(letters) < len(messages):  # the request has ended
                if not taken and (messages[-1].headers or {}).get("Status") != _EXPIRED:
                    await asyncio.sleep(_RETRY_S)
                return

    async def _store(self, messages: list[Msg]) -> None:
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
