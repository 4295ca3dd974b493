"""Readers of UPLINK that share it, on a real stream server."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence

from contracts import logs, streams
from contracts.backoff import end
from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.jetstream import Link, Publisher
from contracts.uplink import UPLINK_MESSAGE, Kind, Uplink
from devices_api.errors import UnavailableError
from devices_api.metrics import Metrics
from devices_api.stream import StreamServer
from devices_api.twins.uplink import Handler, RefusedError, Told, UplinkReader
from tests.conftest import TOKEN, Server
from tests.integration.registry_service import until

NOW = 1_767_225_600_000_000_000


class Replica:
    """A reader, and what it was given."""

    def __init__(self, stream: Server) -> None:
        self.link = Link(stream.nats_url, TOKEN, "replica", logs.quiet())
        self.server = StreamServer(self.link, streams.DEADLETTERS, logs.quiet())
        handlers: dict[Kind, Handler] = {"reported": self.take, "response": self.take}
        self.reader = UplinkReader(self.server, handlers, Metrics(lambda: True), logs.quiet(), lambda: NOW)
        self.taken: list[str] = []
        self.away = False

    async def take(self, told: Sequence[Told]) -> None:
        if self.away:
            raise UnavailableError("database")
        for item in told:
            if item.uplink.payload == b"refuse":
                raise RefusedError(Reason.MALFORMED, "the payload is no JSON object")
            if item.uplink.payload == b"break":
                raise ZeroDivisionError
        self.taken += [item.uplink.device for item in told]


@contextlib.asynccontextmanager
async def reading(stream: Server) -> AsyncIterator[Replica]:
    replica = Replica(stream)

    async def nothing() -> None: ...

    tasks = [asyncio.create_task(replica.server.keep(nothing)), asyncio.create_task(replica.reader.run())]
    try:
        await until(lambda: replica.server.ready, "ready")
        yield replica
    finally:
        replica.reader.finish()
        await tasks[1]
        await end(tasks)
        await replica.link.close()


async def tell(peer: Link, device: str, payload: bytes = b"{}", kind: Kind = "reported") -> None:
    publisher = Publisher(peer, timeout=30)
    await publisher.publish("uplink.1", UPLINK_MESSAGE.encode(Uplink(1, device, kind, NOW, "a/topic", payload)))


async def letters(peer: Link) -> list[DeadLetter]:
    state = (await peer.js.stream_info(streams.DEADLETTERS.name)).state
    found = [await peer.js.get_msg(streams.DEADLETTERS.name, n) for n in range(1, state.messages + 1)]
    return [DEAD_LETTER.decode(message.data or b"") for message in found]


async def left(peer: Link) -> int:
    return (await peer.js.stream_info(streams.UPLINK.name)).state.messages


async def test_two_readers_share_the_messages_and_each_is_handled_once(stream: Server, peer: Link) -> None:
    async with reading(stream) as one, reading(stream) as other:
        for n in range(300):
            await tell(peer, f"meter-{n}")
        await until(lambda: len(one.taken) + len(other.taken) >= 300, "all are handled")
        assert sorted(one.taken + other.taken) == sorted(f"meter-{n}" for n in range(300))

        async def empty() -> bool:
            return await left(peer) == 0

        await until(empty, "all are acknowledged")


async def test_what_cannot_be_handled_becomes_a_dead_letter_and_what_came_with_it_is_handled(
    stream: Server, peer: Link
) -> None:
    async with reading(stream) as replica:
        replica.away = True
        for device, payload in itertools.product(("a", "b"), (b"{}", b"refuse", b"break")):
            await tell(peer, device, payload)
        await tell(peer, "a+b")
        await tell(peer, "", b"{}", "provision")
        await Publisher(peer, timeout=30).publish("uplink.1", b"no such message")
        replica.away = False

        async def empty() -> bool:
            return await left(peer) == 0

        await until(empty, "all are acknowledged", 60)
        assert sorted(replica.taken) == ["a", "b"]
        found = await letters(peer)
        assert sorted((letter.reason, letter.device) for letter in found) == [
            ("bad_device", "a+b"),
            ("malformed", "a"),
            ("malformed", "b"),
            ("unexpected", "a"),
            ("unexpected", "b"),
            ("unknown_schema", ""),
            ("unknown_schema", ""),
        ]
        assert next(x for x in found if x.reason == "malformed").payload == b"refuse"
