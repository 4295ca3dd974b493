"""Fixtures for the tests of devices_api with a real stream server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts import logs
from contracts.jetstream import Link
from tests.conftest import TOKEN, Server
from tests.integration.registry_service import Service, running


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
