"""What ingest writes to a real stream server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random

from contracts import logs, streams
from contracts.jetstream import Link
from ingest.cycle import Outgoing
from ingest.metrics import Metrics
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
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
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
