"""The fleet against real brokers."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from contracts import logs
from simulators.app import App
from simulators.running.building import Blueprint
from simulators.running.fleet import Fleet
from simulators.scenario.plain import plain
from simulators.settings import Settings
from tests.conftest import Server, wait_until
from tests.integration.ledgers import held

CONNECTIONS = 6


def settings(broker: Server, ledger: Path, **more: float) -> Settings:
    values: dict[str, object] = {"devices": 12, "rate": 20.0, "seconds": 1.0, "connections": CONNECTIONS, **more}
    return Settings(mqtt_port=broker.port, ledger=str(ledger), **values)  # type: ignore[arg-type]


def counts(ledger: Path) -> tuple[int, int]:
    found = held(ledger)
    return len(found.sent), len(found.acked)


async def started(app: App) -> Fleet:
    await app.start()
    assert app.fleet is not None
    return app.fleet


class Subscriber:
    """An MQTT client that remembers what it is sent; a persistent session, as ingest's is."""

    def __init__(self, broker: Server, *filters: str) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.client = Client(CallbackAPIVersion.VERSION2, "subscriber", clean_session=False)
        self.client.on_message = lambda _, __, message: self.messages.append((message.topic, bytes(message.payload)))
        self.client.reconnect_delay_set(1, 1)
        subscribed: list[bool] = []
        self.client.on_subscribe = lambda *_: subscribed.append(True)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        self.client.subscribe([(topic, 1) for topic in filters])
        wait_until(lambda: bool(subscribed), "the subscription")

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


async def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


async def test_everything_sent_is_acknowledged_recorded_and_arrives(broker: Server, tmp_path: Path) -> None:
    subscriber = await asyncio.to_thread(Subscriber, broker, "devices/+/telemetry")
    ledger = tmp_path / "fleet.ledger"
    app = App(settings(broker, ledger, malformed=0.1), logs.quiet())
    fleet = await started(app)
    await asyncio.wait_for(fleet.done.wait(), 40)
    assert app.waiting_for() == []
    await app.stop()
    await app.stop()
    found = held(ledger)
    assert (len(found.sent), len(found.acked)) == (240, 240)
    assert len(found.faulty) == fleet.progress.faulty > 0
    await until(lambda: len(subscriber.messages) >= 240, "all messages")
    await asyncio.to_thread(subscriber.close)
    assert sorted(crc32(payload) for _, payload in subscriber.messages) == sorted(
        found.sums[number] for number in found.sent
    )
    assert app.registry.get_sample_value("simulators_done") == 1
    assert app.registry.get_sample_value("simulators_acknowledged_total") == 240


async def test_each_device_says_online_retained_and_offline_at_the_end(broker: Server, tmp_path: Path) -> None:
    app = App(settings(broker, tmp_path / "l"), logs.quiet())
    await app.start()
    await until(lambda: app.waiting_for() == [], "the connections")
    late = await asyncio.to_thread(Subscriber, broker, "devices/+/status")
    online = {
        (f"devices/{d.id}/status", b"online") for part in Blueprint(plain(devices=12)).parts for d in part.devices
    }
    await until(lambda: set(late.messages) == online, "every device online")
    await app.stop()
    offline = {(topic, b"offline") for topic, _ in online}
    await until(lambda: set(late.messages) == online | offline, "every device offline")
    await asyncio.to_thread(late.close)


async def test_a_broker_that_is_killed_and_restarted_costs_no_message(broker: Server, tmp_path: Path) -> None:
    ledger = tmp_path / "fleet.ledger"
    app = App(settings(broker, ledger, rate=50.0, seconds=3.0), logs.quiet())
    fleet = await started(app)
    await until(lambda: fleet.progress.acked > 300, "the fleet at work")
    broker.kill()
    await until(lambda: app.waiting_for() == ["broker"], "the fleet notices")
    planned = fleet.progress.planned
    await until(lambda: fleet.progress.planned > planned + 100, "devices go on measuring")
    await asyncio.to_thread(broker.start)
    await asyncio.wait_for(fleet.done.wait(), 40)
    assert await fleet.settled(30)
    await app.stop()
    assert counts(ledger) == (1800, 1800)
    assert fleet.progress.reconnects == CONNECTIONS


async def test_the_fleet_waits_for_a_broker_that_comes_later(broker: Server, tmp_path: Path) -> None:
    broker.kill()
    app = App(settings(broker, tmp_path / "l"), logs.quiet())
    fleet = await started(app)
    assert app.waiting_for() == ["broker"]
    await asyncio.to_thread(broker.start)
    await asyncio.wait_for(fleet.done.wait(), 40)
    await app.stop()
    assert counts(tmp_path / "l") == (240, 240)


async def test_without_a_broker_it_stops_all_the_same(tmp_path: Path, broker: Server) -> None:
    broker.kill()
    app = App(settings(broker, tmp_path / "l"), logs.quiet())
    await app.stop()
    await app.start()
    await asyncio.wait_for(app.stop(), 40)
