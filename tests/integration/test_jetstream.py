"""The link to the stream server, against the real one."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from contracts import logs, streams
from contracts.directory import Directory
from contracts.jetstream import (
    ConsumerGoneError,
    Link,
    NoStreamError,
    NotAcknowledgedError,
    OrderedReader,
    Publisher,
    ensure_bucket,
    ensure_stream,
)
from contracts.streams import DEVICES_BUCKET, deadletter_subject
from tests.conftest import TOKEN, Server


@pytest.fixture
async def link(stream: Server) -> AsyncIterator[Link]:
    link = await Link(stream.nats_url, TOKEN, "test", logs.quiet()).connect()
    yield link
    await link.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.01)


async def holds(link: Link, messages: int) -> bool:
    return (await link.js.stream_info("TELEMETRY")).state.messages == messages


async def reconnected(link: Link) -> bool:
    return link.generation > 0


async def publish(link: Link, *bodies: bytes) -> None:
    publisher = Publisher(link)
    await publisher.start()
    for body in bodies:
        await publisher.publish("telemetry.0", body)


async def read(reader: OrderedReader, count: int) -> list[bytes]:
    bodies: list[bytes] = []
    async with asyncio.timeout(30):
        while len(bodies) < count:
            bodies += [message.data for message in await reader.read()]
    return bodies


async def test_closing_a_link_twice_or_before_it_connects_does_nothing(stream: Server) -> None:
    link = Link(stream.nats_url, TOKEN, "test", logs.quiet())
    await link.close()
    await link.connect()
    await link.close()
    await link.close()


async def test_a_reader_gets_everything_in_order(link: Link) -> None:
    await ensure_stream(link.js, streams.TELEMETRY)
    bodies = [b"%d" % n for n in range(1000)]
    reader = OrderedReader(link, "TELEMETRY", "processor-0-e0", ahead=64)
    reading = asyncio.create_task(read(reader, 1000))
    await publish(link, *bodies)
    assert await reading == bodies


async def test_a_new_reader_begins_at_what_was_not_acknowledged(link: Link) -> None:
    await ensure_stream(link.js, streams.TELEMETRY)
    await publish(link, b"0", b"1", b"2", b"3")
    first = OrderedReader(link, "TELEMETRY", "processor-0-e0", ahead=2)
    messages = await first.read()
    await messages[0].ack_sync()
    await first.close()
    assert await read(OrderedReader(link, "TELEMETRY", "processor-0-e0"), 3) == [b"1", b"2", b"3"]


async def test_a_message_stays_until_every_consumer_has_acknowledged_it(link: Link) -> None:
    await ensure_stream(link.js, streams.TELEMETRY)
    await publish(link, b"0")
    for consumer, left in (("processor-0-e0", 1), ("alerting-0-e0", 0)):
        [message] = await OrderedReader(link, "TELEMETRY", consumer).read()
        await message.ack_sync()
        await until(partial(holds, link, left))


async def test_a_reader_whose_consumer_was_deleted_is_told_so(link: Link) -> None:
    await ensure_stream(link.js, streams.TELEMETRY)
    reader = OrderedReader(link, "TELEMETRY", "processor-0-e0")
    assert await reader.read(0.01) == []
    await link.js.delete_consumer("TELEMETRY", "processor-0-e0")
    with pytest.raises(ConsumerGoneError):
        await read(reader, 1)
    with pytest.raises(ConsumerGoneError):
        await reader.read()


async def test_reading_goes_on_after_the_server_was_killed(link: Link, stream: Server) -> None:
    await ensure_stream(link.js, streams.TELEMETRY)
    reader = OrderedReader(link, "TELEMETRY", "processor-0-e0")
    await publish(link, b"0", b"1")
    assert await read(reader, 2) == [b"0", b"1"]
    stream.kill()
    stream.start()
    await until(partial(reconnected, link))
    assert await read(reader, 2) == [b"0", b"1"], "they were not acknowledged"


async def test_publishing_what_no_stream_takes_is_refused(link: Link) -> None:
    with pytest.raises(NotAcknowledgedError, match="no stream takes this subject"):
        await publish(link, b"0")


async def test_an_existing_stream_keeps_its_partitions(link: Link) -> None:
    assert await ensure_stream(link.js, streams.TELEMETRY, partitions=4) == 4
    assert await ensure_stream(link.js, streams.TELEMETRY, partitions=16) == 4


async def test_an_existing_stream_gets_the_declared_subjects_and_keeps_its_limits(link: Link) -> None:
    earlier = replace(streams.DEADLETTERS, subjects="deadletters.*", max_age=3600.0, max_bytes=50 << 20)
    await ensure_stream(link.js, earlier)
    await link.js.publish("deadletters.malformed", b"0")
    await ensure_stream(link.js, streams.DEADLETTERS)
    await link.js.publish(deadletter_subject("malformed", "pump 7"), b"1")
    info = await link.js.stream_info("DEADLETTERS")
    assert (info.config.max_age, info.config.max_bytes, info.state.messages) == (3600, 50 << 20, 2)
    assert streams.PARTITIONS_KEY in (info.config.metadata or {})


async def test_the_owner_of_a_streams_limits_sets_them(link: Link) -> None:
    await ensure_stream(link.js, streams.DEADLETTERS)
    await ensure_stream(link.js, replace(streams.DEADLETTERS, max_age=3600.0, max_bytes=50 << 20), limit=True)
    info = await link.js.stream_info("DEADLETTERS")
    assert (info.config.max_age, info.config.max_bytes) == (3600, 50 << 20)


async def test_a_link_that_the_server_refuses_comes_back_when_it_no_longer_does(link: Link, stream: Server) -> None:
    await ensure_stream(link.js, streams.TELEMETRY)
    publisher, reader = Publisher(link), OrderedReader(link, "TELEMETRY", "processor-0-e0")
    await publisher.publish("telemetry.0", b"0")
    assert await read(reader, 1) == [b"0"]
    assert stream.process is not None
    for old, new in ((TOKEN, "another-token"), ("another-token", TOKEN)):
        stream.configure(old, new)
        stream.process.send_signal(signal.SIGHUP)
        await until(partial(is_up, link, new == TOKEN))
    await publisher.publish("telemetry.0", b"1")
    assert await read(reader, 2) == [b"0", b"1"], "they were not acknowledged"


async def is_up(link: Link, wanted: bool) -> bool:  # noqa: FBT001 - what is waited for
    return link.up is wanted


async def test_a_stream_that_is_gone_is_told_apart_from_one_that_refuses(link: Link) -> None:
    with pytest.raises(NoStreamError):
        await Publisher(link).publish("telemetry.0", b"0")


async def test_a_directory_whose_connection_is_closed_ends_when_it_is_cancelled(stream: Server) -> None:
    link = await Link(stream.nats_url, TOKEN, "reader", logs.quiet()).connect()
    await ensure_bucket(link.js, DEVICES_BUCKET)
    directory = Directory(link, logs.quiet())
    following = asyncio.create_task(directory.follow())
    async with asyncio.timeout(40):
        await directory.loaded.wait()
    await link.close()
    following.cancel()
    done, _ = await asyncio.wait([following], timeout=30)
    following.cancel()
    assert done == {following}
