"""Ingest between a real broker and a real stream."""

import asyncio
import signal
from pathlib import Path

from contracts import logs, streams
from contracts.deadletters import DEAD_LETTER
from contracts.devices import DeviceRecord, encode_record, kv_key
from contracts.jetstream import Link, Publisher, ensure_bucket
from deploy.local import servers
from ingest.app import FSYNC, App
from tests.conftest import TOKEN, Server, free_port, mosquitto_broker, nats_broker, stream_server
from tests.integration.ingest_service import counted, device, held, ingest, publish, reading, settings, until

MOMENT = 1_767_225_600_250_000_000


async def test_every_form_of_reading_reaches_the_stream(stream: Server, broker: Server) -> None:
    await every_form(stream, broker, "3.1.1")


async def test_mqtt_5_works_where_the_broker_speaks_it(tmp_path: Path, stream: Server) -> None:
    with mosquitto_broker(tmp_path) as broker:
        await every_form(stream, broker, "5")


async def every_form(stream: Server, broker: Server, protocol: str) -> None:
    async with (
        ingest(settings(stream, broker, mqtt_protocol=protocol)) as app,
        reading(stream) as stored,
        device(broker) as client,
    ):
        await publish(client, "devices/a/telemetry", b'{"soil": 31.4, "open": true}')
        await publish(client, "devices/a/telemetry", b'{"ts": 1767225600250, "values": {"soil": 31.2}}')
        await publish(client, "devices/a/telemetry", b'[{"ts": 1767225600250, "soil": 1}, {"soil": 2}]')
        await publish(client, "devices/a/telemetry/wind", b"4.75")
        await publish(client, "devices/a/status", b"online")
        await until(lambda: len(stored.readings) == 5, "five readings")
        assert [r.values for r in stored.readings] == [
            {"soil": 31.4, "open": True},
            {"soil": 31.2},
            {"soil": 1.0},
            {"soil": 2.0},
            {"wind": 4.75},
        ]
        assert [r.ts == MOMENT for r in stored.readings] == [False, True, True, False, False]
        await until(lambda: len(stored.presences) == 2, "seen and online")
        assert {p.state for p in stored.presences} == {"seen", "online"}
        await until(lambda: held(app) == 0, "all acknowledged")


async def test_malformed_messages_become_dead_letters_and_their_neighbours_are_stored(
    stream: Server, broker: Server
) -> None:
    async with ingest(settings(stream, broker)) as app, reading(stream) as stored, device(broker) as client:
        for number in range(300):
            good = b'{"ts": %d, "values": {"n": %d}}' % (1_767_225_600_000 + number, number)
            await client.publish("devices/a/telemetry", b'{"n": ' if number % 10 == 3 else good, qos=1)
        await until(lambda: len(stored.readings) == 270 and len(stored.letters) == 30, "all of them")
        assert [r.values["n"] for r in stored.readings] == [float(n) for n in range(300) if n % 10 != 3]
        assert {(x.reason, x.topic, x.payload, x.device) for x in stored.letters} == {
            ("malformed", "devices/a/telemetry", b'{"n": ', "a")
        }
        assert counted(app, "messages", outcome="stored", reason="") == 270
        assert counted(app, "messages", outcome="rejected", reason="malformed") == 30


async def test_no_puback_while_the_stream_does_not_answer_and_all_of_it_when_it_does(
    stream: Server, broker: Server
) -> None:
    async with ingest(settings(stream, broker)) as app, reading(stream) as stored, device(broker) as client:
        await publish(client, "devices/a/telemetry", b'{"ts": 1767225600000, "values": {"n": 0}}')
        await until(lambda: len(stored.readings) == 1 and held(app) == 0, "the first reading")
        assert stream.process is not None
        stream.process.send_signal(signal.SIGSTOP)
        try:
            for number in range(1, 51):
                payload = b'{"ts": %d, "values": {"n": %d}}' % (1_767_225_600_000 + number, number)
                await publish(client, "devices/a/telemetry", payload)
            await until(lambda: held(app) == 50, "held")
            if "nats" in broker.command[0]:  # it sends again what is not acknowledged for some seconds
                await until(lambda: counted(app, "redelivered") >= 50, "sent again")
            assert held(app) == 50
            assert counted(app, "readings_stored") == 1
        finally:
            stream.process.send_signal(signal.SIGCONT)
        await until(lambda: held(app) == 0, "acknowledged")
        await until(
            lambda: {r.ts for r in stored.readings} == {1_767_225_600_000_000_000 + n * 10**6 for n in range(51)}, "all"
        )
        assert counted(app, "readings_stored") == 51


