"""The probe against real brokers, and an HTTP server in the query API's place."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from contracts import logs
from contracts.service import listen
from simulators.entries import Entries, Part
from simulators.ledger import About, Ledger
from simulators.probe import METRIC, Probe
from tests.conftest import Server

KEY = "a-key-for-the-tests"
DELAY_S = 0.05


class Pipeline:
    """From the broker to HTTP, with a known delay."""

    def __init__(self, broker: Server) -> None:
        self.latest: dict[str, dict[str, object]] = {}
        self.works = True
        self.subscribed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.connect("127.0.0.1", broker.port)
        self._client.subscribe("devices/probe/telemetry", 1)
        self._client.loop_start()

    def _on_subscribe(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self.subscribed.set)

    def _on_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._loop.call_later, DELAY_S, self._store, json.loads(message.payload))

    def _store(self, message: dict[str, Any]) -> None:
        values = message["values"] if "ts" in message else message  # as ingest reads it: without a time it is flat
        for metric, value in values.items():
            self.latest[metric] = {"ts": "2026-01-01T00:00:00.000000000Z", "value": value}

    async def answer(self, request: Request) -> Response:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.path_params["device"] == "probe"
        if not self.works or not self.latest:
            return JSONResponse({"detail": "no such device"}, status_code=404)
        return JSONResponse({"device": "probe", "values": self.latest})

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.asynccontextmanager
async def serving(pipeline: Pipeline) -> AsyncIterator[str]:
    app = Starlette(routes=[Route("/api/v1/devices/{device}/telemetry/latest", pipeline.answer)])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    with listen("127.0.0.1", 0) as listener:
        task = asyncio.create_task(server.serve([listener]))
        try:
            async with asyncio.timeout(30):
                await pipeline.subscribed.wait()  # what is published before it would go nowhere
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
            await asyncio.to_thread(pipeline.close)


async def test_it_measures_the_time_until_the_reading_can_be_asked_for(broker: Server, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", About(0, 0, 0, 0.0, 0.0, 0.0), 0, logs.quiet())
    times = iter(range(1000, 2000))
    async with serving(Pipeline(broker)) as url:
        probe = Probe("127.0.0.1", broker.port, url, KEY, now=lambda: next(times), ledger=ledger)
        async with probe:
            measured = [await probe.measure() for _ in range(3)]
    assert all(DELAY_S <= seconds < DELAY_S + 1 for seconds in measured)
    await asyncio.to_thread(ledger.close)
    with Entries(tmp_path / "l") as entries:
        found = list(entries.of(Part(1, "probe")))
    assert len(found) == 3
    assert all(entry.acked is not None and set(entry.values) == {METRIC} for entry in found)


async def test_a_reading_that_never_comes_is_a_timeout_and_the_next_one_counts(broker: Server) -> None:
    pipeline = Pipeline(broker)
    async with (
        serving(pipeline) as url,
        Probe("127.0.0.1", broker.port, url, KEY, timeout_s=0.5) as probe,
    ):
        pipeline.works = False
        with pytest.raises(TimeoutError):
            await probe.measure()
        pipeline.works = True
        assert await probe.measure() < 0.5


async def test_without_broker_and_api_it_times_out_and_stops(broker: Server) -> None:
    broker.kill()
    async with Probe("127.0.0.1", broker.port, f"http://127.0.0.1:{broker.port}", KEY, timeout_s=0.3) as probe:
        with pytest.raises(TimeoutError):
            await probe.measure()
