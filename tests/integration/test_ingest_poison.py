"""Messages that are made to harm, through a real broker and onto a real stream server."""

from pathlib import Path

from contracts import logs, streams
from contracts.deadletters import DEAD_LETTER, DeadLetter
from contracts.jetstream import Link, ensure_stream
from ingest.limits import MOST_PAYLOAD
from tests.conftest import TOKEN, Server, mosquitto_broker
from tests.integration.ingest_service import (
    counted,
    device,
    held,
    ingest,
    kept_log,
    publish,
    reading,
    settings,
    until,
)

NAMES = ["", " ", ".", "..", "*", ">", "a.*.b", "=", "==", "$KV", "\u2028", "ä" * 120, "x" * 400]


async def test_names_that_subjects_and_keys_cannot_hold_stop_nothing(tmp_path: Path, stream: Server) -> None:
    """A device chooses its topic, and decoders remember it as a key, which is a part of a subject."""
    with mosquitto_broker(tmp_path) as broker:
        async with ingest(settings(stream, broker)) as app, reading(stream) as stored, device(broker) as client:
            for number, name in enumerate(NAMES):
                topic = f"homie/d{number}/{name}/{name}"
                await client.publish(f"{topic}/$unit", b"V", qos=1)
                await client.publish(topic, b"%d" % number, qos=1)
            await publish(client, "devices/last/telemetry", b'{"n": 1}')
            await until(lambda: any(r.device == "last" for r in stored.readings), "the last of them")
            await until(lambda: held(app) == 0, "all acknowledged")
            assert counted(app, "refused_writes") == 0
            assert counted(app, "messages", outcome="rejected", reason="unexpected") == 0


async def test_the_longest_topics_stop_nothing(tmp_path: Path, stream: Server) -> None:
    longest = "x" * 65_000
    topics = [
        f"homie/{longest}/n/p/$unit",
        f"homie/d/{longest}/p",
        f"devices/{longest}/telemetry",
        f"devices/d/telemetry/{longest}",
        f"v3/{longest}/devices/d/up",
        "homie/" + "/".join("x" * 190),
    ]
    with mosquitto_broker(tmp_path) as broker:
        async with ingest(settings(stream, broker)) as app, reading(stream) as stored, device(broker) as client:
            for topic in topics:
                await publish(client, topic, b"{}")
            await publish(client, "devices/last/telemetry", b'{"n": 1}')
            await until(lambda: any(r.device == "last" for r in stored.readings), "the last of them")
            await until(lambda: held(app) == 0, "all acknowledged")
            assert counted(app, "refused_writes") == 0
            assert counted(app, "messages", outcome="rejected", reason="unexpected") == 0
            assert max(len(letter.topic) for letter in stored.letters) > len(longest)


async def test_replays_of_the_largest_dead_letters_do_not_break_the_connection(stream: Server, broker: Server) -> None:
    """The stream server drops a connection on which more than 64 MiB wait."""
    letter = DEAD_LETTER.encode(
        DeadLetter(1, "too_large", "", "devices/a/telemetry", b"x" * MOST_PAYLOAD, 1_767_225_600_000_000_000, "ingest")
    )
    link = await Link(stream.nats_url, TOKEN, "writer", logs.quiet()).connect()
    await ensure_stream(link.js, streams.REPLAYS)
    for _ in range(40):
        await link.js.publish(streams.REPLAYS.subjects, letter, timeout=40)
    await link.close()
    log, lines = kept_log()
    async with ingest(settings(stream, broker), log=log) as app:
        await until(lambda: counted(app, "dead_letters", reason="too_large") == 40, "each of them is taken again", 60)
        assert "stream.disconnected" not in [line["event"] for line in lines]