async def test_what_an_ingest_that_died_had_not_acknowledged_comes_to_the_next(stream: Server, broker: Server) -> None:
    given = settings(stream, broker, drain_seconds=1)
    async with device(broker) as client:
        async with ingest(given) as app:
            assert stream.process is not None
            stream.process.send_signal(signal.SIGSTOP)
            for number in range(20):
                payload = b'{"ts": %d, "values": {"n": %d}}' % (1_767_225_600_000 + number, number)
                await publish(client, "devices/a/telemetry", payload)
            await until(lambda: held(app) == 20, "held")
        stream.process.send_signal(signal.SIGCONT)
        await publish(client, "devices/a/telemetry", b'{"ts": 1767225600020, "values": {"n": 20}}')
        async with ingest(given) as app, reading(stream) as stored:
            await until(lambda: len({r.ts for r in stored.readings}) == 21, "all readings")
            await until(lambda: held(app) == 0, "acknowledged")


async def test_what_waits_for_room_is_stored_when_ingest_is_stopped(stream: Server, broker: Server) -> None:
    """At QoS 0 nobody sends it again."""
    async with ingest(settings(stream, broker, receive_window=64)) as app, device(broker) as client:
        assert stream.process is not None
        stream.process.send_signal(signal.SIGSTOP)
        try:
            for number in range(100):
                await client.publish(
                    "devices/a/telemetry", b'{"ts": %d, "n": %d}' % (MOMENT + number, number), qos=number % 2
                )
            waiting = app._session._waiting  # noqa: SLF001 - nobody else knows
            await until(lambda: len(waiting) == 100 - 64, "as many as there is room for are taken, and the others wait")
        finally:
            stream.process.send_signal(signal.SIGCONT)
    async with reading(stream) as stored:
        await until(lambda: len(stored.readings) >= 100, "all of them")
        assert {reading.values["n"] for reading in stored.readings} == {float(number) for number in range(100)}


async def test_a_killed_stream_server_loses_nothing(stream: Server, broker: Server) -> None:
    async with ingest(settings(stream, broker)) as app, device(broker) as client:
        for number in range(400):
            if number == 100:
                stream.kill()
            if number == 300:
                stream.start()
            payload = b'{"ts": %d, "values": {"n": %d}}' % (1_767_225_600_000 + number, number)
            await publish(client, "devices/a/telemetry", payload)
        await until(lambda: held(app) == 0 and app.waiting_for() == [], "all acknowledged")
        async with reading(stream) as stored:
            await until(lambda: len({r.ts for r in stored.readings}) == 400, "all readings")


async def test_a_killed_broker_is_connected_again_and_its_session_goes_on(stream: Server, broker: Server) -> None:
    async with ingest(settings(stream, broker)) as app, reading(stream) as stored:
        async with device(broker) as client:
            await publish(client, "devices/a/telemetry", b'{"ts": 1767225600000, "values": {"n": 0}}')
        await until(lambda: len(stored.readings) == 1, "the first reading")
        broker.kill()
        await until(lambda: app.waiting_for() == ["broker"], "sees that the broker has gone")
        broker.start()
        await until(lambda: app.waiting_for() == [], "connected again")
        async with device(broker) as client:
            for number in range(1, 101):
                payload = b'{"ts": %d, "values": {"n": %d}}' % (1_767_225_600_000 + number, number)
                await publish(client, "devices/a/telemetry", payload)
        await until(lambda: len({r.ts for r in stored.readings}) == 101, "all readings")
        await until(lambda: held(app) == 0, "acknowledged")


