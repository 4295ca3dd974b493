"""The consumers of a stream's partitions go from owner to owner, on the real stream server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from contracts import logs, streams
from contracts.consumers import OvertakenError, consumers_of, take_over
from contracts.jetstream import ConsumerGoneError, Link, OrderedReader, Publisher, ensure_stream
from tests.conftest import TOKEN, Server

STREAM = replace(streams.TELEMETRY, consumers=(streams.Consumer("processor", by_partition=True),))
"""Without alerting, so that it keeps what the partitions' consumers need, and nothing else."""


@pytest.fixture
async def link(stream: Server) -> AsyncIterator[Link]:
    link = await Link(stream.nats_url, TOKEN, "test", logs.quiet()).connect()
    yield link
    await link.close()


@pytest.fixture
async def ensured(link: Link) -> Link:
    await ensure_stream(link.js, STREAM, partitions=3)
    return link


async def publish(link: Link, numbers: range, partition: int = 0) -> None:
    publisher = Publisher(link)
    for number in numbers:
        await publisher.publish(f"telemetry.{partition}", b"%d" % number)


async def take(link: Link, epoch: int, owner: str = "") -> OrderedReader:
    return OrderedReader(
        link, STREAM.name, await take_over(link.js, STREAM, "processor", 0, epoch, owner or f"owner of {epoch}")
    )


async def read(reader: OrderedReader, count: int, acknowledged: int = 0) -> list[int]:
    numbers: list[int] = []
    async with asyncio.timeout(30):
        while len(numbers) < count:
            for message in await reader.read():
                numbers.append(int(message.data))
                if len(numbers) == acknowledged:
                    await message.ack_sync()
    return numbers


async def names(link: Link) -> list[str]:
    return sorted(info.name for info in await consumers_of(link.js, STREAM))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.01)


async def holds(link: Link, messages: int) -> bool:
    return (await link.js.stream_info(STREAM.name)).state.messages == messages


async def test_each_partition_has_one_consumer_before_any_owner(ensured: Link) -> None:
    assert await names(ensured) == ["processor-0-e0", "processor-1-e0", "processor-2-e0"]
    await publish(ensured, range(3), partition=0)
    await publish(ensured, range(2), partition=2)
    assert [info.num_pending for info in await consumers_of(ensured.js, STREAM)] == [3, 0, 2]


async def test_who_takes_over_begins_after_what_was_acknowledged(ensured: Link) -> None:
    first = await take(ensured, 1)
    await publish(ensured, range(6))
    assert await read(first, 6, acknowledged=4) == [0, 1, 2, 3, 4, 5]
    second = await take(ensured, 2)
    assert await names(ensured) == ["processor-0-e2", "processor-1-e0", "processor-2-e0"]
    assert await read(second, 2) == [4, 5], "the first had read these, and not acknowledged them"
    third = await take(ensured, 7)
    await publish(ensured, range(6, 9))
    assert await read(third, 5) == [4, 5, 6, 7, 8], "the second had acknowledged nothing"


async def test_acknowledgements_of_an_owner_that_was_taken_over_reach_nothing(ensured: Link) -> None:
    stale = await take(ensured, 1)
    await publish(ensured, range(4))
    messages = await stale.read()
    later = await take(ensured, 2)
    await messages[-1].ack()
    with pytest.raises(ConsumerGoneError):
        await read(stale, 1)
    assert await read(later, 4) == [0, 1, 2, 3]
    assert await holds(ensured, 4)


async def test_the_stream_frees_what_all_owners_together_have_acknowledged(ensured: Link) -> None:
    await publish(ensured, range(4))
    assert await read(await take(ensured, 1), 4, acknowledged=2) == [0, 1, 2, 3]
    await until(partial(holds, ensured, 2))
    assert await read(await take(ensured, 2), 2, acknowledged=2) == [2, 3]
    await until(partial(holds, ensured, 0))


