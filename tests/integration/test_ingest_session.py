"""Ingest's session with a broker: its subscriptions over time, its share of them, what it says itself."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mqttium.api import AsyncClient

from contracts import logs
from contracts.backoff import end
from contracts.jetstream import Link
from ingest import subscriptions
from ingest.app import App
from ingest.sessions import Sessions
from tests.conftest import TOKEN, Server, mosquitto_broker, nats_broker, need
from tests.integration.ingest_service import counted, device, held, ingest, publish, reading, settings, until

START = 1_767_225_600_000


def routes(directory: Path, name: str) -> Path:
    """Write a routing table with one route: the topics `NAME/DEVICE/values`."""
    path = directory / f"{name}.toml"
    path.write_text(f'[[route]]\nname = "{name}"\nfilters = ["{name}/+/values"]\ndevice = "{{2}}"\n')
    return path


def payload(number: int) -> bytes:
    return b'{"ts": %d, "values": {"n": %d}}' % (START + number, number)


def messages(app: App) -> float:
    """Count the messages of which something became."""
    [family] = [family for family in app.registry.collect() if family.name == "ingest_messages"]
    return sum(sample.value for sample in family.samples if sample.name == "ingest_messages_total")


async def remembered(stream: Server, client_id: str) -> frozenset[str]:
    link = await Link(stream.nats_url, TOKEN, "reader", logs.quiet()).connect()
    try:
        return await Sessions(link, client_id, logs.quiet()).load()
    finally:
        await link.close()


@contextlib.asynccontextmanager
async def listening(broker: Server, topic: str) -> AsyncIterator[list[tuple[bytes, bool]]]:
    """Subscribe with another client; gives the payloads that come, and whether each was retained."""
    came: list[tuple[bytes, bool]] = []
    client = AsyncClient("listener", clean_start=True)
    await client.connect("127.0.0.1", broker.port)
    await client.subscribe(topic, qos=1)

    async def listen() -> None:
        async for message in client.messages():
            came.append((bytes(message.payload), message.retain))  # noqa: PERF401 - they are looked at meanwhile

    task = asyncio.create_task(listen())
    try:
        yield came
    finally:
        await end([task])
        await client.disconnect()


async def test_messages_that_wait_under_a_filter_of_an_earlier_run_come_before_it_is_ended(
    stream: Server, broker: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nats-server drops what waits for a subscription that is ended."""
    monkeypatch.setattr(subscriptions, "QUIET_S", 1.0)
    before, after = (
        settings(stream, broker, routes=routes(tmp_path, name), unknown_device="register") for name in ("old", "new")
    )
    async with ingest(before):
        assert "old/+/values" in await remembered(stream, "ingest")
    async with device(broker) as client:
        for number in range(2000):
            await publish(client, "old/a/values", payload(number))
        async with ingest(after) as app:
            assert {"old/+/values", "new/+/values"} <= await remembered(stream, "ingest")
            await until(lambda: messages(app) == 2000, "all that waited")
            async with asyncio.timeout(40):
                while "old/+/values" in await remembered(stream, "ingest"):
                    await asyncio.sleep(0.05)
            await publish(client, "old/a/values", payload(2000))
            await publish(client, "new/a/values", payload(2001))
            await until(lambda: counted(app, "readings_stored") >= 1, "the new filter's")
            assert messages(app) == 2001
            assert "new/+/values" in await remembered(stream, "ingest")


async def test_filters_change_while_it_runs(stream: Server, broker: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "QUIET_S", 0.2)
    async with ingest(settings(stream, broker)) as app, device(broker) as client:
        app._session.follow(["devices/+/telemetry", "extra/+/state"])  # noqa: SLF001 - as discovery does
        async with asyncio.timeout(40):
            while await remembered(stream, "ingest") != {"devices/+/telemetry", "extra/+/state"}:
                await asyncio.sleep(0.05)
        await publish(client, "extra/a/state", b'{"n": 1}')
        await publish(client, "devices/a/telemetry", b'{"n": 1}')
        await until(lambda: messages(app) == 2, "both")
        app._session.follow(["devices/+/telemetry"])  # noqa: SLF001 - as before
        async with asyncio.timeout(40):
            while await remembered(stream, "ingest") != {"devices/+/telemetry"}:
                await asyncio.sleep(0.05)
        await publish(client, "extra/a/state", b'{"n": 2}')
        await publish(client, "devices/a/telemetry", b'{"n": 2}')
        await until(lambda: messages(app) == 3, "the one that is followed")


async def test_a_message_that_two_filters_take_comes_once_where_one_covers_the_other(
    stream: Server, broker: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "QUIET_S", 0.2)
    await each_once(stream, broker, "3.1.1")


async def test_with_mqtt_5_too(stream: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "QUIET_S", 0.2)
    with mosquitto_broker(tmp_path) as broker:
        await each_once(stream, broker, "5")


