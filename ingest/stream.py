"""The stream server: made ready, checked, and written to however long that takes."""

import asyncio
from collections.abc import Callable
from hashlib import blake2b
from random import Random

from nats.errors import Error as NatsError

from contracts import streams
from contracts.backoff import delays
from contracts.jetstream import Link, NoStreamError, NotAcknowledgedError, Publisher, ensure_bucket, ensure_stream
from contracts.logs import Log
from ingest.cycle import Outgoing
from ingest.memory import BUCKET as MEMORY_BUCKET
from ingest.metrics import Metrics
from ingest.monitor import Monitor

_POLL_S = 0.1
FORGET_S = 60
"""How long the stream keeps that an entry is forgotten: devices choose the names, and there is no end to them."""

_AT_ONCE = 256
"""Messages that wait for their acknowledgements together. There is an fsync for each: were there thousands, the last
would wait longer than a publisher does, be published again, and make all the others wait still longer."""

_WRITTEN = (streams.DEADLETTERS, streams.PRESENCE, streams.REPLAYS, streams.UPLINK, streams.ACTIVITY)

_ONCE = (streams.UPLINK.subjects.removesuffix("*"), streams.ACTIVITY.subjects)
"""Beginnings of the subjects whose messages count each time: the stream drops one that is published again."""


class Stream:
    """Writes to the streams that ingest makes, and only to a server whose acknowledgement means that it has fsynced.

    `divided` is told how many partitions the stream of readings has. `monitor` is None where an acknowledgement
    without fsync will do.
    """

    def __init__(
        self,
        link: Link,
        monitor: Monitor | None,
        partitions: int,
        divided: Callable[[int], None],
        metrics: Metrics,
        rng: Random,
        log: Log,
    ) -> None:
        self._link, self._monitor, self._partitions, self._divided = link, monitor, partitions, divided
        self._metrics, self._rng, self._log = metrics, rng, log
        self._publisher = Publisher(link)
        self._made = self._checked = -1  # generations of the link: after each reconnection it may be another server
        self._holding = False

    @property
    def made(self) -> bool:
        """Whether the streams exist on the server that there is a connection to now."""
        return self._link.up and self._made == self._link.generation

    @property
    def ready(self) -> bool:
        """Whether that server is also known to fsync before it acknowledges."""
        return self.made and self._checked == self._link.generation

    @property
    def roomy(self) -> bool:
        """Whether that server takes messages as large as ours may be; a smaller one would refuse some for ever."""
        return self._link.client.max_payload >= streams.MAX_PAYLOAD

    async def keep_ready(self) -> None:
        """Connect; make and check what is needed, at first and after each reconnection; for ever."""
        await self._link.connect()
        await self._publisher.start()
        while True:
            if self._link.up and self.roomy and not self.ready:
                await self._prepare(self._link.generation)
            await asyncio.sleep(_POLL_S)

    async def until_ready(self) -> None:
        """Wait until `ready`."""
        while not self.ready:  # noqa: ASYNC110 - whether the link is up can only be asked
            await asyncio.sleep(_POLL_S)

    async def write(self, outgoing: list[Outgoing]) -> None:
        """Return once everything is on disk. What is refused or not answered is published again, for ever.

        It may then be stored twice, which changes nothing for readings; what counts each time is stored once, as long
        as the stream remembers it: two minutes.
        """
        # Step 5. Publish, and wait until the stream has acknowledged everything, which it does after the fsync.
        for start in range(0, len(outgoing), _AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for subject, body in outgoing[start : start + _AT_ONCE]:
                    group.create_task(self._write(subject, body))
        if not self.ready:
            await self.until_ready()
        if self._holding:
            self._holding = False
            self._log.info("stream.taking_again")

    async def _write(self, subject: str, body: bytes) -> None:
        waits = delays(self._rng)
        name = blake2b(body, digest_size=16).hexdigest() if subject.startswith(_ONCE) else ""
        while True:
            if not self.ready:
                await self.until_ready()
            try:
                await self._publisher.publish(subject, body, 0 if body else FORGET_S, name)
            except NotAcknowledgedError as error:
                if isinstance(error, NoStreamError):
                    self._made = -1  # somebody has deleted it: make it again
                self._metrics.refused.inc()
                if not self._holding:
                    self._holding = True
                    self._log.warning("stream.holding", error=str(error))
            else:
                return
            await asyncio.sleep(next(waits))

    async def _prepare(self, generation: int) -> None:
        try:
            if self._made != generation:
                js = self._link.js
                for stream in _WRITTEN:
                    await ensure_stream(js, stream, self._partitions)
                self._divided(await ensure_stream(js, streams.TELEMETRY, self._partitions))
                await ensure_bucket(js, streams.DEVICES_BUCKET)
                await ensure_bucket(js, MEMORY_BUCKET)
                memory = (await js.stream_info(f"KV_{MEMORY_BUCKET}")).config
                if not memory.allow_msg_ttl:  # made by somebody else: it would refuse what is to be kept for a while
                    await js.update_stream(memory.evolve(allow_msg_ttl=True))
                self._made = generation
            if self._monitor is None or await self._monitor.fsyncs():
                self._checked = generation
            else:
                await asyncio.sleep(1)
        except (NatsError, TimeoutError) as error:
            self._log.debug("stream.not_prepared", error=repr(error))
            await asyncio.sleep(0.5)