async def test_a_broker_that_dies_while_messages_are_held_gets_no_puback_for_others(
    stream: Server, broker: Server
) -> None:
    """After its restart a broker gives packet identifiers anew: an old acknowledgement must not meet a new message."""
    async with ingest(settings(stream, broker)) as app, reading(stream) as stored:
        async with device(broker) as client:
            await publish(client, "devices/a/telemetry", b'{"ts": 1767225600000, "values": {"n": 0}}')
            await until(lambda: len(stored.readings) == 1 and held(app) == 0, "the first reading")
            assert stream.process is not None
            stream.process.send_signal(signal.SIGSTOP)
            for number in range(1, 31):
                payload = b'{"ts": %d, "values": {"n": %d}}' % (1_767_225_600_000 + number, number)
                await publish(client, "devices/a/telemetry", payload)
            await until(lambda: held(app) == 30, "held")
        broker.kill()
        await until(lambda: "broker" in app.waiting_for(), "sees that the broker has gone")
        broker.start()
        await until(lambda: "broker" not in app.waiting_for(), "connected again")
        async with device(broker) as client:
            for number in range(31, 61):
                payload = b'{"ts": %d, "values": {"n": %d}}' % (1_767_225_600_000 + number, number)
                await publish(client, "devices/a/telemetry", payload)
        stream.process.send_signal(signal.SIGCONT)
        await until(lambda: len({r.ts for r in stored.readings}) == 61, "all readings")
        await until(lambda: held(app) == 0, "acknowledged")


async def test_a_reading_without_a_time_that_is_sent_again_is_the_same_point(stream: Server, broker: Server) -> None:
    async with ingest(settings(stream, broker)) as app, reading(stream) as stored, device(broker) as client:
        await publish(client, "devices/a/telemetry", b'{"n": 0}')
        await until(lambda: len(stored.readings) == 1 and held(app) == 0, "the first reading")
        assert stream.process is not None
        stream.process.send_signal(signal.SIGSTOP)
        await publish(client, "devices/a/telemetry", b'{"n": 1}')
        await until(lambda: held(app) == 1, "held")
        await app._session.close()  # noqa: SLF001 - the connection ends, as by a fault of the network
        await until(lambda: held(app) == 2, "sent again over the new connection")
        stream.process.send_signal(signal.SIGCONT)
        await until(lambda: held(app) == 0, "acknowledged")
        await until(lambda: len(stored.readings) >= 3, "stored twice")
        assert len({r.ts for r in stored.readings if r.values == {"n": 1.0}}) == 1


async def test_copies_that_wait_through_a_stall_are_the_same_points(tmp_path: Path, stream: Server) -> None:
    """nats-server sends again every five seconds what is not acknowledged; once a cycle is full, that piles up."""
    text = b"x" * 8000
    with nats_broker(tmp_path) as broker:
        given = settings(stream, broker)
        async with ingest(given) as app, reading(stream) as stored, device(broker) as client:
            await publish(client, "devices/a/telemetry", b'{"n": 0}')
            await until(lambda: len(stored.readings) == 1 and held(app) == 0, "the first reading")
            assert stream.process is not None
            stream.process.send_signal(signal.SIGSTOP)
            for number in range(1, 2501):
                await publish(client, "devices/a/telemetry", b'{"n": %d, "x": "%b"}' % (number, text))
            await until(lambda: counted(app, "redelivered") > 2000, "sent again")
            stream.process.send_signal(signal.SIGCONT)
            await until(lambda: held(app) == 0, "all taken")
            await until(lambda: len({r.values["n"] for r in stored.readings}) == 2501, "stored")
        assert len({(r.ts, r.values["n"]) for r in stored.readings}) == 2501


async def test_a_stream_that_somebody_deletes_is_made_again(stream: Server, broker: Server) -> None:
    async with ingest(settings(stream, broker)) as app, device(broker) as client:
        link = await Link(stream.nats_url, TOKEN, "vandal", logs.quiet()).connect()
        await link.js.delete_stream("TELEMETRY")
        await link.close()
        await publish(client, "devices/a/telemetry", b'{"n": 1}')
        await until(lambda: counted(app, "readings_stored") == 1, "stored, in a stream made again")


async def test_a_stream_server_that_takes_only_small_messages_is_not_ready(tmp_path: Path, broker: Server) -> None:
    with stream_server(tmp_path) as stream:
        stream.kill()
        stream.configure("max_payload: 8388608", "max_payload: 1048576")
        stream.start()
        async with ingest(settings(stream, broker), ready=False) as app:
            await until(lambda: "stream server with max_payload 8388608 or more" in app.waiting_for(), "says so")


async def put(stream: Server, *records: DeviceRecord) -> None:
    link = await Link(stream.nats_url, TOKEN, "registry", logs.quiet()).connect()
    bucket = await ensure_bucket(link.js, streams.DEVICES_BUCKET)
    for record in records:
        await bucket.put(kv_key(record.id), encode_record(record))
    await link.close()


