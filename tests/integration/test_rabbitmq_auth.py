"""Devices' credentials on RabbitMQ, which asks over HTTP."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from contracts import logs, service
from devices_api.app import App
from devices_api.settings import Settings
from tests.conftest import TOKEN, Server, free_port
from tests.integration.mqtt_devices import Device, connected, lets_in
from tests.integration.rabbitmq_node import rabbitmq_node
from tests.integration.registry_service import KEY, until

BROKER_KEY = "a-key-for-the-broker"


class Rabbit:
    """The node, and where it looks for the API."""

    def __init__(self, port: int, api_port: int) -> None:
        self.port, self.api_port = port, api_port


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rabbit]:
    api_port = free_port()
    with rabbitmq_node(tmp_path_factory.mktemp("rabbitmq"), api_port, BROKER_KEY) as port:
        yield Rabbit(port, api_port)


@pytest.fixture
async def api(
    stream: Server, rabbit: Rabbit, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the API where the node looks for it; gives its admin."""
    directory = tmp_path_factory.mktemp("api")
    settings = Settings.model_validate(
        {
            "port": rabbit.api_port,
            "key": KEY,
            "nats_url": stream.nats_url,
            "nats_token": TOKEN,
            "database_url": f"sqlite+aiosqlite:///{directory}/registry.sqlite3",
            "store": directory / "timeseries.sqlite3",
            "broker_key": BROKER_KEY,
        }
    )
    app = App(settings, logs.quiet())
    with service.listen("127.0.0.1", rabbit.api_port) as listener:
        async with service.running(app, listener, 5, logs.quiet()):
            await until(lambda: app.waiting_for() == [], "ready")
            headers = {"Authorization": f"Bearer {KEY}"}
            base = f"http://127.0.0.1:{rabbit.api_port}/api/v1"
            async with httpx.AsyncClient(base_url=base, headers=headers) as client:
                yield client


async def make(api: httpx.AsyncClient, device: str, **body: str) -> dict[str, str]:
    answer = await api.post(f"/devices/{device}/credentials", json={"kind": "token"} | body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def register(api: httpx.AsyncClient, *ids: str) -> None:
    for id_ in ids:
        assert (await api.post("/devices", json={"id": id_})).status_code == 201


async def test_right_credentials_are_let_in_and_wrong_expired_and_disabled_ones_are_not(
    api: httpx.AsyncClient, rabbit: Rabbit
) -> None:
    await register(api, "pump-7", "AA:BB:01", "pump.8")
    token, password = await make(api, "pump-7"), await make(api, "pump-7", kind="password")
    ended = await make(api, "pump-7", expires="2026-01-01T00:00:00Z")
    colons, dotted = await make(api, "AA:BB:01"), await make(api, "pump.8")
    port = rabbit.port
    assert await lets_in(port, "pump-7", "pump-7", token["secret"])
    assert await lets_in(port, "pump-7/2", password["username"], password["secret"])
    assert await lets_in(port, "AA:BB:01", "AA:BB:01", colons["secret"])
    assert not await lets_in(port, "pump-7", "pump-7", "wrong")
    assert not await lets_in(port, "pump-7", "pump-7", ended["secret"])
    assert not await lets_in(port, "AA:BB:01", "pump-7", token["secret"])
    assert not await lets_in(port, "pump.8", "pump.8", dotted["secret"])
    rotated = (await api.post(f"/devices/pump-7/credentials/{token['id']}/rotate", json={"grace": 600})).json()
    assert await lets_in(port, "pump-7", "pump-7", token["secret"])
    assert await lets_in(port, "pump-7", "pump-7", rotated["secret"])
    await api.delete(f"/devices/pump-7/credentials/{token['id']}")
    assert not await lets_in(port, "pump-7", "pump-7", token["secret"])
    assert await lets_in(port, "pump-7", "pump-7", rotated["secret"])
    await api.patch("/devices/pump-7", json={"enabled": False})
    assert not await lets_in(port, "pump-7", "pump-7", rotated["secret"])


async def test_a_device_speaks_on_its_own_topics_only(api: httpx.AsyncClient, rabbit: Rabbit) -> None:
    await register(api, "pump-7", "pump-8")
    own, other = await make(api, "pump-7"), await make(api, "pump-8")
    watcher = (await api.post("/broker-accounts", json={"name": "watcher"})).json()
    async with contextlib.AsyncExitStack() as clients:

        async def client(client_id: str, username: str, secret: str) -> Device:
            return await clients.enter_async_context(connected(rabbit.port, client_id, username, secret))

        everything = await client("watcher", watcher["username"], watcher["secret"])
        neighbour = await client("pump-8", "pump-8", other["secret"])
        assert await everything.subscribe("devices/#")
        assert await neighbour.subscribe("devices/pump-8/#")
        for filter_ in ("devices/pump-8/#", "devices/+/desired", "#"):
            device = await client("pump-7", "pump-7", own["secret"])
            assert not await device.subscribe(filter_)
        for topic in ("devices/pump-8/telemetry", "devices/pump-7/desired", "devices/pump-7/commands/c1"):
            device = await client("pump-7", "pump-7", own["secret"])
            await device.publish(topic, b"wrong")
        device = await client("pump-7", "pump-7", own["secret"])
        assert await device.subscribe("devices/pump-7/#")
        await device.publish("devices/pump-7/telemetry", b"right")
        await everything.publish("devices/pump-7/desired", b"told")
        await until(lambda: ("devices/pump-7/desired", b"told") in device.heard, "what the device is told")
        await until(lambda: bool(everything.heard), "what the device has said")
        assert everything.heard[0] == ("devices/pump-7/telemetry", b"right")
        assert neighbour.heard == []


async def test_whoever_wants_to_become_a_device_asks_on_their_own_topics(
    api: httpx.AsyncClient, rabbit: Rabbit
) -> None:
    watcher = (await api.post("/broker-accounts", json={"name": "watcher"})).json()
    assert not await lets_in(rabbit.port, "pump-7", "provision", "any")
    async with (
        connected(rabbit.port, "watcher", watcher["username"], watcher["secret"]) as everything,
        connected(rabbit.port, "provision/4f1a", "provision", "any") as asking,
    ):
        assert await everything.subscribe("provision/+/request")
        assert await asking.subscribe("provision/4f1a/response")
        await asking.publish("provision/4f1a/request", json.dumps({"id": "pump-7"}).encode())
        await until(lambda: bool(everything.heard), "the request")
        await everything.publish("provision/4f1a/response", b"{}")
        await until(lambda: asking.heard == [("provision/4f1a/response", b"{}")], "the answer")
        assert not await asking.subscribe("provision/+/response")
