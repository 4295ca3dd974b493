"""Sparkplug B between a real broker and a real stream, while ingest and the edge node come and go."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from mqttium.api import AsyncClient

from contracts import logs
from contracts.backoff import end
from contracts.deadletters import DEAD_LETTER, DeadLetter
from contracts.jetstream import Link, Publisher
from ingest.app import App
from tests.conftest import TOKEN, Server, mosquitto_broker
from tests.fake_bucket import FakeBucket
from tests.integration.ingest_service import Stored, counted, device, ingest, publish, reading, settings, until
from tests.unit.ingest.edge import Edge, Message

TRUTH = {"Level": 1.0, "Flow": 2.0}


async def send(client: AsyncClient, message: Message) -> None:
    """Publish as an edge node does, at QoS 0."""
    await client.publish(message[0], message[1], qos=0)


async def replay(stream: Server, letters: list[DeadLetter]) -> None:
    link = await Link(stream.nats_url, TOKEN, "registry", logs.quiet()).connect()
    publisher = Publisher(link)
    await publisher.start()
    for letter in letters:
        await publisher.publish("replays", DEAD_LETTER.encode(letter))
    await link.close()


@contextlib.asynccontextmanager
async def commands(broker: Server) -> AsyncIterator[list[str]]:
    """Hear what nodes are told."""
    heard: list[str] = []
    client = AsyncClient("listener", clean_start=True)
    await client.connect("127.0.0.1", broker.port)
    await client.subscribe("spBv1.0/+/NCMD/+")

    async def hear() -> None:
        async for message in client.messages():
            heard[len(heard) :] = [message.topic]

    task = asyncio.create_task(hear())
    try:
        yield heard
    finally:
        await end([task])
        await client.disconnect()


def states(stored: Stored) -> list[str]:
    return [presence.state for presence in stored.presences if presence.state != "seen"]


def true(stored: Stored) -> bool:
    return all(value == TRUTH[name] for r in stored.readings for name, value in r.values.items())


async def test_a_node_that_reboots_while_ingest_is_away_is_asked_and_nothing_is_stored_under_a_wrong_name(
    stream: Server, broker: Server
) -> None:
    given = settings(stream, broker)
    node = Edge(name="PumpHouse")  # nats-server takes no spaces in topics
    async with device(broker) as client, commands(broker) as heard:
        async with ingest(given), reading(stream) as stored:
            await send(client, node.birth(TRUTH))
            await send(client, node.data(values=TRUTH))
            await until(lambda: len(stored.readings) == 2, "birth and data")
            await until(lambda: states(stored) == ["online"], "online")
        will, node.aliases = node.death(), {"": {"Flow": 1, "Level": 2}}
        node.connect_again()
        await publish(client, *will)
        await send(client, node.birth(TRUTH))
        async with ingest(given), reading(stream) as stored:
            await until(lambda: states(stored) == ["online", "offline"], "the will")
            await send(client, node.data(Level=1.0))
            await until(lambda: len(stored.letters) == 1, "a dead letter")
            assert (stored.letters[0].reason, stored.letters[0].device) == ("unknown_alias", "Works:PumpHouse")
            await until(lambda: heard == ["spBv1.0/Works/NCMD/PumpHouse"], "the request")
            await replay(stream, stored.letters)
            await until(lambda: len(stored.letters) == 2, "too early")
            await send(client, node.birth(TRUTH))
            await until(lambda: states(stored)[2:] == ["online"], "online again")
            before = len(stored.readings)
            await replay(stream, stored.letters[1:])
            await until(lambda: len(stored.readings) == before + 1, "the letter, translated")
            assert stored.readings[-1].values == {"Level": 1.0}
            await send(client, node.data(values=TRUTH))
            await until(lambda: len(stored.readings) == before + 2, "data under the new aliases")
            assert true(stored)


async def test_after_a_lost_connection_no_alias_is_trusted(stream: Server, broker: Server) -> None:
    node = Edge(name="PumpHouse")  # nats-server takes no spaces in topics
    async with ingest(settings(stream, broker)) as app, reading(stream) as stored:
        async with device(broker) as client:
            await send(client, node.birth(TRUTH))
            await until(lambda: len(stored.readings) == 1, "the birth")
        broker.kill()
        await until(lambda: app.waiting_for() == ["broker"], "sees that the broker has gone")
        broker.start()
        await until(lambda: app.waiting_for() == [], "connected again")
        async with device(broker) as client:
            await send(client, node.data(Level=1.0))
            await until(lambda: [letter.reason for letter in stored.letters] == ["unknown_alias"], "a dead letter")
            await send(client, node.data(Flow=2.0, named=True))
            await until(lambda: len(stored.readings) == 2, "what is named")
    assert true(stored)


async def test_of_two_ingests_one_hears_a_node_and_the_other_takes_over(tmp_path: Path, stream: Server) -> None:
    with mosquitto_broker(tmp_path) as broker:
        one, two = (settings(stream, broker, shared_group="pair", client_id=name) for name in ("one", "two"))
        node = Edge()
        async with device(broker) as client, ingest(one) as first, reading(stream) as stored:
            await until(lambda: hears(first), "the first has the lease")
            async with ingest(two) as second:
                await send(client, node.birth(TRUTH))
                for number in range(20):
                    await publish(client, f"devices/d{number}/telemetry", b'{"Level": 1.0}')
                    await send(client, node.data(values=TRUTH))
                await until(lambda: len(stored.readings) == 41, "each once")
                assert not stored.letters
                assert not hears(second)
                both = first, second
                await until(lambda: sum(counted(app, "readings_stored") for app in both) == 41, "and is counted")
                await first.stop()
                await until(lambda: hears(second), "the other has the lease", seconds=30)
                await send(client, node.data(Level=1.0))
                await until(lambda: [x.reason for x in stored.letters] == ["unknown_alias"], "nothing is trusted")
                await send(client, node.birth(TRUTH))
                await send(client, node.data(Level=1.0))
                await until(lambda: len(stored.readings) == 43, "the birth and what came after")
                await replay(stream, stored.letters)
                await until(lambda: len(stored.readings) == 44, "the letter, by the one that knows the birth")
                assert true(stored)


def hears(app: App) -> bool:
    """Whether messages whose order matters come to this ingest."""
    made = app._session._subscriptions._made  # noqa: SLF001 - nobody else knows
    return "spBv1.0/#" in made


async def test_what_comes_while_nobody_has_the_lease_waits_for_the_one_that_had_it(
    tmp_path: Path, stream: Server
) -> None:
    with mosquitto_broker(tmp_path) as broker:
        one, two = (settings(stream, broker, shared_group="pair", client_id=name) for name in ("one", "two"))
        async with device(broker) as client, ingest(one) as first:
            await until(lambda: hears(first), "the first has the lease")
            async with ingest(two) as second, reading(stream) as stored:
                bucket, second._lease._bucket = second._lease._bucket, unreachable()  # noqa: SLF001 - cut off for now
                await first.stop()
                await publish(client, *Edge().data(Level=1.0, named=True))
                second._lease._bucket = bucket  # noqa: SLF001 - as above
                await until(lambda: leads(second), "the other has the lease")
                assert not stored.readings
                async with ingest(one):
                    await until(lambda: len(stored.readings) == 1, "what waited")


def unreachable() -> FakeBucket:
    """Give a bucket that the network has cut off."""
    bucket = FakeBucket()
    bucket.away = True
    return bucket


async def test_an_ingest_that_cannot_renew_the_lease_gives_it_up_before_another_takes_it(
    tmp_path: Path, stream: Server
) -> None:
    with mosquitto_broker(tmp_path) as broker:
        one, two = (settings(stream, broker, shared_group="pair", client_id=name) for name in ("one", "two"))
        async with ingest(one) as first:
            await until(lambda: leads(first), "the first has the lease")
            async with ingest(two) as second:
                first._lease._bucket = unreachable()  # noqa: SLF001 - the rest of its connection goes on
                await until(lambda: not leads(first), "it gives up")
                assert not leads(second)
                await until(lambda: leads(second), "the other has the lease")


def leads(app: App) -> bool:
    return app.registry.get_sample_value("ingest_lease_held") == 1
