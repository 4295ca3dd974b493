"""Devices' connections, of both kinds, with real brokers: order, what is sent again, and what goes wrong on purpose."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.connections.clients import CLIENTS
from simulators.connections.limits import allow_connections
from simulators.connections.outlet import Connect, Line, Listener, Outgoing, Outlet
from simulators.connections.parties import Broker, Login
from simulators.formats.wire import Will
from simulators.plan.batch import RETAIN
from tests.conftest import Server, mosquitto_broker, need
from tests.integration.device_ear import Ear, connecting
from tests.integration.registry_service import until


class Place:
    """Makes connections of one kind to one broker."""

    def __init__(self, connect: Connect, other: Connect) -> None:
        self._connect, self._other = connect, other
        self.made: list[Outlet] = []

    async def up(self, line: Line, ear: Listener) -> Outlet:
        return await self._started(self._connect(line, ear), line)

    async def watcher(self, topic: str, client_id: str = "watcher") -> Ear:
        ear, line = Ear(), Line(client_id, [], subscriptions=[topic])
        await self._started(self._other(line, ear), line)
        return ear

    async def _started(self, outlet: Outlet, line: Line) -> Outlet:
        self.made.append(outlet)
        outlet.start()
        await until(lambda: outlet.up, f"{line.client_id} to be connected")
        return outlet


@pytest.fixture(params=list(CLIENTS))
async def place(request: pytest.FixtureRequest, broker: Server) -> AsyncIterator[Place]:
    there = Broker("127.0.0.1", broker.port)
    place = Place(connecting(there, request.param, window=50, keepalive=2), connecting(there))
    yield place
    await asyncio.gather(*(outlet.stop(1) for outlet in place.made))


def messages(numbers: range, size: int = 0) -> list[Outgoing]:
    return [(number, b"devices/pump-1/telemetry", (b"%d" % number).ljust(size), 0) for number in numbers]


async def test_messages_come_in_order_and_again_after_connections_were_reset(place: Place) -> None:
    ear = Ear()
    device, watching = await place.up(Line("pump-1", []), ear), await place.watcher("devices/+/telemetry")
    for time_ in range(3):
        first = time_ * 500
        device.send(messages(range(first, first + 500)))
        await until(lambda: len(ear.acked_at) > first + 100, "some acknowledgements")  # noqa: B023 - awaited at once
        device.act("drop", 0, 0)
        await until(lambda: len(ear.losses) == time_ + 1, "the loss")  # noqa: B023 - as above
    await until(lambda: len(ear.acked_at) == 1500, "all acknowledgements")
    await until(lambda: len(watching.numbers()) == 1500, "all messages")
    assert watching.numbers() == list(range(1500))
    assert (device.unacked, len(ear.sent_at)) == (0, 1500)
    assert all(ear.acked_at[number] >= ear.sent_at[number] for number in range(1500))


async def test_everything_is_acknowledged_though_the_broker_was_killed(place: Place, broker: Server) -> None:
    ear = Ear()
    device = await place.up(Line("pump-1", []), ear)
    device.send(messages(range(1000)))
    await until(lambda: len(ear.acked_at) > 100, "some acknowledgements")
    broker.kill()
    await until(lambda: not device.up, "the loss")
    device.send(messages(range(1000, 1100)))
    await asyncio.to_thread(broker.start)
    await until(lambda: len(ear.acked_at) == 1100, "all acknowledgements")
    assert ear.connections[device] == 2


async def test_a_half_open_connection_seems_up_until_the_broker_gives_it_up(place: Place) -> None:
    ear, will = Ear(), Will(b"devices/pump-1/status", b'"gone"', retain=False)
    device = await place.up(Line("pump-1", [], lambda: will), ear)
    watching = await place.watcher("devices/#")
    device.act("silent", 60, 0)
    device.send(messages(range(3)))
    await until(lambda: bool(watching.heard), "the will")
    assert watching.heard == [("devices/pump-1/status", b'"gone"')]
    assert device.up
    assert (device.unacked, ear.losses) == (3, [])
    device.act("silent", 0, 0)
    await until(lambda: len(ear.acked_at) == 3, "the acknowledgements, on another connection")
    assert ear.connections[device] == 2


async def test_a_slow_publisher_takes_its_time(place: Place) -> None:
    ear = Ear()
    device, watching = await place.up(Line("pump-1", []), ear), await place.watcher("devices/+/telemetry")
    device.act("slow", 60, 2000)
    began = time.monotonic()
    device.send(messages(range(5), size=200))
    await until(lambda: len(watching.heard) == 5, "the messages")
    assert time.monotonic() - began > 0.4
    device.act("slow", 0, 0)
    device.send(messages(range(5, 100), size=200))
    await until(lambda: len(ear.acked_at) == 100, "the rest, at once", 5)
    assert not ear.losses


async def test_a_device_that_is_away_has_no_will_and_is_back(place: Place) -> None:
    ear, will = Ear(), Will(b"devices/pump-1/status", b'"gone"')
    device, watching = await place.up(Line("pump-1", [], lambda: will), ear), await place.watcher("devices/#")
    device.act("away", 0.2, 0)
    await until(lambda: not device.up, "that it is gone")
    device.send([(0, b"devices/pump-1/telemetry", b"0", 0), (1, b"devices/pump-1/status", b"1", RETAIN)])
    await until(lambda: len(ear.acked_at) == 2, "the acknowledgements")
    await until(lambda: len(watching.heard) == 2, "the messages")
    late = await place.watcher("devices/#", "late")
    await until(lambda: bool(late.heard), "what is retained")
    assert [payload for _, payload in [*watching.heard, *late.heard]] == [b"0", b"1", b"1"]


@pytest.mark.parametrize("kind", list(CLIENTS))
async def test_who_shows_a_wrong_password_is_refused_until_it_is_right(kind: str, tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    make = [need("mosquitto_passwd", "mosquitto"), "-c", "-b", str(passwords), "pump", "a-right-one"]
    await asyncio.to_thread(subprocess.run, make, check=True)
    with mosquitto_broker(tmp_path) as broker:
        broker.configure("allow_anonymous true", f"allow_anonymous false\npassword_file {passwords}")
        broker.kill()
        broker.start()
        ear, connect = Ear(), connecting(Broker("127.0.0.1", broker.port), kind, lambda _: Login("pump", "a-right-one"))
        device = connect(Line("pump-1", []), ear)
        device.start()
        await until(lambda: device.up, "that it is let in")
        device.act("wrong_credentials", 1, 0)
        await until(lambda: "uthorized" in device.trouble, "the refusal")  # type: ignore[attr-defined]  # both have it
        device.send(messages(range(3)))
        await until(lambda: len(ear.acked_at) == 3, "the acknowledgements")
        assert ear.connections[device] == 2
        await device.stop(1)


@pytest.mark.parametrize("count", [2000, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_thousands_of_devices_have_their_own_connections(count: int, tmp_path: Path) -> None:
    allow_connections(count)
    with mosquitto_broker(tmp_path) as broker:
        ear, connect = Ear(), connecting(Broker("127.0.0.1", broker.port))
        devices = [connect(Line(f"pump-{n}", []), ear) for n in range(count)]
        for device in devices:
            device.start()
        await until(lambda: len(ear.connections) == count, "all connections", count / 100)
        for n, device in enumerate(devices):
            device.send([(n, b"devices/pump-%d/telemetry" % n, b"1", 0)])
        await until(lambda: len(ear.acked_at) == count, "all acknowledgements", count / 100)
        await asyncio.gather(*(device.stop(1) for device in devices))
        assert ear.losses == ["left"] * count