async def each_once(stream: Server, broker: Server, protocol: str) -> None:
    async with ingest(settings(stream, broker, mqtt_protocol=protocol)) as app, device(broker) as client:
        app._session.follow(["devices/+/telemetry", "devices/#", "devices/a/+"])  # noqa: SLF001 - as discovery does
        async with asyncio.timeout(40):
            while await remembered(stream, "ingest") != {"devices/#"}:
                await asyncio.sleep(0.05)
        await publish(client, "devices/a/telemetry", b'{"n": 1}')
        await publish(client, "devices/a/other", b'{"n": 1}')
        await until(lambda: messages(app) == 2 and held(app) == 0, "each once")
        assert counted(app, "readings_stored") == 1


async def test_several_processes_share_the_messages_and_one_that_is_away_loses_none(
    stream: Server, tmp_path: Path
) -> None:
    with mosquitto_broker(tmp_path) as broker:
        one, other = (
            settings(stream, broker, shared_group="all", client_id=name, mqtt_protocol=protocol)
            for name, protocol in (("one", "3.1.1"), ("other", "5"))
        )
        async with ingest(one) as first, device(broker) as client, reading(stream) as stored:
            async with ingest(other) as second:
                for number in range(200):
                    await publish(client, f"devices/d{number % 10}/telemetry", payload(number))
                await until(lambda: messages(first) + messages(second) == 200, "all of them, once")
                assert messages(first) > 0
                assert messages(second) > 0
            for number in range(200, 400):
                await publish(client, f"devices/d{number % 10}/telemetry", payload(number))
            async with ingest(other):
                await until(lambda: {r.values["n"] for r in stored.readings} == set(range(400)), "all of them")


async def test_a_broker_without_shared_subscriptions_is_told_by_name(
    stream: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nats-server accepts such a subscription, and sends nothing by it."""
    monkeypatch.setattr(subscriptions, "PROVE_S", 0.5)
    with nats_broker(tmp_path) as broker:
        given = settings(stream, broker, shared_group="all")
        async with ingest(given, ready=False) as app:
            await until(lambda: app.waiting_for() == ["broker with shared subscriptions"], "is not ready")


async def test_its_status_is_retained_and_the_broker_says_it_where_it_cannot(stream: Server, broker: Server) -> None:
    given = settings(stream, broker, mqtt_status_topic="ingest/{client_id}/status")
    async with listening(broker, "ingest/+/status") as came:
        async with ingest(given) as app:
            await until(lambda: [text for text, _ in came] == [b"online"], "online")
            connection = app._session._connection  # noqa: SLF001 - to cut it, as a fault of the network would
            assert connection is not None
            connection.end("cut")
            await until(lambda: [text for text, _ in came][1:] == [b"offline", b"online"], "lost, and back")
        await until(lambda: [text for text, _ in came][3:] == [b"offline"], "gone")
    async with listening(broker, "ingest/+/status") as came:
        await until(lambda: came == [(b"offline", True)], "retained")


async def test_what_it_sends_goes_out_at_once_or_is_counted(stream: Server, broker: Server) -> None:
    async with listening(broker, "devices/+/errors") as came, ingest(settings(stream, broker)) as app:
        app._session.send("devices/a/errors", b"1")  # noqa: SLF001 - as the pipeline does
        await until(lambda: [text for text, _ in came] == [b"1"], "sent")
        app._session.send("devices/#/errors", b"2")  # noqa: SLF001
        assert counted(app, "unsent", reason="bad_topic") == 1
        broker.kill()
        await until(lambda: app.waiting_for() == ["broker"], "sees that the broker has gone")
        app._session.send("devices/a/errors", b"3")  # noqa: SLF001
        assert counted(app, "unsent", reason="disconnected") == 1
        broker.start()
        await until(lambda: app.waiting_for() == [], "connected again")


async def test_messages_of_every_quality_of_service_are_stored(stream: Server, broker: Server) -> None:
    async with ingest(settings(stream, broker)) as app, device(broker) as client:
        for qos in (0, 1, 2):
            receipt = await client.publish("devices/a/telemetry", payload(qos), qos=qos)
            await receipt.wait()
        await until(lambda: counted(app, "readings_stored") == 3 and held(app) == 0, "three readings")


async def test_mqtt_5_properties_are_kept_with_a_dead_letter(stream: Server, tmp_path: Path) -> None:
    with mosquitto_broker(tmp_path) as broker:
        async with ingest(settings(stream, broker, mqtt_protocol="5")), reading(stream) as stored:
            program = need("mosquitto_pub", "mosquitto-clients")
            said = ("-D", "publish", "user-property", "line", "7", "-D", "publish", "content-type", "application/json")
            where = ("-h", "127.0.0.1", "-p", str(broker.port), "-t", "devices/a/telemetry", "-m", "{", "-q", "1")
            await asyncio.to_thread(subprocess.run, [program, "-V", "mqttv5", *where, *said], check=True)
            await until(lambda: len(stored.letters) == 1, "the dead letter")
            assert stored.letters[0].properties == {"line": "7", "content-type": "application/json"}
