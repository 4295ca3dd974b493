"""Twins from end to end: the API, a real broker, ingest, a real stream, and a device."""

import asyncio
from pathlib import Path

from tests.conftest import Server
from tests.integration.ingest_service import ingest
from tests.integration.ingest_service import settings as ingest_settings
from tests.integration.mqtt_device import connected
from tests.integration.registry_service import Service, running, until

TWIN = "/devices/valve-3/twin"


def with_broker(broker: Server) -> dict[str, object]:
    return {"mqtt_host": "127.0.0.1", "mqtt_port": broker.port}


async def reported(service: Service, state: object) -> bool:
    found: dict[str, object] = await service.get(TWIN)
    return found["reported"] == state


async def test_a_device_is_told_what_it_is_to_be_and_what_it_lacks_when_it_comes_back(
    stream: Server, broker: Server, tmp_path: Path
) -> None:
    async with (
        running(stream, tmp_path, **with_broker(broker)) as service,
        ingest(ingest_settings(stream, broker)),
    ):
        await service.ready()
        await service.register("valve-3")
        assert (await service.client.patch(f"{TWIN}/desired", json={"open": True, "speed": 3})).status_code == 200
        await until(lambda: service.metric("twins_told_total", kind="desired") >= 1, "the broker has it")
        async with connected(broker, "valve-3") as device:
            await device.subscribe("desired", "delta")
            first = {"version": 1, "desired": {"open": True, "speed": 3}}
            await until(lambda: device.on("desired")[-1:] == [first], "the retained state")
            await device.tell("status", "online", retain=True)
            lacking = {"version": 1, "delta": first["desired"]}
            await until(lambda: device.on("delta")[-1:] == [lacking], "what it lacks")
            await device.tell("reported", {"reported": {"open": True, "speed": 3}, "version": 1})
            await until(lambda: reported(service, {"open": True, "speed": 3}), "its report is taken")
            twin = await service.get(TWIN)
            assert (twin["delta"], twin["applied"]) == ({}, 1)

            # It is told of each change at once, and of a change that it misses when it comes back.
            await service.client.patch(f"{TWIN}/desired", json={"speed": 4})
            second = {"version": 2, "desired": {"open": True, "speed": 4}}
            await until(lambda: device.on("desired")[-1] == second, "the change")
            await device.tell("status", "offline", retain=True)
            await device.tell("status", "online", retain=True)
            rest = {"version": 2, "delta": {"speed": 4}}
            await until(lambda: device.on("delta")[-1] == rest, "the rest")

            # Then it lacks nothing any more: it is told nothing, also when it asks.
            await device.tell("reported", {"speed": 4})
            await until(lambda: reported(service, {"open": True, "speed": 4}), "its report is taken")
            await device.tell("reported", {})
            await device.tell("reported", {"done": True})
            await until(lambda: reported(service, {"open": True, "speed": 4, "done": True}), "all is taken")
            await service.client.patch(f"{TWIN}/desired", json={"speed": 5})
            third = {"version": 3, "desired": {"open": True, "speed": 5}}
            await until(lambda: device.on("desired")[-1] == third, "the sender has been here")
            assert all(delta in (lacking, rest) for delta in device.on("delta"))


async def test_what_is_wanted_while_the_broker_is_away_reaches_it_later(
    stream: Server, broker: Server, tmp_path: Path
) -> None:
    async with running(stream, tmp_path, **with_broker(broker)) as service:
        await service.ready()
        await service.register("valve-3")
        broker.kill()
        await until(lambda: service.app.waiting_for() == ["broker"], "the loss is noticed")
        for speed in range(5):
            assert (await service.client.patch(f"{TWIN}/desired", json={"speed": speed})).status_code == 200
        await asyncio.to_thread(broker.start)
        async with connected(broker, "valve-3") as device:
            await device.subscribe("desired")
            await until(lambda: device.on("desired")[-1:] == [{"version": 5, "desired": {"speed": 4}}], "the last")
