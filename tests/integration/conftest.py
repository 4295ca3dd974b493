"""Fixtures for the tests of devices_api with a real stream server, and for those of stores with a real engine."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts import logs
from contracts.jetstream import Link
from tests.conftest import TOKEN, Server
from tests.integration.registry_service import Service, running
from tests.stores.influx_server import InfluxServer, influxdb_engine, influxdb_server


@pytest.fixture
async def service(stream: Server, tmp_path: Path) -> AsyncIterator[Service]:
    """Give a devices_api that is ready."""
    async with running(stream, tmp_path) as service:
        await service.ready()
        yield service


@pytest.fixture
async def peer(stream: Server) -> AsyncIterator[Link]:
    """Connect to the stream server as another service does."""
    link = await Link(stream.nats_url, TOKEN, "peer", logs.quiet()).connect()
    yield link
    await link.close()


@pytest.fixture(scope="session")
def influxdb() -> Iterator[str]:
    """Give the URL of an InfluxDB engine, which speaks the API of 1.x."""
    with tempfile.TemporaryDirectory() as directory, influxdb_engine(Path(directory)) as url:
        yield url


@pytest.fixture
def influx(influxdb: str) -> Iterator[InfluxServer]:
    """Give the engine behind the API of 2.x, and behind whatever trouble the test makes."""
    with influxdb_server(influxdb) as server:
        yield server
