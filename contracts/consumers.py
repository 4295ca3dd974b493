"""The streams' consumers: made as declared, and those of a partition handed from owner to owner."""

from collections.abc import Iterable

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, StreamInfo
from nats.js.errors import NotFoundError

from contracts.streams import (
    ACK_WAIT_S,
    DEFAULT_PARTITIONS,
    PARTITIONS_KEY,
    Stream,
    partition_and_epoch,
    partition_consumer,
)

MAX_ACK_PENDING = 4096


class OvertakenError(Exception):
    """The partition has a consumer of another owner with this `epoch`, which is ours or a later one."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"another owner has epoch {epoch}")
        self.epoch = epoch


def partitions_of(info: StreamInfo) -> int:
    """Return the number of partitions that a stream was made with."""
    return int((info.config.metadata or {}).get(PARTITIONS_KEY, DEFAULT_PARTITIONS))


async def ensure_consumers(js: JetStreamContext, stream: Stream, partitions: int) -> None:
    """Make the declared consumers of `stream` where they are missing.

    A consumer by partition is made, with epoch 0, only where its partition has none. One that has just its name, as an
    earlier version made it for all partitions, is deleted after that: nobody reads it, and it would keep everything.
    """
    # A work queue keeps each message for one consumer and wants every message acknowledged by itself.
    policy = AckPolicy.EXPLICIT if stream.retention == "workqueue" else AckPolicy.ALL
    for consumer in stream.consumers:
        if not consumer.by_partition:
            await js.add_consumer(stream.name, _config(consumer.name, policy, consumer.ack_wait))
            continue
        names = [info.name for info in await consumers_of(js, stream)]
        present = {found[0] for name in names if (found := partition_and_epoch(consumer.name, name))}
        for partition in range(partitions):
            if partition not in present:
                config = _config(partition_consumer(consumer.name, partition, 0), policy, consumer.ack_wait)
                await js.add_consumer(stream.name, config, filter_subject=_subject(stream, partition))
        if consumer.name in names:
            await delete_consumers(js, stream, [consumer.name])


async def take_over(js: JetStreamContext, stream: Stream, consumer: str, partition: int, epoch: int, owner: str) -> str:
    """Make the consumer by which `owner` reads `partition` in `epoch`, delete all before it, and return its name.

    It begins after the last message that any of them has acknowledged. It is there before they are deleted, so that
    the stream keeps at all times what is not acknowledged; ended in between, the next call finishes this one's work.
    What an earlier owner acknowledges meanwhile may come again. Raises OvertakenError where another has as high an
    epoch, and then changes nothing; nats errors if the server or the stream is away.
    """
    others: list[ConsumerInfo] = []
    mine = False
    for info in await consumers_of(js, stream):
        found = partition_and_epoch(consumer, info.name)
        if found is None or found[0] != partition:
            continue
        if found[1] > epoch or (found[1] == epoch and info.config.description != owner):
            raise OvertakenError(found[1])
        if found[1] == epoch:
            mine = True
        else:
            others.append(info)
    name = partition_consumer(consumer, partition, epoch)
    if not mine:
        floor = max((info.ack_floor.stream_seq for info in others if info.ack_floor), default=0)
        await js.add_consumer(
            stream.name,
            _config(name, AckPolicy.ALL),
            description=owner,
            filter_subject=_subject(stream, partition),
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=floor + 1,
        )
    await delete_consumers(js, stream, [info.name for info in others])
    return name


async def consumers_of(js: JetStreamContext, stream: Stream) -> list[ConsumerInfo]:
    """Return all consumers of `stream`."""
    consumers: list[ConsumerInfo] = []
    while page := await js.consumers_info(stream.name, offset=len(consumers)):
        consumers += page
    return consumers


async def delete_consumers(js: JetStreamContext, stream: Stream, names: Iterable[str]) -> None:
    """Delete the consumers that are there."""
    for name in names:
        try:
            await js.delete_consumer(stream.name, name)
        except NotFoundError:  # somebody else has done it
            continue


def _subject(stream: Stream, partition: int) -> str:
    return stream.subjects.replace("*", str(partition))


def _config(name: str, policy: AckPolicy, ack_wait: float = ACK_WAIT_S) -> ConsumerConfig:
    return ConsumerConfig(
        durable_name=name, ack_policy=policy, ack_wait=ack_wait, max_ack_pending=MAX_ACK_PENDING, max_deliver=-1
    )
