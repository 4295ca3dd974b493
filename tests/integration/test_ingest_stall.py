"""A stream server that stands still at full load: ingest's memory stays as it is, nothing is lost, it catches up."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from contracts import logs, streams
from contracts.backoff import end
from contracts.jetstream import Link
from contracts.readings import READING_BATCH
from tests.conftest import TOKEN, Server, free_port
from tests.integration.ingest_service import Stored

LOAD = Path(__file__).parents[1] / "bench" / "load.py"
MIB = 1 << 20
FLAT = 12 * MIB
"""What may come and go at most, once everything that has a bound is full."""


@contextlib.asynccontextmanager
async def ingest_process(stream: Server, broker: Server) -> AsyncIterator[tuple[psutil.Process, str]]:
    """Run ingest in a process of its own, once it is ready; gives the process and its address."""
    port = free_port()
    env = os.environ | {
        "INGEST_PORT": str(port),
        "INGEST_NATS_URL": stream.nats_url,
        "INGEST_NATS_TOKEN": TOKEN,
        "INGEST_NATS_MONITOR_URL": stream.monitor_url,
        "INGEST_MQTT_PORT": str(broker.port),
        "INGEST_UNKNOWN_DEVICE": "register",
        "INGEST_PARTITIONS": "4",
    }
    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        [sys.executable, "-m", "ingest"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(30):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get("/readyz")).is_success:
                        break
                await asyncio.sleep(0.05)
        yield psutil.Process(process.pid), f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)


class Seen(Stored):
    """Of each reading only which it is."""

    def __init__(self, stream: Server) -> None:
        super().__init__(stream)
        self.points: set[tuple[str, int]] = set()

    async def follow(self) -> None:
        link = await Link(self._stream.nats_url, TOKEN, "reader", logs.quiet()).connect()
        try:
            await self._read(link, streams.TELEMETRY, self._batch)
        finally:
            await link.close()

    def _batch(self, data: bytes) -> None:
        self.points.update((reading.device, reading.ts) for reading in READING_BATCH.decode(data).readings)


async def stall(stream: Server, broker: Server, seconds: float, rate: float) -> dict[str, float]:
    """Have the stream server stand still for so long while devices publish; gives what was measured, sizes in MiB."""
    loop = asyncio.get_running_loop()
    async with ingest_process(stream, broker) as (process, _):
        command = ("--port", str(broker.port), "--seconds", str(seconds + 2), "--rate", str(rate))
        load = await asyncio.create_subprocess_exec(sys.executable, str(LOAD), *command, stdout=subprocess.PIPE)
        await asyncio.sleep(1)
        before = process.memory_info().rss
        assert stream.process is not None
        stream.process.send_signal(signal.SIGSTOP)
        sizes: list[int] = []
        began = loop.time()
        try:
            while loop.time() < began + seconds:
                await asyncio.sleep(0.1)
                sizes.append(process.memory_info().rss)
        finally:
            stream.process.send_signal(signal.SIGCONT)
        resumed = loop.time()
        output, _ = await load.communicate()
        published = int(json.loads(output)["acknowledged"])
        seen = Seen(stream)
        following = asyncio.create_task(seen.follow())
        try:
            async with asyncio.timeout(60 + 5 * seconds):
                while len(seen.points) < published:
                    await asyncio.sleep(0.05)
        finally:
            await end([following])
        settled = sizes[len(sizes) // 4 :]
        return {
            "published": published,
            "lost": published - len(seen.points),
            "before": before / MIB,
            "full": settled[0] / MIB,
            "most": max(settled) / MIB,
            "after": process.memory_info().rss / MIB,
            "growth": (max(settled) - settled[0]) / MIB,
            "caught_up_s": loop.time() - resumed,
        }


async def test_a_stall_of_the_stream_costs_no_memory_and_no_message(stream: Server, broker: Server) -> None:
    found = await stall(stream, broker, 8, rate=4000)
    assert found["lost"] == 0
    assert found["growth"] * MIB <= FLAT, found


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_minute_without_the_stream_at_full_load(
    stream: Server, broker: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await stall(stream, broker, 60, rate=10_000)
    with capsys.disabled():
        print(  # noqa: T201 - it is what the long test is run for
            f"\n{Path(broker.command[0]).name}:", json.dumps({name: round(value, 1) for name, value in found.items()})
        )
    assert found["lost"] == 0
    assert found["growth"] * MIB <= FLAT, found
