"""Devices' credentials on Mosquitto, by its dynamic-security plugin."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices_api.credentials.dynsec import PLUGIN
from tests.conftest import Server
from tests.integration.dynsec_broker import ADMIN_PASSWORD, api, dynsec_broker
from tests.integration.mqtt_devices import connected, lets_in
from tests.integration.registry_service import Service, until


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Server]:
    with dynsec_broker(tmp_path) as server:
        yield server


async def make(service: Service, device: str, **body: Any) -> dict[str, str]:  # noqa: ANN401 - any field
    answer = await service.client.post(f"/devices/{device}/credentials", json={"kind": "token"} | body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def account(service: Service) -> dict[str, str]:
    return dict((await service.client.post("/broker-accounts", json={"name": "watcher"})).json())


async def test_a_device_is_let_in_by_each_of_its_credentials_to_its_own_topics(
    stream: Server, mosquitto: Server, tmp_path: Path
) -> None:
    async with api(stream, mosquitto, tmp_path) as service:
        await service.register("pump-7", "pump-8")
        first, second = await make(service, "pump-7"), await make(service, "pump-7", kind="password")
        other, watcher = await make(service, "pump-8"), await account(service)
        port = mosquitto.port
        assert await lets_in(port, "pump-7", second["username"], second["secret"])
        assert not await lets_in(port, "pump-7", first["username"], second["secret"])
        assert not await lets_in(port, "pump-8", first["username"], first["secret"])
        assert not await lets_in(port, "pump-7", "pump-7/000000000000", first["secret"])
        async with (
            connected(port, "watcher", watcher["username"], watcher["secret"]) as everything,
            connected(port, "pump-8", other["username"], other["secret"]) as neighbour,
            connected(port, "pump-7", first["username"], first["secret"]) as device,
        ):
            assert await everything.subscribe("devices/#")
            for filter_ in ("devices/pump-8/#", "devices/+/desired", "#", "devices/#", "$CONTROL/#"):
                assert not await device.subscribe(filter_)
            assert await device.subscribe("devices/pump-7/#")
            assert await neighbour.subscribe("devices/pump-8/#")
            for topic in ("devices/pump-8/telemetry", "devices/pump-7/desired", "devices/pump-7/commands/c1", "x"):
                await device.publish(topic, b"wrong")
            await device.publish("devices/pump-7/telemetry", b"right")
            await everything.publish("devices/pump-7/desired", b"told")
            await until(lambda: ("devices/pump-7/desired", b"told") in device.heard, "what the device is told")
            await until(lambda: bool(everything.heard), "what the device has said")
            assert everything.heard[0] == ("devices/pump-7/telemetry", b"right")
            assert neighbour.heard == []


async def test_what_ends_ends_on_the_broker(stream: Server, mosquitto: Server, tmp_path: Path) -> None:
    async with api(stream, mosquitto, tmp_path) as service:
        await service.register("pump-7")
        old, port = await make(service, "pump-7"), mosquitto.port
        async with connected(port, "pump-7", old["username"], old["secret"]) as device:
            rotated = await service.client.post(f"/devices/pump-7/credentials/{old['id']}/rotate", json={"grace": 600})
            new = rotated.json()
            assert device.connected
            assert await lets_in(port, "pump-7", new["username"], new["secret"])
            assert await lets_in(port, "pump-7", old["username"], old["secret"])
        async with connected(port, "pump-7", old["username"], old["secret"]) as device:
            await service.client.delete(f"/devices/pump-7/credentials/{old['id']}")
            await until(lambda: not device.connected, "the end of the revoked one's connection")
        assert not await lets_in(port, "pump-7", old["username"], old["secret"])
        async with connected(port, "pump-7", new["username"], new["secret"]) as device:
            await service.client.patch("/devices/pump-7", json={"enabled": False})
            await until(lambda: not device.connected, "the end of the disabled device's connection")
        assert not await lets_in(port, "pump-7", new["username"], new["secret"])
        await service.client.patch("/devices/pump-7", json={"enabled": True})
        await until(lambda: lets_in(port, "pump-7", new["username"], new["secret"]), "the enabled device")


async def test_without_the_broker_nothing_is_made_and_what_changes_meanwhile_follows(
    stream: Server, mosquitto: Server, tmp_path: Path
) -> None:
    async with api(stream, mosquitto, tmp_path) as service:
        await service.register("pump-7", "pump-8")
        gone, kept = await make(service, "pump-7"), await make(service, "pump-8")
        mosquitto.kill()
        await until(lambda: PLUGIN in service.app.waiting_for(), "the loss of the plugin")
        refused = await service.client.post("/devices/pump-7/credentials", json={"kind": "token"})
        assert refused.status_code == 503
        assert len((await service.get("/devices/pump-7/credentials"))["items"]) == 1
        await service.client.delete(f"/devices/pump-7/credentials/{gone['id']}")
        await asyncio.to_thread(mosquitto.start)
        port = mosquitto.port

        async def ended() -> bool:
            return not await lets_in(port, "pump-7", gone["username"], gone["secret"])

        await until(ended, "the end of what was revoked meanwhile", 60)
        assert await lets_in(port, "pump-8", kept["username"], kept["secret"])
        assert await lets_in(port, "someone", "admin", ADMIN_PASSWORD)
        made = await make(service, "pump-7")
        assert await lets_in(port, "pump-7", made["username"], made["secret"])
