"""Exports over a real connection: one that ends early, is read slowly, or breaks off."""

import asyncio
import contextlib
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from contracts.readings import Reading
from contracts.service import listen
from contracts.timeseries import Days
from devices_api.access import ROOT, Principal
from devices_api.errors import UnavailableError
from devices_api.repository import Repository
from devices_api.telemetry.sqlite import SqliteTimeSeries
from devices_api.telemetry.timeseries import Pages
from devices_api.web import exports
from devices_api.web.addressing import Addressing
from processor.engine import Engine
from processor.sqlite import SqliteStore
from tests.integration.registry_service import until

DEVICE = "d" * 250
"""A name so long that what is exported does not fit into the buffers of a connection."""
POINTS = 40_000
BYTES = POINTS * 300


class Watched(SqliteTimeSeries):
    """A store that tells how far it has been read, and that can be made to fail."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.given, self.ended, self.fails_after = 0, False, 2 * POINTS

    async def scan(self, device: str, metric: str, start: int, end: int) -> Pages:
        try:
            async with contextlib.aclosing(super().scan(device, metric, start, end)) as pages:
                async for page in pages:
                    if self.given >= self.fails_after:
                        raise UnavailableError("time-series store")
                    self.given += len(page)
                    yield page
        finally:
            self.ended = True


async def everybody(_: HTTPConnection) -> Principal:
    return ROOT


def write(path: Path, times: range) -> None:
    engine = Engine(SqliteStore(path, 1), 1000, lambda _: Days())
    engine.write([(0, [Reading(DEVICE, ts, 0, {"m": float(ts)}, {}) for ts in times])], {0: 1})
    engine.close()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Watched]:
    path = tmp_path / "timeseries.sqlite3"
    write(path, range(POINTS))
    store = Watched(path)
    yield store
    await store.close()


@pytest.fixture
async def port(store: Watched) -> AsyncIterator[int]:
    """Serve exports, and nothing else."""

    def registry() -> Repository:
        raise UnavailableError("database")

    app = FastAPI()
    app.state.authenticate = everybody
    app.include_router(exports.routes(Addressing(registry, store), store))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    with listen("127.0.0.1", 0) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)  # its connections have the same
        serving = asyncio.create_task(server.serve([listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await serving


@contextlib.contextmanager
def slow_client(port: int) -> Iterator[socket.socket]:
    """Ask for an export, on a connection that takes little of what is not read."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(
            f"GET /telemetry/export?device={DEVICE}&metric=m&format=jsonl HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        )
        client.setblocking(False)  # noqa: FBT003 - the standard library's signature
        yield client


async def test_when_the_client_is_gone_nothing_more_is_read(port: int, store: Watched) -> None:
    loop = asyncio.get_running_loop()
    with slow_client(port) as client:
        assert (await loop.sock_recv(client, 1000)).startswith(b"HTTP/1.1 200")
        await until(lambda: store.given > 0, "the first page")
    await until(lambda: store.ended, "the reading to end")
    assert 0 < store.given < POINTS


async def test_a_slow_client_holds_the_reading_and_not_the_store(port: int, store: Watched, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    path = tmp_path / "timeseries.sqlite3"
    with slow_client(port) as client:
        assert (await loop.sock_recv(client, 1000)).startswith(b"HTTP/1.1 200")
        await asyncio.to_thread(write, path, range(POINTS, POINTS + 10))

        def log_is_empty() -> bool:
            with contextlib.closing(sqlite3.connect(path)) as db:
                return bool(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0))

        await until(log_is_empty, "the log to be written back while the export is open")
        assert not store.ended
        assert store.given < POINTS, "it waits for its reader"
        received = 0
        while data := await loop.sock_recv(client, 1 << 20):
            received += len(data)
            if data.endswith(b"0\r\n\r\n"):
                break
    assert received > BYTES
    assert store.given == POINTS + 10, "what came before the export was there is in it"


async def test_an_export_that_breaks_off_can_be_told(port: int, store: Watched) -> None:
    store.fails_after = POINTS // 2
    url = f"http://127.0.0.1:{port}/telemetry/export"
    headers = {"Accept-Encoding": "identity"}
    async with httpx.AsyncClient(headers=headers) as client:
        query = {"device": DEVICE, "metric": "m"}
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            await client.get(url, params=query)
        store.fails_after, store.given = 2 * POINTS, 0
        assert (await client.get(url, params=query)).text.count("\n") == POINTS + 1
