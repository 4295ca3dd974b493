"""Topics that firmware announces by Home Assistant discovery, between a real broker and a real stream."""

import json
from pathlib import Path

from contracts.readings import Reading, Value
from deploy.local.servers import FILTER_WINDOW, SESSION_WINDOW
from ingest.app import App
from tests.conftest import Server, mosquitto_broker, nats_broker
from tests.integration.ingest_service import device, held, ingest, publish, reading, settings, until

BASE = "distillery/still-9"
EARLY = "homeassistant/sensor/still-9/column/config"
LATE = "homeassistant/binary_sensor/still-9/valve/config"


def config(**more: str) -> bytes:
    return json.dumps({"~": BASE, "dev": {"ids": ["still9"]}} | more).encode()


def told(readings: list[Reading]) -> list[tuple[str, dict[str, Value]]]:
    return [(one.device, one.values) for one in readings]


def subscribed(app: App, topic: str) -> bool:
    return topic in app._session._subscriptions._made  # noqa: SLF001 - brokers do not say what they have of a session


async def test_what_is_announced_before_and_while_ingest_runs_is_read_and_after_a_restart_still(
    stream: Server, broker: Server
) -> None:
    await before_and_while_and_after(stream, broker, "3.1.1")


async def test_with_mqtt_5_a_restart_rests_on_what_is_remembered(tmp_path: Path, stream: Server) -> None:
    """The broker does not send retained configs again for subscriptions that it has."""
    with mosquitto_broker(tmp_path) as broker:
        await before_and_while_and_after(stream, broker, "5")


async def before_and_while_and_after(stream: Server, broker: Server, protocol: str) -> None:
    given = settings(stream, broker, mqtt_protocol=protocol)
    column, valve = ("still9", {"column": 78.5}), ("still9", {"valve": True})
    async with device(broker) as client:
        early = config(stat_t="~/tele", val_tpl="{{ value_json.c.t }}", unit_of_meas="°C")
        await publish(client, EARLY, early, retain=True)
        async with ingest(given) as app, reading(stream) as stored:
            await until(lambda: subscribed(app, f"{BASE}/tele"), "subscribed to what was announced before")
            await publish(client, f"{BASE}/tele", b'{"c": {"t": 78.5}}')
            await until(lambda: told(stored.readings) == [column], "read")
            await publish(client, LATE, config(stat_t="~/valve", avty_t="~/lwt"), retain=True)
            await until(lambda: subscribed(app, f"{BASE}/valve"), "subscribed to what is announced now")
            await publish(client, f"{BASE}/valve", b"ON")
            await publish(client, f"{BASE}/lwt", b"offline")
            await until(lambda: told(stored.readings) == [column, valve], "read too")
            await until(lambda: "offline" in {one.state for one in stored.presences}, "gone")
            await until(lambda: held(app) == 0, "acknowledged")
        async with ingest(given) as app, reading(stream) as stored:
            await publish(client, f"{BASE}/tele", b'{"c": {"t": 79}}')
            await until(lambda: told(stored.readings)[2:] == [("still9", {"column": 79.0})], "read after a restart")
            await publish(client, EARLY, b"", retain=True)
            await until(lambda: not subscribed(app, f"{BASE}/tele"), "subscribed no more")
            await publish(client, f"{BASE}/tele", b'{"c": {"t": 80}}')
            await publish(client, f"{BASE}/valve", b"OFF")
            await until(lambda: told(stored.readings)[3:] == [("still9", {"valve": False})], "only the other is read")


async def test_topics_beyond_what_a_broker_takes_leave_the_others_alone(tmp_path: Path, stream: Server) -> None:
    """nats-server refuses the subscriptions that pass its window for a session."""
    cells = {f"cell{n:03}": {"p": "sensor", "stat_t": f"{BASE}/{n:03}"} for n in range(SESSION_WINDOW // FILTER_WINDOW)}
    with nats_broker(tmp_path) as broker:
        async with (
            ingest(settings(stream, broker)) as app,
            reading(stream) as stored,
            device(broker) as client,
        ):
            whole = json.dumps({"dev": {"ids": ["still9"]}, "cmps": cells}).encode()
            await publish(client, "homeassistant/device/still-9/config", whole)
            await until(lambda: subscribed(app, f"{BASE}/000"), "subscribed to the first")
            await publish(client, f"{BASE}/000", b"3.5")
            await until(lambda: told(stored.readings) == [("still9", {"cell000": 3.5})], "read")
            await publish(client, "devices/a/telemetry", b'{"n": 1}')
            await until(lambda: told(stored.readings)[1:] == [("a", {"n": 1.0})], "read as ever")
            assert not subscribed(app, f"{BASE}/{len(cells) - 1:03}")
            assert app.waiting_for() == []