async def test_the_registry_decides_and_its_changes_are_heeded(stream: Server, broker: Server) -> None:
    known = DeviceRecord(1, "known", enabled=True, profile="")
    await put(stream, known, DeviceRecord(1, "off", enabled=False, profile=""))
    async with (
        ingest(settings(stream, broker, unknown_device="quarantine")) as app,
        reading(stream) as stored,
        device(broker) as client,
    ):
        for name in ("known", "off", "new"):
            await publish(client, f"devices/{name}/telemetry", b'{"n": 1}')
        await until(lambda: len(stored.readings) == 1 and len(stored.letters) == 2, "one reading, two dead letters")
        assert stored.readings[0].device == "known"
        assert {(x.device, x.reason) for x in stored.letters} == {("off", "device_disabled"), ("new", "unknown_device")}
        await put(stream, DeviceRecord(1, "new", enabled=True, profile=""))
        await until(lambda: app.registry.get_sample_value("ingest_directory_devices") == 3, "the registry's change")
        await publish(client, "devices/new/telemetry", b'{"n": 2}')
        await until(lambda: len(stored.readings) == 2, "the reading of the device that is registered now")


async def test_a_replayed_dead_letter_is_stored_as_it_was_received(stream: Server, broker: Server) -> None:
    async with (
        ingest(settings(stream, broker, unknown_device="quarantine")) as app,
        reading(stream) as stored,
        device(broker) as client,
    ):
        await publish(client, "devices/new/telemetry", b'{"n": 1}')
        await until(lambda: len(stored.letters) == 1, "the dead letter")
        await put(stream, DeviceRecord(1, "new", enabled=True, profile=""))
        await until(lambda: app.registry.get_sample_value("ingest_directory_devices") == 1, "the registry's change")
        link = await Link(stream.nats_url, TOKEN, "registry", logs.quiet()).connect()
        publisher = Publisher(link)
        await publisher.start()
        await publisher.publish("replays", DEAD_LETTER.encode(stored.letters[0]))
        await publisher.publish("replays", b"\x91\x07")
        await until(lambda: len(stored.readings) == 1 and len(stored.letters) == 2, "both")
        assert stored.readings[0].received == stored.letters[0].received == stored.readings[0].ts
        assert stored.letters[1].reason == "unknown_schema"
        async with asyncio.timeout(30):
            while (await link.js.stream_info("REPLAYS")).state.messages:
                await asyncio.sleep(0.02)
        await link.close()


async def test_a_retained_reading_without_a_time_is_not_stored(stream: Server, broker: Server) -> None:
    async with device(broker) as client:
        await publish(client, "devices/a/telemetry", b'{"n": 1}', retain=True)
        await publish(client, "devices/a/status", b"online", retain=True)
        async with ingest(settings(stream, broker)) as app, reading(stream) as stored:
            await until(lambda: counted(app, "messages", outcome="ignored", reason="retained_untimed") == 1, "ignored")
            await until(lambda: [p.state for p in stored.presences] == ["online"], "present")
            assert not stored.readings


async def test_nothing_is_taken_from_a_broker_before_the_stream_server_fsyncs(tmp_path: Path, broker: Server) -> None:
    port, monitor = free_port(), free_port()
    config = tmp_path / "lazy.conf"
    text = servers.stream_config(tmp_path / "lazy", "127.0.0.1", port, monitor, TOKEN)
    config.write_text(text.replace(", sync_interval: always", ""))
    lazy = Server([servers.nats_server(), "-c", str(config)], port, monitor_port=monitor)
    lazy.start()
    try:
        app = App(settings(lazy, broker), logs.quiet())
        await app.start()
        await until(lambda: app.waiting_for() == [FSYNC, "bucket devices", "broker"], "says what is missing")
        await app.stop()
        async with ingest(settings(lazy, broker, require_fsync=False)):
            pass
    finally:
        lazy.kill()


async def test_it_can_start_before_its_peers(stream: Server, broker: Server) -> None:
    stream.kill()
    broker.kill()
    app = App(settings(stream, broker), logs.quiet())
    await app.start()
    try:
        assert {"stream server", "broker"} <= set(app.waiting_for())
        broker.start()
        stream.start()
        await until(lambda: app.waiting_for() == [], "ready")
        async with device(broker) as client, reading(stream) as stored:
            await publish(client, "devices/a/telemetry", b'{"n": 1}')
            await until(lambda: len(stored.readings) == 1, "the reading")
    finally:
        await app.stop()
