"""The relay: device records from the outbox to KV `devices`, in the order of the changes."""

import asyncio
import contextlib

from nats.js.kv import KeyValue

from contracts.devices import encode_record, kv_key
from contracts.logs import Log
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics
from devices_api.repository import Pending, Repository
from devices_api.stream import AWAY, StreamServer

AT_ONCE = 256
"""Outbox rows read and records sent before the acknowledgements are awaited."""

_POLL_S = 1.0


class Relay:
    """Publishes each changed device as it is now, and takes its rows off the outbox after the acknowledgement.

    A change during that leaves a row of its own, so the last state always follows, and a repeat does no harm.
    """

    def __init__(self, repository: Repository, stream: StreamServer, metrics: Metrics, log: Log) -> None:
        self._repository, self._stream, self._metrics, self._log = repository, stream, metrics, log
        self._changed = asyncio.Event()
        self._stopping = False
        self._behind = False

    def wake(self) -> None:
        """Tell of a change, so that it is published at once."""
        self._changed.set()

    def finish(self) -> None:
        """Let `run` return after the records in flight."""
        self._stopping = True
        self._changed.set()

    async def announce_all(self) -> None:
        """Put every device on the outbox: the bucket lost its records, or never had any."""
        if count := await self._repository.announce_all():
            self._log.warning("relay.bucket_was_empty", devices=count)
            self.wake()

    async def run(self) -> None:
        """Publish what is on the outbox, whenever there is something, until `finish`."""
        while not self._stopping:
            self._changed.clear()
            try:
                await self._empty_outbox()
            except (*AWAY, UnavailableError) as error:
                if not isinstance(error, UnavailableError):
                    self._stream.doubt()
                if not self._behind:
                    self._log.warning("relay.behind", error=repr(error))
                self._behind = True
            else:
                if self._behind and self._stream.ready:
                    self._log.info("relay.caught_up")
                    self._behind = False
            if not self._stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await self._changed.wait()

    async def _empty_outbox(self) -> None:
        self._metrics.outbox_pending.set(await self._repository.outbox_size())
        while self._stream.ready and not self._stopping:
            pending = await self._repository.pending(AT_ONCE)
            if not pending:
                return
            bucket = self._stream.bucket
            # They are sent in this order, on one connection; all are heard of before the first failure is raised.
            results = await asyncio.gather(*(self._publish(bucket, item) for item in pending), return_exceptions=True)
            for failure in results:
                if failure is not None:
                    raise failure
            await self._repository.published([row for item in pending for row in item.rows])
            self._metrics.outbox_pending.set(await self._repository.outbox_size())

    async def _publish(self, bucket: KeyValue, item: Pending) -> None:
        if item.record is None:
            await bucket.delete(kv_key(item.device))
            self._metrics.records_published.labels("delete").inc()
        else:
            await bucket.put(kv_key(item.device), encode_record(item.record))
            self._metrics.records_published.labels("put").inc()
