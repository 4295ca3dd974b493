"""A device's profile, from its record in the bucket to what is stored, dead-lettered, counted and told."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from contracts.devices import Calibration, DeviceRecord, Metric
from tests.conftest import Server, wait_until
from tests.integration.ingest_service import counted, device, ingest, publish, reading, settings, until
from tests.integration.test_ingest_flow import put

STILL = DeviceRecord(
    1,
    "still-2",
    enabled=True,
    profile="still",
    metrics={
        "column": Metric(unit="degC", min=-10.0, max=110.0, calibration=[Calibration(offset=-0.5)]),
        "pressure": Metric(unit="hPa"),
        "column.pressure": Metric(unit="hPa"),
        "valve": Metric("boolean"),
        "batch": Metric("text"),
    },
    keep_raw=True,
)


@contextlib.contextmanager
def hearing(broker: Server, topic: str) -> Iterator[list[dict[str, Any]]]:
    """Subscribe as a device does, and give the JSON that comes."""
    heard: list[dict[str, Any]] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, "listener")
    client.on_message = lambda _, __, message: heard.append(json.loads(message.payload))
    subscribed: list[bool] = []
    client.on_subscribe = lambda *_: subscribed.append(True)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    client.subscribe(topic, 1)
    try:
        wait_until(lambda: bool(subscribed), "the subscription")
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


async def test_a_profile_decides_value_by_value(stream: Server, broker: Server) -> None:
    await put(stream, STILL)
    with hearing(broker, "devices/still-2/errors") as heard:
        async with (
            ingest(settings(stream, broker, unknown_device="quarantine")) as app,
            reading(stream) as stored,
            device(broker) as client,
        ):
            good = b'{"column": 78.5, "pressure": 998.7, "valve": "ON", "batch": "0117", "other": 1}'
            await publish(client, "devices/still-2/telemetry", good)
            await until(lambda: len(stored.readings) == 1, "the good reading")
            assert stored.readings[0].values == {
                "column": 78.0,
                "column.raw": 78.5,
                "pressure": 998.7,
                "valve": True,
                "batch": "0117",
                "other": 1.0,
            }
            bad = b'{"column": 640, "pressure": "high", "valve": "off", "batch": "a"}'
            await publish(client, "devices/still-2/telemetry", bad)
            await until(lambda: len(stored.readings) == 2 and bool(stored.letters), "what is left of the bad one")
            assert stored.readings[1].values == {"valve": False, "batch": "a"}
            [letter] = stored.letters
            assert (letter.reason, letter.payload, letter.device) == ("out_of_range", bad, "still-2")
            assert letter.detail == (
                "'column' is 639.5 degC (sent as 640); -10 to 110 is allowed; "
                "'pressure' is the text 'high'; the profile wants a number"
            )
            await until(lambda: bool(heard), "the device hears of it")
            assert heard[0]["reason"] == "out_of_range"
            assert heard[0]["sha256"] == hashlib.sha256(bad).hexdigest()[:16]
            assert counted(app, "messages", outcome="stored", reason="out_of_range") == 1


async def test_a_message_s_unit_is_brought_to_the_profile_s(stream: Server, broker: Server) -> None:
    await put(stream, STILL)
    async with (
        ingest(settings(stream, broker, unknown_device="quarantine")),
        reading(stream) as stored,
        device(broker) as client,
    ):
        for topic, payload in (("/$datatype", b"float"), ("/$unit", b"Pa"), ("", b"99870")):
            await publish(client, f"homie/still-2/column/pressure{topic}", payload)
        await until(lambda: len(stored.readings) == 1, "the reading")
        assert stored.readings[0].values == {"column.pressure": 998.7, "column.pressure.raw": 99870.0}


async def test_a_device_that_sends_too_much_is_held_to_its_rate(stream: Server, broker: Server) -> None:
    await put(stream, DeviceRecord(1, "chatty", enabled=True, profile="", message_rate="3:600"))
    async with (
        ingest(settings(stream, broker, unknown_device="quarantine")) as app,
        reading(stream) as stored,
        device(broker) as client,
    ):
        await asyncio.gather(*(publish(client, "devices/chatty/telemetry", b'{"n": %d}' % n) for n in range(10)))
        await until(lambda: counted(app, "messages", outcome="rejected", reason="rate_limited") == 7, "the excess")
        await until(lambda: len(stored.readings) == 3, "what the rate allows")
        assert stored.letters == []
