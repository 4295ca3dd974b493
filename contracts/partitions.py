"""The reading side: the partitions that this process owns, each in its order, merged into one queue."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Protocol

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from contracts.backoff import end, keep_running
from contracts.consumers import OvertakenError, consumers_of, delete_consumers, take_over
from contracts.jetstream import ConsumerGoneError, Link, OrderedReader
from contracts.logs import Log
from contracts.streams import Stream, partition_and_epoch
from contracts.waiting import Waiting

_READ_S = 1.0
"""Longest wait for a message: a new connection is noticed after it."""
_RETRY_S = 0.5
_AHEAD, _LEAST_AHEAD = 256, 8
"""Messages that may wait here of all partitions, and of each: batches of ingest, most of them below 100 kB."""
_SHARE = 64 << 10
"""Bytes of a partition that lags for one write, while others do not lag and wait for it: about one full batch."""


class Owned(Protocol):
    """What is to be read: some of `partitions`, each in its epoch, as contracts.ownership has them."""

    @property
    def partitions(self) -> int:
        """How many partitions the stream has."""

    @property
    def epochs(self) -> Mapping[int, int]:
        """The partitions that are to be read now, and the epoch of each."""

    def drop(self, partition: int, epoch: int, later: int = 0) -> None:
        """Give `partition` up, which was read in `epoch`: another has it, or its consumer is gone."""


@dataclass(frozen=True, eq=False)
class Delivery:
    """Messages of one partition, in order, read in `epoch`.

    `source` is another object each time reading begins anew, but for what the reader does by itself: `resets` is what
    it counted then.
    """

    partition: int
    epoch: int
    messages: list[Msg]
    resets: int
    source: object


@dataclass(frozen=True)
class Place:
    """How far a partition is: messages that wait, and those handed out and not acknowledged.

    All up to sequence `handed_out` was handed out, and all up to `acknowledged` is settled.
    """

    waiting: int
    unacknowledged: int
    handed_out: int
    acknowledged: int


class Reader:
    """Reads `stream`, by its consumer `consumer`, for the partitions that are owned at the moment.

    Of each it asks for its part of 256 messages; twice as many more may wait to be handed out, and as many be in hand.
    What comes while nobody reads waits together. A partition that lags, because of a backfill for instance, is handed
    out little by little unless all of them lag.
    """

    def __init__(self, link: Link, stream: Stream, consumer: str, me: str, rng: Random, log: Log) -> None:
        self._link, self._stream, self._consumer = link, stream, consumer
        self._me, self._rng, self._log = me, rng, log
        self._parts: dict[int, _Part] = {}
        self._in_hand: dict[int, int] = {}  # deliveries handed out and not settled, by partition
        self._ending: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._failure: Exception | None = None

    def in_hand(self, partition: int) -> bool:
        """Tell whether anything of `partition` was handed out and is not settled."""
        return bool(self._in_hand.get(partition))

    @property
    def more(self) -> bool:
        """Whether there is so much more that a partition lags, or has so many messages that no more are asked for."""
        return any(part.waiting.much for part in self._parts.values())

    def wake(self) -> None:
        """Let `read` return, so that its next call sees what is owned now."""
        self._arrived.set()

    async def read(self, owned: Owned, wait: float = _READ_S) -> list[Delivery]:
        """Return what has come of the partitions owned now; waits up to `wait` seconds for the first.

        `settle` has to be called for each. Raises nats errors and TimeoutError if the server or the stream is away.
        """
        self._follow(owned)
        if any(part.waiting for part in self._parts.values()):
            await asyncio.sleep(0)  # what others have sent meanwhile comes in
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._arrived.wait()
        self._arrived.clear()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        epochs = owned.epochs
        parts = [part for partition, part in self._parts.items() if epochs.get(partition) == part.epoch]
        live = not all(part.waiting.lags for part in parts)
        deliveries = [delivery for part in parts if (delivery := part.take(_SHARE if live else None)) is not None]
        for delivery in deliveries:
            self._in_hand[delivery.partition] = self._in_hand.get(delivery.partition, 0) + 1
        return deliveries

    def is_next(self, delivery: Delivery) -> bool:
        """Whether `delivery` still follows on what was handed out of its partition before."""
        return self._parts.get(delivery.partition) is delivery.source

    def begin_again(self, partition: int) -> None:
        """Read `partition`, if it is owned, from what was acknowledged: what was handed out since comes again."""
        if partition in self._parts:
            self._end(partition)

    async def acknowledge(self, delivery: Delivery, last: Msg, epochs: Mapping[int, int]) -> None:
        """Acknowledge `last` of `delivery` and all before it, if its partition is still owned in the same epoch.

        If that is lost, they come again, to us or the next owner, and are stored once even so.
        """
        part = self._parts.get(delivery.partition)
        if part is None or part is not delivery.source or part.epoch != epochs.get(delivery.partition):
            self._log.info("acknowledgement.not_ours", partition=delivery.partition, epoch=delivery.epoch)
            return
        if part.resets != delivery.resets:
            return  # the consumer has begun again before these
        try:
            await last.ack()
        except NatsError as error:
            self._log.warning("acknowledgement.failed", error=repr(error))

    def settle(self, delivery: Delivery) -> None:
        """Note that nothing more will be done about `delivery`."""
        self._in_hand[delivery.partition] -= 1

    async def lag(self, epochs: Mapping[int, int]) -> int:
        """Return how many messages of the partitions in `epochs` are not acknowledged; otherwise as `look`."""
        return sum(place.waiting + place.unacknowledged for place in (await self.look(epochs)).values())

    async def look(self, epochs: Mapping[int, int]) -> dict[int, Place]:
        """Look up how far each of the partitions in `epochs` is that are being read; raises as `read`.

        Consumers of earlier epochs that were made too late to be deleted by who took over are deleted on the way.
        """
        places: dict[int, Place] = {}
        left = []
        for info in await consumers_of(self._link.js, self._stream):
            partition, epoch = partition_and_epoch(self._consumer, info.name) or (-1, 0)
            if partition not in epochs or partition not in self._parts:
                continue
            if epoch < epochs[partition] and self._parts[partition].attached:
                left.append(info.name)
            elif epoch == epochs[partition]:
                places[partition] = Place(
                    info.num_pending or 0,
                    info.num_ack_pending or 0,
                    info.delivered.stream_seq if info.delivered else 0,
                    info.ack_floor.stream_seq if info.ack_floor else 0,
                )
        await delete_consumers(self._link.js, self._stream, left)
        return places

    async def close(self) -> None:
        """Stop reading; what is not acknowledged comes again."""
        for partition in list(self._parts):
            self._end(partition)
        await end(self._ending)

    def _follow(self, owned: Owned) -> None:
        """Read what is owned, and nothing else."""
        epochs = owned.epochs
        for partition, part in list(self._parts.items()):
            if epochs.get(partition) != part.epoch:
                self._end(partition)
        for partition, epoch in epochs.items():
            if partition not in self._parts:
                ahead = max(_LEAST_AHEAD, _AHEAD // owned.partitions)
                part = _Part(self._link, self._stream, self._consumer, partition, epoch, self._me, ahead)
                self._parts[partition] = part
                work = partial(self._keep, part, owned)
                part.task = asyncio.create_task(
                    keep_running(f"{self._stream.name} {partition}", work, self._rng, self._log)
                )

    async def _keep(self, part: "_Part", owned: Owned) -> None:
        """Read `part` until it is ended or has another owner."""
        try:
            while True:
                try:
                    await part.read(self._arrived.set)
                except OvertakenError as error:
                    owned.drop(part.partition, part.epoch, later=error.epoch)
                    return
                except ConsumerGoneError:
                    owned.drop(part.partition, part.epoch)
                    return
                except (NatsError, TimeoutError) as error:
                    self._failure = error
                    self._arrived.set()
                    await asyncio.sleep(_RETRY_S)
        finally:
            if self._link.up:
                await part.close()

    def _end(self, partition: int) -> None:
        task = self._parts.pop(partition).task
        if task is not None and not task.done():
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


class _Part:
    """One partition, in one epoch."""

    def __init__(
        self, link: Link, stream: Stream, consumer: str, partition: int, epoch: int, me: str, ahead: int
    ) -> None:
        self._link, self._stream, self._consumer, self._me, self._ahead = link, stream, consumer, me, ahead
        self.partition, self.epoch = partition, epoch
        self.task: asyncio.Task[None] | None = None
        self._reader: OrderedReader | None = None
        self._resets = 0  # when what waits was read
        self._free = asyncio.Event()
        self.waiting = Waiting(ahead)

    @property
    def attached(self) -> bool:
        """Whether we have our consumer."""
        return self._reader is not None

    @property
    def resets(self) -> int:
        """How often reading has begun again."""
        return 0 if self._reader is None else self._reader.resets

    async def read(self, arrived: Callable[[], None]) -> None:
        """Read what comes, as long as not too much waits; for ever. Raises as OrderedReader, take_over."""
        if self._reader is None:
            name = await take_over(self._link.js, self._stream, self._consumer, self.partition, self.epoch, self._me)
            self._reader = OrderedReader(self._link, self._stream.name, name, ahead=self._ahead)
        while True:
            while self.waiting.much:
                await self._taken()
            messages = await self._reader.read(_READ_S)
            if messages:
                while self.waiting and self._resets != self.resets:
                    await self._taken()  # what waits is from before a new beginning: it is a delivery of its own
                self.waiting.add(messages)
                self._resets = self.resets
                arrived()

    async def _taken(self) -> None:
        self._free.clear()
        await self._free.wait()

    def take(self, most: int | None) -> Delivery | None:
        """Hand out what waits, if anything does; if it lags, about `most` bytes of that."""
        if not self.waiting:
            return None
        delivery = Delivery(self.partition, self.epoch, self.waiting.take(most), self._resets, self)
        self._free.set()
        return delivery

    async def close(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            await self._reader.close()
