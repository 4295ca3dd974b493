"""Processor, a process of its own, with its SQLite file on a disk that is full."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from contracts.readings import READING_BATCH, Reading, ReadingBatch, Value
from contracts.timeseries import MINUTE, Days
from deploy.local.stage import fill
from tests.conftest import TOKEN, Server, free_port, need
from tests.integration.test_processor_stream import NOW, Pipeline
from tests.stores.oracle import Name, differences, rollups_of
from tests.stores.reading_back import of_sqlite

ROOT = Path(__file__).parents[2]
DISK = "24m"
STORE = "store.sqlite3"
DEVICES = 40
SECOND = 1_000_000_000


def mounting(disk: Path) -> list[str]:
    """Give what a command is put behind so that `disk` is a file system of its own, which ends with the process."""
    unshare = need("unshare", "util-linux")
    return [unshare, "-rm", "sh", "-c", f'mount -t tmpfs -o size={DISK} tmpfs "$0" && exec "$@"', str(disk)]


class Plant:
    """A processor, its disk as it sees it, and what was sent to it."""

    def __init__(self, pipeline: Pipeline, process: subprocess.Popen[bytes], disk: Path, url: str) -> None:
        self.pipeline, self._process, self._url = pipeline, process, url
        self._disk = Path(f"/proc/{process.pid}/root{disk}")
        self._sent: list[list[Reading]] = []

    async def ready(self) -> tuple[bool, str]:
        """Return whether it says that it is ready, and what it says."""
        async with httpx.AsyncClient() as client:
            try:
                answer = await client.get(f"{self._url}/readyz")
            except httpx.TransportError:
                return False, ""
            return answer.is_success, answer.text

    async def metric(self, name: str) -> float:
        async with httpx.AsyncClient() as client:
            lines = (await client.get(f"{self._url}/metrics")).text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    async def publish(self) -> None:
        """Publish a minute's readings of each device, and some of the minute before once more, or late."""
        base = NOW + len(self._sent) * MINUTE
        readings = [
            Reading(f"pump-{device}", base + second * SECOND, base, {"flow": device / 7 + second % 60})
            for device in range(DEVICES)
            for second in (0, 20, 20 - 60, 41 - 60)
        ]
        self._sent.append(readings)
        await self.pipeline.publish(READING_BATCH.encode(ReadingBatch(1, base, readings)))

    def fill(self) -> None:
        """Take all the room that there is on the disk."""
        fill(self._disk / "something else")

    def free(self) -> None:
        (self._disk / "something else").unlink()

    async def check(self) -> None:
        """Check what would be there if it died now: all that it has acknowledged, once, and right windows of that."""
        acknowledged = self._sent[: len(self._sent) - await self.pipeline.unacknowledged()]
        with tempfile.TemporaryDirectory() as directory:
            points, rollups = of_sqlite(self._image(Path(directory)))
        assert points.keys() >= points_of(acknowledged).keys()
        assert points.items() <= points_of(self._sent).items()
        assert not differences(rollups, rollups_of(points, Days()))

    def _image(self, directory: Path) -> Path:
        """Copy the store as it is at one moment. SQLite cannot open it in its place: it resolves links, as /proc's."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)
        for part in self._disk.glob(f"{STORE}*"):
            if not part.name.endswith("-shm"):  # which a crash of the machine does not leave either
                shutil.copy(part, directory)
        self._process.send_signal(signal.SIGCONT)
        return directory / STORE


def points_of(sent: list[list[Reading]]) -> dict[tuple[Name, int], Value]:
    return {
        (("default", one.device, metric, float), one.ts): value
        for readings in sent
        for one in readings
        for metric, value in one.values.items()
    }


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 30) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


@contextmanager
def processor(server: Server, disk: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    if subprocess.run([*mounting(disk), "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    about = {
        "PROCESSOR_NATS_URL": server.nats_url,
        "PROCESSOR_NATS_TOKEN": TOKEN,
        "PROCESSOR_STORE": str(disk / STORE),
        "PROCESSOR_PORT": str(port),
        "PROCESSOR_REST_SECONDS": "0.01",
        "PROCESSOR_LOG_LEVEL": "error",
    }
    command = [*mounting(disk), sys.executable, "-m", "processor"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | about) as process:
        try:
            yield process
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


@pytest.fixture
async def plant(stream: Server, tmp_path: Path) -> AsyncIterator[Plant]:
    pipeline = Pipeline(stream, tmp_path / "unused")
    await pipeline.connect()
    await pipeline.ensure()
    disk, port = tmp_path / "disk", free_port()
    disk.mkdir()
    with processor(stream, disk, port) as process:
        yield Plant(pipeline, process, disk, f"http://127.0.0.1:{port}")
    await pipeline.link.close()


async def test_a_full_disk_holds_everything_and_what_came_is_stored_once_there_is_room(plant: Plant) -> None:
    async def is_ready() -> bool:
        return (await plant.ready())[0]

    async def holds() -> bool:
        plant.fill()
        await plant.publish()
        return await plant.metric("processor_store_held") == 1

    await until(is_ready, "it is ready")
    for _ in range(2):  # full, then not, then full again
        for _ in range(3):
            await plant.publish()
        await plant.pipeline.settled()
        await until(holds, "the disk is full, and it holds")
        await still_holds(plant)
        plant.free()
        await plant.pipeline.settled()
        await until(is_ready, "it goes on by itself")
        assert await plant.metric("processor_store_held") == 0
        await plant.check()
    assert (await plant.pipeline.link.js.stream_info("DEADLETTERS")).state.messages == 0


async def still_holds(plant: Plant) -> None:
    """Check that it says what is missing, and acknowledges nothing, however often it tries."""
    plant.fill()  # also what it has freed when it gave the write up
    before = await plant.pipeline.unacknowledged()
    tries = await plant.metric("processor_store_holds_total")
    for _ in range(3):
        await plant.publish()

    async def has_tried() -> bool:
        return await plant.metric("processor_store_holds_total") >= tries + 2

    await until(has_tried, "it tries again")
    ready, says = await plant.ready()
    assert not ready
    assert "time-series store" in says
    assert await plant.metric("processor_store_held") == 1
    await plant.check()
    assert await plant.pipeline.unacknowledged() == before + 3 > 3
