"""The fleet against real brokers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from contracts import logs
from simulators.app import App
from simulators.entries import Entries, Totals
from simulators.fleet import fleet
from simulators.settings import Settings
from tests.conftest import Server, wait_until


def settings(broker: Server, ledger: Path, **more: float) -> Settings:
    values: dict[str, object] = {"devices": 12, "rate": 20.0, "seconds": 1.0, "connections": 5, **more}
    return Settings(mqtt_port=broker.port, ledger=str(ledger), **values)  # type: ignore[arg-type]


def totals(ledger: Path) -> Totals:
    with Entries(ledger) as entries:
        return entries.totals()


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
    ledger = tmp_path / "ledger.sqlite3"
    app = App(settings(broker, ledger, malformed=0.1), logs.quiet())
    await app.start()
    assert app.sender is not None
    await asyncio.wait_for(app.sender.done.wait(), 40)
    assert app.waiting_for() == []
    await app.stop()
    await app.stop()
    found = totals(ledger)
    assert (found.published, found.acked) == (240, 240)
    assert found.malformed == app.sender.progress.malformed > 0
    with Entries(ledger) as entries:
        sent = {(f"devices/{e.device}/telemetry", e.payload) for part in entries.parts() for e in entries.of(part)}
    await until(lambda: len(subscriber.messages) >= 240, "all messages")
    await asyncio.to_thread(subscriber.close)
    assert set(subscriber.messages) == sent
    assert len(subscriber.messages) == 240
    assert app.registry.get_sample_value("simulators_done") == 1
    assert app.registry.get_sample_value("simulators_acknowledged_total") == 240


async def test_each_device_says_online_retained_and_offline_at_the_end(broker: Server, tmp_path: Path) -> None:
    app = App(settings(broker, tmp_path / "l"), logs.quiet())
    await app.start()
    await until(lambda: app.waiting_for() == [], "the connections")
    late = await asyncio.to_thread(Subscriber, broker, "devices/+/status")
    online = {(f"devices/{d.id}/status", b"online") for d in fleet(1, 12)}
    await until(lambda: set(late.messages) == online, "every device online")
    await app.stop()
    offline = {(topic, b"offline") for topic, _ in online}
    await until(lambda: set(late.messages) == online | offline, "every device offline")
    await asyncio.to_thread(late.close)


async def test_a_broker_that_is_killed_and_restarted_costs_no_message(broker: Server, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite3"
    app = App(settings(broker, ledger, rate=50.0, seconds=4.0), logs.quiet())
    await app.start()
    sender = app.sender
    assert sender is not None
    await until(lambda: sender.progress.acked > 300, "the fleet at work")
    broker.kill()
    await until(lambda: app.waiting_for() == ["broker"], "the fleet notices")
    acked = sender.progress.acked
    await until(lambda: sender.progress.published > acked + 100, "devices go on measuring")
    await asyncio.to_thread(broker.start)
    await asyncio.wait_for(sender.done.wait(), 40)
    assert await app.settled(20)
    await app.stop()
    assert (totals(ledger).published, totals(ledger).acked) == (2400, 2400)
    assert app.reconnects == 5


async def test_the_fleet_waits_for_a_broker_that_comes_later(broker: Server, tmp_path: Path) -> None:
    broker.kill()
    app = App(settings(broker, tmp_path / "l"), logs.quiet())
    await app.start()
    assert app.waiting_for() == ["broker"]
    await asyncio.to_thread(broker.start)
    assert app.sender is not None
    await asyncio.wait_for(app.sender.done.wait(), 40)
    await app.stop()
    assert totals(tmp_path / "l").acked == 240


async def test_without_a_broker_it_stops_all_the_same(tmp_path: Path, broker: Server) -> None:
    broker.kill()
    app = App(settings(broker, tmp_path / "l"), logs.quiet())
    await app.stop()
    await app.start()
    await asyncio.wait_for(app.stop(), 40)


SIMULATE = """
import typer
from simulators.cli import simulate
app = typer.Typer()
app.command()(simulate)
app()
"""


def simulate(broker: Server, ledger: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SIMULATE, "--mqtt-port", str(broker.port), "--ledger", str(ledger), *more]
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root}
    )


def test_simulate_prints_a_summary_and_one_json_line(broker: Server, tmp_path: Path) -> None:
    process = simulate(broker, tmp_path / "l", "--devices", "5", "--rate", "20", "--seconds", "1", "--malformed", "0.2")
    output, errors = process.communicate(timeout=40)
    assert (process.returncode, errors) == (0, "")
    result = json.loads(output.splitlines()[-1])
    assert (result["published"], result["acked"], result["interrupted"]) == (100, 100, False)
    assert totals(tmp_path / "l").malformed == result["malformed"] > 0


def test_ctrl_c_stops_simulate_cleanly_and_loses_no_entry(broker: Server, tmp_path: Path) -> None:
    process = simulate(broker, tmp_path / "l", "--devices", "20", "--rate", "50")
    wait_until(lambda: (tmp_path / "l").exists() and totals_or_zero(tmp_path / "l") > 500, "the fleet at work")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=40)
    assert (process.returncode, errors) == (0, "")
    result = json.loads(output.splitlines()[-1])
    found = totals(tmp_path / "l")
    assert (found.published, found.acked) == (result["published"], result["acked"])
    assert found.published == found.acked


def totals_or_zero(ledger: Path) -> int:
    try:
        return totals(ledger).published
    except Exception:  # noqa: BLE001 - it is being made
        return 0
