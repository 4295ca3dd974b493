"""A VictoriaMetrics server of a test's own, and stores that use it."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from contracts.timeseries import Days
from contracts.victoria_layout import TICK
from processor.engine import Engine
from processor.victoria import VictoriaStore
from processor.victoria_client import Access, VictoriaClient
from tests.conftest import Server, free_port, need


def command(directory: Path, port: int, *flags: str) -> list[str]:
    return [
        need("victoria-metrics", "victoria-metrics"),
        f"-storageDataPath={directory / 'victoria'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        *(flags or ["-retentionPeriod=100y"]),
    ]


@contextlib.contextmanager
def victoria_server(*flags: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as directory, victoria_server_at(Path(directory), *flags) as server:
        yield server


@contextlib.contextmanager
def victoria_server_at(directory: Path, *flags: str) -> Iterator[Server]:
    port = free_port()
    server = Server(command(directory, port, *flags), port)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def url_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


def now() -> int:
    return time.time_ns()  # noqa: TID251 - the server reads the same clock


def store_at(url: str, timeout: float = 10.0) -> VictoriaStore:
    return VictoriaStore(VictoriaClient(url, Access(), timeout), now)


def engine_at(url: str, days: Days | None = None, most_series: int = 1000) -> Engine:
    return Engine(store_at(url), most_series, lambda _: days or Days(), TICK)
