"""devices_api in this process, for tests of it with the real stream server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts import logs
from devices_api.app import App
from devices_api.settings import Settings
from tests.conftest import TOKEN, Server

KEY = "a-key-for-these-tests"


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = 30) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        met = condition()
        if met if isinstance(met, bool) else await met:
            return
        if loop.time() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.02)


class Service:
    """devices_api in this process, and a client of it."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app.api),
            base_url="http://api/api/v1",
            headers={"Authorization": f"Bearer {KEY}"},
        )

    async def ready(self) -> None:
        await until(lambda: self.app.waiting_for() == [], "ready")

    async def register(self, *ids: str) -> None:
        for id_ in ids:
            assert (await self.client.post("/devices", json={"id": id_})).status_code == 201

    async def get(self, path: str, **query: str | int) -> Any:  # noqa: ANN401 - whatever the API answers
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metric(self, name: str, **labels: str) -> float:
        return self.app.registry.get_sample_value(f"devices_api_{name}", labels) or 0.0


@contextlib.asynccontextmanager
async def running(stream: Server, directory: Path, **more: object) -> AsyncIterator[Service]:
    given: dict[str, object] = {
        "port": 0,
        "key": KEY,
        "nats_url": stream.nats_url,
        "nats_token": TOKEN,
        "database_url": f"sqlite+aiosqlite:///{directory}/registry.sqlite3",
        "store": directory / "timeseries.sqlite3",
    }
    service = Service(App(Settings.model_validate(given | more), logs.quiet()))
    await service.app.start()
    try:
        yield service
    finally:
        await service.client.aclose()
        await service.app.stop()
