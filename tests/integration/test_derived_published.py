"""processor's closed windows and computed values on the real stream: held until it has them, and never in the way."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from nats.js.errors import NotFoundError

from contracts import logs
from contracts.consumers import partitions_of
from contracts.derived import DERIVED_BATCH, DerivedBatch, Window
from contracts.jetstream import Link, ensure_stream
from contracts.readings import Reading
from contracts.streams import TELEMETRY
from processor.derived import Derived
from processor.metrics import Metrics
from processor.writer import StoppedError
from tests.conftest import TOKEN, Server

MINUTE = 60_000_000_000
WINDOW = Window("mill-4", "mill", "load", "1m", 0, MINUTE, 2, 3.0, 5.0, 0.5, 2.0, 3.0, 2.0)
READING = Reading("mill-4", MINUTE, MINUTE + 1, {"power": 640.0}, profile="mill")


class Bench:
    """What publishes, and who looks at what came of it."""

    def __init__(self, link: Link, peer: Link) -> None:
        self.metrics, self.peer, self.link = Metrics(), peer, link
        self.derived = Derived(link, metrics=self.metrics, rng=Random(4), log=logs.quiet())

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"processor_{name}_total", labels) or 0

    async def batches(self) -> list[DerivedBatch]:
        messages = (await self.peer.js.stream_info("DERIVED")).state.messages
        found = [await self.peer.js.get_msg("DERIVED", seq) for seq in range(1, messages + 1)]
        return [DERIVED_BATCH.decode(message.data or b"") for message in found]


@pytest.fixture
async def bench(stream: Server, peer: Link) -> AsyncIterator[Bench]:
    await ensure_stream(peer.js, TELEMETRY, partitions=3)
    link = await Link(stream.nats_url, TOKEN, "processor", logs.quiet()).connect()
    yield Bench(link, peer)
    await link.close()


async def until_missing(bench: Bench) -> None:
    async with asyncio.timeout(40):
        while bench.derived.missing is None:
            await asyncio.sleep(0.01)
    assert bench.derived.missing == "stream DERIVED"


async def test_the_stream_is_made_with_its_reader_and_has_what_was_published(bench: Bench) -> None:
    await bench.derived.publish(2, [WINDOW], [READING])
    assert await bench.batches() == [DerivedBatch(1, 2, [WINDOW], [READING])]
    assert (await bench.peer.js.get_msg("DERIVED", 1)).subject == "derived.2"
    info = await bench.peer.js.stream_info("DERIVED")
    assert (partitions_of(info), info.config.discard, info.config.max_age) == (3, "old", 86_400)
    assert (await bench.peer.js.consumer_info("DERIVED", "alerting-2-e0")).num_pending == 1
    assert bench.count("windows_published", tier="1m") == 1
    assert bench.count("readings_published") == 1


async def test_where_there_is_nothing_no_stream_is_needed(bench: Bench) -> None:
    await bench.derived.publish(0, [], [])
    with pytest.raises(NotFoundError):
        await bench.peer.js.stream_info("DERIVED")


async def test_much_is_divided_and_stays_in_order(bench: Bench) -> None:
    readings = [Reading("mill-4", ts, ts, {"state": f"{ts}" * 2000}) for ts in range(100, 400)]
    await bench.derived.publish(1, [WINDOW], readings)
    batches = await bench.batches()
    assert len(batches) > 1
    assert [reading for batch in batches for reading in batch.readings] == readings


async def test_what_no_message_can_hold_is_counted_and_stops_nothing(bench: Bench) -> None:
    large = Reading("mill-4", 1, 1, {"state": "x" * (2 << 20)})
    await bench.derived.publish(1, [WINDOW], [large, READING])
    assert [reading for batch in await bench.batches() for reading in batch.readings] == [READING]
    assert bench.count("derived_dropped", reason="too_large") == 1


async def test_it_is_held_until_the_server_is_back(bench: Bench, stream: Server) -> None:
    await bench.derived.publish(0, [WINDOW], [])
    stream.kill()
    publishing = asyncio.create_task(bench.derived.publish(0, [], [READING]))
    await until_missing(bench)
    stream.start()
    await publishing
    assert bench.derived.missing is None
    while not bench.peer.up:
        await asyncio.sleep(0.01)
    assert READING in [reading for batch in await bench.batches() for reading in batch.readings]


async def test_a_stream_that_was_deleted_is_made_anew(bench: Bench) -> None:
    await bench.derived.publish(0, [WINDOW], [])
    await bench.peer.js.delete_stream("DERIVED")
    await bench.derived.publish(0, [], [READING])
    assert await bench.batches() == [DerivedBatch(1, 0, [], [READING])]


async def test_a_service_that_stops_waits_for_nothing(bench: Bench, stream: Server) -> None:
    stream.kill()
    publishing = asyncio.create_task(bench.derived.publish(0, [WINDOW], []))
    await until_missing(bench)
    bench.derived.stop()
    with pytest.raises(StoppedError):
        await publishing


async def test_a_full_stream_drops_its_oldest_and_refuses_nothing(bench: Bench) -> None:
    await bench.derived.publish(0, [WINDOW], [])
    info = await bench.peer.js.stream_info("DERIVED")
    await bench.peer.js.update_stream(info.config.evolve(max_bytes=500_000))
    for ts in range(10):
        await bench.derived.publish(0, [], [Reading("mill-4", ts, ts, {"state": "x" * 100_000})])
    state = (await bench.peer.js.stream_info("DERIVED")).state
    assert state.last_seq == 11
    assert 1 <= state.messages < 10
    assert (await bench.peer.js.consumer_info("DERIVED", "alerting-0-e0")).num_pending == state.messages
