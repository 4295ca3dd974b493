"""What ingest writes to a real stream server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random

import pytest
from nats.js.api import StreamConfig

from contracts import logs, streams
from contracts.backoff import end
from contracts.jetstream import Link
from ingest import memory
from ingest import stream as ingest_stream
from ingest.cycle import Outgoing
from ingest.memory import memory_subject
from ingest.metrics import Metrics
from ingest.recall import recall
from ingest.stream import Stream
from tests.conftest import TOKEN, Server


@contextlib.asynccontextmanager
async def writer(server: Server) -> AsyncIterator[tuple[Stream, Link, Metrics]]:
    link, metrics = Link(server.nats_url, TOKEN, "writer", logs.quiet()), Metrics()
    stream = Stream(link, None, 4, lambda _: None, metrics, Random(), logs.quiet())
    keeping = asyncio.create_task(stream.keep_ready())
    try:
        await stream.until_ready()
        yield stream, link, metrics
    finally:
        await end([keeping])
        await link.close()


async def test_as_many_dead_letters_as_a_cycle_may_make_are_written_once_each(stream: Server) -> None:
    letters: list[Outgoing] = [
        (streams.deadletter_subject("unknown_device", f"d{number}"), b"a letter") for number in range(10_000)
    ]
    async with writer(stream) as (written, link, metrics):
        await written.write(letters)
        info = await link.js.stream_info(streams.DEADLETTERS.name)
        assert info.state.messages == len(letters)
        assert metrics.registry.get_sample_value("ingest_refused_writes_total") == 0


async def test_of_what_is_forgotten_nothing_is_left(stream: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_stream, "FORGET_S", 1)
    made_elsewhere = StreamConfig(
        name=f"KV_{memory.BUCKET}", subjects=[f"$KV.{memory.BUCKET}.>"], max_msgs_per_subject=1, allow_msg_ttl=False
    )
    other = await Link(stream.nats_url, TOKEN, "other", logs.quiet()).connect()
    await other.js.add_stream(made_elsewhere)
    await other.close()
    async with writer(stream) as (written, link, _):
        await written.write([(memory_subject("homie.a"), b"{}"), (memory_subject("homie.b"), b"{}")])
        await written.write([(memory_subject("homie.a"), b"")])

        async def left() -> list[str]:
            info = await link.js.stream_info(f"KV_{memory.BUCKET}", subjects_filter=">")
            return list(info.state.subjects or {})

        async with asyncio.timeout(30):
            while len(await left()) > 1:
                await asyncio.sleep(0.05)
        assert await left() == [memory_subject("homie.b")]
        known = memory.Memory()
        await recall(link, known, logs.quiet())
        assert known.keys("") == ["homie.b"]
