"""The relay: records of devices and profiles from the outbox to KV `devices`, in the order of the changes."""

import asyncio

from contracts.backoff import set_within
from contracts.devices import encode_record
from contracts.logs import Log
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics
from devices_api.registry.bucket import Bucket, OvertakenError
from devices_api.registry.outbox import Outbox, Pending
from devices_api.stream import AWAY, StreamServer

AT_ONCE = 256
"""Outbox rows read and records sent before the acknowledgements are awaited."""

_POLL_S = 1.0


class Relay:
    """Publishes each changed device and profile as it is now, and takes its rows off after the acknowledgement.

    A change during that leaves a row of its own, so the last state always follows, and a repeat does no harm. Several
    relays may run: what one has read before another has written is not taken from it, so that no record goes back to an
    older one. It leaves the rows then, and the other goes on until there are none.
    """

    def __init__(self, outbox: Outbox, stream: StreamServer, metrics: Metrics, log: Log) -> None:
        self._outbox, self._stream, self._metrics, self._log = outbox, stream, metrics, log
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
        """Put everything on the outbox: the bucket lost its records, or never had any."""
        if count := await self._outbox.announce_all():
            self._log.warning("relay.bucket_was_empty", records=count)
            self.wake()

    async def run(self) -> None:
        """Publish what is on the outbox, whenever there is something, until `finish`."""
        while not self._stopping:
            self._changed.clear()
            try:
                await self._empty_outbox()
            except OvertakenError:
                self._log.debug("relay.overtaken")
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
                await set_within(self._changed, _POLL_S)

    async def _empty_outbox(self) -> None:
        while await self._size() and self._stream.ready and not self._stopping:
            bucket = self._stream.bucket
            end = await bucket.end()  # before the records are read: whoever writes after it has newer ones
            pending = await self._outbox.pending(AT_ONCE)
            for step in _steps(pending):
                # They are sent in this order, on one connection; all are heard of before the first failure is raised.
                writes = (self._publish(bucket, item, after) for after, item in enumerate(step, end))
                results = await asyncio.gather(*writes, return_exceptions=True)
                for failure in results:
                    if failure is not None:
                        raise failure
                end += len(step)
            await self._outbox.published([row for item in pending for row in item.rows])

    async def _size(self) -> int:
        size = await self._outbox.size()
        self._metrics.outbox_pending.set(size)
        return size

    async def _publish(self, bucket: Bucket, item: Pending, after: int) -> None:
        await bucket.write(item.key, None if item.record is None else encode_record(item.record), after)
        self._metrics.records_published.labels("delete" if item.record is None else "put").inc()


def _steps(pending: list[Pending]) -> list[list[Pending]]:
    """Divide what is to be published: profiles before the devices that name them, and gone after those."""
    profiles = [item for item in pending if item.kind == "profile"]
    first, last = ([item for item in profiles if (item.record is None) == gone] for gone in (False, True))
    return [first, [item for item in pending if item.kind == "device"], last]