async def test_what_is_acknowledged_between_the_look_and_the_making_is_not_missed(ensured: Link) -> None:
    """A consumer that begins below what its forerunner has acknowledged meanwhile holds nothing up."""
    stale = await take(ensured, 1)
    await publish(ensured, range(6))
    messages = await stale.read()
    looked, make = asyncio.Event(), asyncio.Event()

    class Slow:
        """Stands still before it makes a consumer."""

        def __getattr__(self, name: str) -> object:
            return getattr(ensured.js, name)

        async def add_consumer(self, *given: object, **named: object) -> object:
            looked.set()
            await make.wait()
            return await ensured.js.add_consumer(*given, **named)  # type: ignore[arg-type]  # as they came

    taking = asyncio.create_task(take_over(Slow(), STREAM, "processor", 0, 2, "b"))  # type: ignore[arg-type]  # a wrapper
    await looked.wait()
    await messages[3].ack_sync()
    await until(partial(holds, ensured, 2))
    make.set()
    later = OrderedReader(ensured, STREAM.name, await taking)
    assert await read(later, 2, acknowledged=2) == [4, 5]
    await until(partial(holds, ensured, 0))


async def test_one_that_was_killed_between_making_and_deleting_leaves_the_rest_to_the_next(ensured: Link) -> None:
    first = await take(ensured, 1)
    await publish(ensured, range(5))
    await read(first, 5, acknowledged=3)
    kept = await ensured.js.consumer_info(STREAM.name, "processor-0-e1")
    await take(ensured, 2)
    assert kept.config.durable_name is not None
    await ensured.js.add_consumer(STREAM.name, kept.config)  # as if epoch 2 had ended before it deleted this one
    assert await read(await take(ensured, 3), 2, acknowledged=2) == [3, 4]
    assert await names(ensured) == ["processor-0-e3", "processor-1-e0", "processor-2-e0"]
    await until(partial(holds, ensured, 0))


async def test_one_that_is_late_changes_nothing(ensured: Link) -> None:
    await take(ensured, 5)
    before = await names(ensured)
    for epoch in (4, 5):
        with pytest.raises(OvertakenError) as overtaken:
            await take(ensured, epoch, owner="another")
        assert overtaken.value.epoch == 5
    assert await names(ensured) == before


async def test_taking_it_again_in_the_same_epoch_goes_on(ensured: Link) -> None:
    await publish(ensured, range(4))
    reader = await take(ensured, 1, owner="a")
    await read(reader, 4, acknowledged=1)
    await reader.close()
    assert await read(await take(ensured, 1, owner="a"), 3) == [1, 2, 3]


async def test_a_partition_with_an_owner_gets_no_second_consumer(ensured: Link) -> None:
    await take(ensured, 3)
    await ensure_stream(ensured.js, STREAM, partitions=3)
    assert await names(ensured) == ["processor-0-e3", "processor-1-e0", "processor-2-e0"]


async def test_the_consumer_of_all_partitions_that_an_earlier_version_made_gives_way_to_theirs(link: Link) -> None:
    undivided = replace(STREAM, consumers=(streams.Consumer("processor"),))
    await ensure_stream(link.js, undivided, partitions=2)
    await publish(link, range(3), partition=1)
    await ensure_stream(link.js, STREAM)
    assert await names(link) == ["processor-0-e0", "processor-1-e0"]
    assert await read(OrderedReader(link, STREAM.name, "processor-1-e0"), 3) == [0, 1, 2]


async def test_what_the_consumer_of_all_partitions_had_not_acknowledged_comes_to_theirs(link: Link) -> None:
    both = (streams.Consumer("processor", by_partition=True), streams.Consumer("alerting"))
    await ensure_stream(link.js, replace(STREAM, consumers=both), partitions=2)
    await publish(link, range(4), partition=1)
    assert await read(OrderedReader(link, STREAM.name, "alerting"), 4, acknowledged=2) == [0, 1, 2, 3]
    await read(await take_of(link, "processor"), 4, acknowledged=3)
    early = await take_of(link, "alerting")  # before anybody has made the stream's new consumers
    assert await read(early, 2) == [2, 3]
    await ensure_stream(link.js, streams.TELEMETRY)
    assert await names(link) == ["alerting-0-e0", "alerting-1-e1", "processor-0-e0", "processor-1-e1"]
    assert await holds(link, 2)


async def take_of(link: Link, consumer: str) -> OrderedReader:
    """Take over partition 1 as the first owner."""
    return OrderedReader(link, STREAM.name, await take_over(link.js, STREAM, consumer, 1, 1, "owner"))
