"""Ingest between a real broker and a real stream, and what is read back: for the tests of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any, cast

import pytest
import structlog
from mqttium.api import AsyncClient
from nats.js.api import ConsumerConfig, DeliverPolicy
from structlog.testing import LogCapture

from contracts import logs, streams
from contracts.backoff import end
from contracts.deadletters import DEAD_LETTER, DeadLetter
from contracts.jetstream import Link
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.readings import READING_BATCH, Reading
from ingest.app import App
from ingest.settings import Settings
from tests.conftest import TOKEN, Server


def settings(stream: Server, broker: Server, **more: Any) -> Settings:  # noqa: ANN401 - any setting
    given = {
        "port": 0,
        "nats_url": stream.nats_url,
        "nats_token": TOKEN,
        "nats_monitor_url": stream.monitor_url,
        "mqtt_port": broker.port,
        "unknown_device": "register",
        "partitions": 4,
    }
    return Settings.model_validate(given | more)


async def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


@contextlib.asynccontextmanager
async def ingest(given: Settings, *, ready: bool = True, log: logs.Log | None = None) -> AsyncIterator[App]:
    app = App(given, log or logs.quiet())
    await app.start()
    try:
        if ready:
            await until(lambda: app.waiting_for() == [], "ready")
        yield app
    finally:
        await app.stop()


@contextlib.asynccontextmanager
async def device(broker: Server) -> AsyncIterator[AsyncClient]:
    client = AsyncClient("device", clean_start=True)
    await client.connect("127.0.0.1", broker.port)
    try:
        yield client
    finally:
        await client.disconnect()


async def publish(client: AsyncClient, topic: str, payload: bytes, *, retain: bool = False) -> None:
    """Publish, and wait for the broker's PUBACK."""
    await (await client.publish(topic, payload, qos=1, retain=retain)).wait()


class Stored:
    """Everything that is on the streams, read as it comes."""

    def __init__(self, stream: Server) -> None:
        self._stream = stream
        self.readings: list[Reading] = []
        self.letters: list[DeadLetter] = []
        self.presences: list[Presence] = []

    async def follow(self) -> None:
        link = await Link(self._stream.nats_url, TOKEN, "reader", logs.quiet()).connect()
        try:
            await asyncio.gather(
                self._read(link, streams.TELEMETRY, self._batch),
                self._read(link, streams.DEADLETTERS, lambda data: self.letters.append(DEAD_LETTER.decode(data))),
                self._read(link, streams.PRESENCE, lambda data: self.presences.append(PRESENCE_MESSAGE.decode(data))),
            )
        finally:
            await link.close()

    def _batch(self, data: bytes) -> None:
        self.readings += READING_BATCH.decode(data).readings

    @staticmethod
    async def _read(link: Link, stream: streams.Stream, take: Callable[[bytes], None]) -> None:
        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
        subscription = await link.js.subscribe(
            stream.subjects, stream=stream.name, ordered_consumer=True, config=config
        )
        async for message in subscription.messages:
            take(message.data)


@contextlib.asynccontextmanager
async def reading(stream: Server) -> AsyncIterator[Stored]:
    stored = Stored(stream)
    task = asyncio.create_task(stored.follow())
    try:
        yield stored
    finally:
        await end([task])


def kept_log() -> tuple[logs.Log, list[MutableMapping[str, Any]]]:
    """Make a log, and the list that its lines are put in."""
    kept = LogCapture()
    made = structlog.wrap_logger(None, processors=[kept], wrapper_class=structlog.make_filtering_bound_logger(20))
    return cast("logs.Log", made), kept.entries


def held(app: App) -> float:
    return app.registry.get_sample_value("ingest_held_messages") or 0.0


def counted(app: App, name: str, **labels: str) -> float:
    return app.registry.get_sample_value(f"ingest_{name}_total", labels) or 0.0
