"""The reader of ACTIVITY: a transaction a second, however many devices have sent something."""

import asyncio
from collections.abc import Sequence

from nats.aio.msg import Msg

from contracts.activity import ACTIVITY_MESSAGE, Activity
from contracts.backoff import set_within
from contracts.logs import Log
from contracts.streams import ACTIVITY, DEVICES_API
from contracts.wire import SchemaError
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics
from devices_api.repository import Repository
from devices_api.shared import SharedReader
from devices_api.stream import AWAY, StreamServer

AT_ONCE = 32
"""Messages taken into one transaction: one a second comes from each ingest, more where it tells of 20,000 devices."""

_EVERY_S = 1.0
_POLL_S = 0.5


class ActivityReader:
    """Adds what ingests tell to the registry, and acknowledges it after the commit.

    Replicas share the consumer. What comes again, because an acknowledgement was lost, is not counted again.
    """

    def __init__(self, repository: Repository, stream: StreamServer, metrics: Metrics, log: Log, limit: int) -> None:
        self._repository, self._stream = repository, stream
        self._metrics, self._log, self._limit = metrics, log, limit
        self._reader = SharedReader(stream.link, ACTIVITY.name, DEVICES_API)
        self._stopping = asyncio.Event()
        self._away = False

    def finish(self) -> None:
        """Let `run` return after the messages in hand."""
        self._stopping.set()

    async def run(self) -> None:
        """Read until `finish`."""
        while not self._stopping.is_set():
            try:
                if self._stream.ready:
                    await self._take(await self._reader.fetch(AT_ONCE, _POLL_S))
            except (*AWAY, UnavailableError) as error:
                if not self._away:
                    self._log.warning("activity.away", error=repr(error))
                self._away = True
                if not isinstance(error, UnavailableError):
                    self._stream.doubt()
                await self._reader.close()
            else:
                self._away = False
            await set_within(self._stopping, _EVERY_S)
        await self._reader.close()

    async def _take(self, messages: Sequence[Msg]) -> None:
        told: dict[int, Activity] = {}
        for message in messages:
            try:
                told[message.metadata.sequence.stream] = ACTIVITY_MESSAGE.decode(message.data)
            except SchemaError as error:  # it is a count: a dead letter would help nobody
                self._log.warning("activity.unknown_schema", error=str(error))
                self._metrics.refused.labels("unknown_activity").inc()
        if told:
            refused = await self._repository.activities.take(told, self._limit)
            self._metrics.refused.labels("activity_limit").inc(refused)
        for message in messages:
            await message.ack()
