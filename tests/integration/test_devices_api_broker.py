"""The publisher against real brokers."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from contracts import logs
from contracts.mqtt import Publisher
from devices_api.errors import UnavailableError
from devices_api.settings import Settings
from tests.conftest import Server, free_port
from tests.integration.mqtt_device import connected
from tests.integration.registry_service import KEY, until


@contextlib.asynccontextmanager
async def publishing(port: int) -> AsyncIterator[Publisher]:
    settings = Settings.model_validate({"key": KEY, "mqtt_host": "127.0.0.1", "mqtt_port": port})
    publisher = Publisher(settings, random.Random(1), logs.quiet(), "devices_api", UnavailableError)
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        publisher.finish()
        await task


async def test_what_is_published_is_there_retained_and_many_at_once_are_all_acknowledged(broker: Server) -> None:
    async with publishing(broker.port) as publisher:
        await until(lambda: publisher.up, "a connection")
        await publisher.publish("devices/valve-3/desired", b'{"open": true}', retain=True)
        async with connected(broker, "valve-3") as device:
            await device.subscribe("#")
            await until(lambda: device.on("desired") == [{"open": True}], "the retained message")
            await asyncio.gather(*(publisher.publish(f"devices/valve-3/commands/{n}", b"1") for n in range(600)))
            wanted = {str(n) for n in range(600)}
            await until(lambda: {number for number, _ in device.below("commands/")} == wanted, "all messages")


async def test_without_a_broker_publishing_fails_at_once_and_works_again_when_there_is_one(broker: Server) -> None:
    async with publishing(broker.port) as publisher:
        await until(lambda: publisher.up, "a connection")
        broker.kill()
        await until(lambda: not publisher.up, "the loss is noticed")
        with pytest.raises(UnavailableError):
            await publisher.publish("devices/valve-3/desired", b"x")
        assert publisher.waiting_for() == ["broker"]
        await asyncio.to_thread(broker.start)
        await until(lambda: publisher.up, "another connection")
        await publisher.publish("devices/valve-3/desired", b"x")


async def test_a_publisher_that_never_found_its_broker_stops_at_once() -> None:
    async with asyncio.timeout(30), publishing(free_port()) as publisher:
        assert publisher.waiting_for() == ["broker"]
