"""Devices that log in: credentials and accounts of the registry, claim keys over HTTP and MQTT, and TLS."""

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from simulators.connections.clients import CLIENTS
from simulators.connections.credentials import CredentialsError, Registry
from simulators.connections.outlet import Connect, Line, Outlet
from simulators.connections.parties import Broker
from simulators.connections.provisioning import USER, provisioned
from simulators.plan.devices import Device
from tests.conftest import Server, mosquitto_broker
from tests.integration.certificates import certify
from tests.integration.device_ear import Ear, connecting
from tests.integration.dynsec_broker import api, dynsec_broker
from tests.integration.ingest_service import ingest
from tests.integration.ingest_service import settings as ingest_settings
from tests.integration.registry_service import running, until


@contextlib.asynccontextmanager
async def up(connect: Connect, ear: Ear, *lines: Line) -> AsyncIterator[list[Outlet]]:
    outlets = [connect(line, ear) for line in lines]
    for outlet in outlets:
        outlet.start()
    try:
        await until(lambda: all(outlet.up for outlet in outlets), "everyone to be let in")
        yield outlets
    finally:
        await asyncio.gather(*(outlet.stop(1) for outlet in outlets))


@pytest.mark.parametrize("kind", list(CLIENTS))
async def test_the_registry_lets_in_devices_and_shared_connections_until_that_is_revoked(
    kind: str, stream: Server, tmp_path: Path
) -> None:
    pumps = [Device(n, f"pump-{n}", 0, n) for n in range(4)]
    lines = [Line("pump-0", pumps[:1]), Line("pump-1", pumps[1:2]), Line("simulator-pump-2", pumps[2:])]
    with dynsec_broker(tmp_path) as broker:
        async with api(stream, broker, tmp_path) as service:
            await service.register("pump-0")
            registry = Registry(service.client)
            logins = await registry.logins(lines, "simulator")
            place, ear = Broker("127.0.0.1", broker.port), Ear()
            connect = connecting(place, kind, lambda line: logins[line.client_id])
            lines[2] = Line("simulator-pump-2", pumps[2:], subscriptions=["devices/+/telemetry"])
            async with up(connect, ear, *lines) as outlets:
                outlets[0].send([(0, b"devices/pump-0/telemetry", b"0", 0), (1, b"devices/pump-1/telemetry", b"1", 0)])
                outlets[1].send([(2, b"devices/pump-1/telemetry", b"2", 0)])
                outlets[2].send([(3, b"devices/pump-3/telemetry", b"3", 0)])
                await until(lambda: len(ear.acked_at) == 4, "acknowledgements, also of what is refused")
                await until(lambda: len(ear.heard) == 3, "what is not refused")
                assert set(ear.numbers()) == {0, 2, 3}
            await registry.revoke()
            late = connect(lines[1], Ear())
            late.start()
            await until(lambda: "uthorized" in late.trouble, "the refusal")  # type: ignore[attr-defined]  # both have it
            await late.stop(0)
            assert (await service.get("/broker-accounts"))["items"] == []
            assert (await service.get("/devices/pump-1"))["id"] == "pump-1"


async def test_devices_become_ones_with_a_claim_key_over_http_and_over_mqtt(
    stream: Server, broker: Server, tmp_path: Path
) -> None:
    async with (
        running(stream, tmp_path, mqtt_host="127.0.0.1", mqtt_port=broker.port) as service,
        ingest(ingest_settings(stream, broker)),
    ):
        await until(lambda: service.app.waiting_for() == [], "ready, with the broker")
        claim = (await service.client.post("/claims", json={"pattern": "pump-*", "most": 4})).json()["key"]
        connect = connecting(Broker("127.0.0.1", broker.port), login=lambda _: USER)
        over_http = await Registry(service.client).provisioned(["pump-1", "pump-2"], claim)
        over_mqtt = await provisioned(
            connect, ["pump-3", "pump-4"], claim, nonce=lambda: secrets.token_hex(16), seconds=40
        )
        for device, login in (over_http | over_mqtt).items():
            credentials = (await service.get(f"/devices/{device}/credentials"))["items"]
            assert [item["username"] for item in credentials] == [login.username]
            assert login.password
        with pytest.raises(CredentialsError, match="valve-1: bad-device-id"):
            await provisioned(connect, ["valve-1"], claim, nonce=lambda: secrets.token_hex(16), seconds=40)
        with pytest.raises(CredentialsError, match="valve-1: 403") as refused:
            await Registry(service.client).provisioned(["valve-1"], claim)
        assert claim not in str(refused.value)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Server]:
    """Give a broker with TLS, whose certificate `good` has signed."""
    for authority in ("good", "other"):
        certify(tmp_path, authority, authority)
    certify(tmp_path, "good", "server", alternative="DNS:localhost")
    with mosquitto_broker(tmp_path) as server:
        server.kill()
        tls = f"certfile {tmp_path}/server.pem\nkeyfile {tmp_path}/server.key\n"
        server.configure("allow_anonymous true", f"allow_anonymous true\n{tls}")
        server.start()
        yield server


@pytest.mark.parametrize("kind", list(CLIENTS))
async def test_messages_go_over_tls(kind: str, secure: Server, tmp_path: Path) -> None:
    ear, trusting = Ear(), ssl.create_default_context(cafile=tmp_path / "good.pem")
    connect = connecting(Broker("localhost", secure.port, trusting), kind, window=100)
    async with up(connect, ear, Line("pump-1", [], subscriptions=["devices/#"])) as (device,):
        payload = b"1".ljust(2000)
        device.send([(n, b"devices/pump-1/telemetry", payload, 0) for n in range(500)])
        await until(lambda: len(ear.acked_at) == len(ear.heard) == 500, "everything there and back")
        device.act("drop", 0, 0)
        await until(lambda: ear.connections[device] == 2, "another connection")


async def test_a_broker_that_nobody_vouches_for_is_not_spoken_to(secure: Server, tmp_path: Path) -> None:
    wary = ssl.create_default_context(cafile=tmp_path / "other.pem")
    device = connecting(Broker("localhost", secure.port, wary))(Line("pump-2", []), Ear())
    device.start()
    await until(lambda: "certificate" in device.trouble, "the refusal")  # type: ignore[attr-defined]  # no Outlet has it
    await device.stop(0)
