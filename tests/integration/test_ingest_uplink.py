"""What devices tell that is no reading, and which of them send readings, between a real broker and a real stream."""

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from contracts.activity import ACTIVITY_MESSAGE, Activity
from contracts.jetstream import Link
from contracts.streams import ACTIVITY, DEVICES_API, UPLINK, partition_of
from contracts.uplink import UPLINK_MESSAGE
from ingest.app import App
from tests.conftest import Server, nats_broker
from tests.integration.ingest_service import counted, device, held, ingest, publish, reading, settings, until


async def kept(link: Link, name: str) -> list[tuple[str, bytes]]:
    """Read what a stream keeps, leaving it there: subject and body of each message."""
    state = (await link.js.stream_info(name)).state
    found = []
    for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
        message = await link.js.get_msg(name, sequence)
        found.append((message.subject or "", message.data or b""))
    return found


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.05)


async def idle(app: App) -> None:
    await until(lambda: held(app) == 0, "all acknowledged")


async def test_what_devices_tell_is_on_the_stream_as_it_was_sent(stream: Server, peer: Link, broker: Server) -> None:
    sent = {
        "devices/still-4/reported": ("still-4", "reported", b'{"valve": 40, "\xff'),
        "devices/still-4/commands/c-19/response": ("still-4", "response", b""),
        "provision/9b1c44/request": ("", "provision", b"\x00\x01 claim"),
    }
    async with ingest(settings(stream, broker)) as app, reading(stream) as stored, device(broker) as client:
        for topic, (_, _, payload) in sent.items():
            await publish(client, topic, payload)
        await publish(client, "devices/still-4/telemetry", b'{"head": 78}')
        await until(lambda: len(stored.readings) == 1, "the reading beside it")

        async def all_kept() -> bool:
            return len(await kept(peer, UPLINK.name)) >= len(sent)

        await eventually(all_kept)  # brokers send what is of several filters in any order
        await idle(app)
        found = await kept(peer, UPLINK.name)
        uplinks = [UPLINK_MESSAGE.decode(body) for _, body in found]
        assert {u.topic: (u.device, u.kind, u.payload) for u in uplinks} == sent
        assert len(found) == len(sent)
        assert {subject for subject, _ in found} == {f"uplink.{partition_of(of, 4)}" for of in ("still-4", "9b1c44")}
        assert all(abs(stored.readings[0].received - u.received) < 60 * 10**9 for u in uplinks)
        await until(lambda: [p.state for p in stored.presences] == ["seen"], "the device is announced")

        async def pending() -> bool:
            return bool((await peer.js.consumer_info(UPLINK.name, DEVICES_API)).num_pending == len(sent))

        await eventually(pending)


async def test_no_puback_while_the_stream_stands_still_and_each_message_once_when_it_goes_on(
    stream: Server, peer: Link, tmp_path: Path
) -> None:
    with nats_broker(tmp_path) as broker:
        async with ingest(settings(stream, broker)) as app, device(broker) as client:
            assert stream.process is not None
            stream.process.send_signal(signal.SIGSTOP)
            try:
                for number in range(20):
                    await publish(client, f"devices/a/commands/c-{number}/response", b"%d" % number)
                await until(lambda: held(app) == 20, "held")
                await until(lambda: counted(app, "refused_writes") >= 1, "published again")
                assert held(app) == 20
            finally:
                stream.process.send_signal(signal.SIGCONT)
            await idle(app)
            bodies = [UPLINK_MESSAGE.decode(body).payload for _, body in await kept(peer, UPLINK.name)]
            assert sorted(bodies) == sorted(b"%d" % number for number in range(20)), "once each"


async def test_a_stream_that_is_full_holds_what_devices_tell(stream: Server, peer: Link, tmp_path: Path) -> None:
    with nats_broker(tmp_path) as broker:
        async with ingest(settings(stream, broker)) as app, device(broker) as client:
            config = (await peer.js.stream_info(UPLINK.name)).config
            await peer.js.update_stream(config.evolve(max_bytes=4096))
            for number in range(3):
                await publish(client, f"devices/a/commands/c-{number}/response", b"x" * 2000)
            await until(lambda: counted(app, "refused_writes") >= 1 and held(app) > 0, "held")
            assert len(await kept(peer, UPLINK.name)) < 3
            await peer.js.update_stream(config)

            async def all_kept() -> bool:
                return len(await kept(peer, UPLINK.name)) >= 3

            await eventually(all_kept)
            await idle(app)
            assert len(await kept(peer, UPLINK.name)) == 3


async def test_activity_sums_up_what_is_stored_and_the_rest_is_told_when_ingest_stops(
    stream: Server, peer: Link, broker: Server
) -> None:

    async def told() -> list[Activity]:
        return [ACTIVITY_MESSAGE.decode(body) for _, body in await kept(peer, ACTIVITY.name)]

    async def sums() -> Counter[str]:
        summed: Counter[str] = Counter()
        for activity in await told():
            summed.update({name: heard.messages for name, heard in activity.devices.items()})
        return summed

    async def all_told() -> bool:
        return (await sums()).total() >= 300

    async with ingest(settings(stream, broker)) as app, reading(stream) as stored, device(broker) as client:
        for number in range(300):
            payload = b'[{"n": 1}, {"n": 2}]' if number % 3 == 2 else b'{"n": %d}' % number
            await client.publish(f"devices/d{number % 3}/telemetry", payload, qos=1)
        await publish(client, "devices/d0/telemetry", b"{")
        await publish(client, "devices/d0/reported", b"{}")
        await eventually(all_told)
        assert await sums() == {"d0": 100, "d1": 100, "d2": 100}
        await idle(app)
        await until(lambda: len(stored.readings) == 400, "all readings")
        newest = max(r.received for r in stored.readings if r.device == "d1")
        assert max(a.devices["d1"].last for a in await told() if "d1" in a.devices) == newest
        await publish(client, "devices/late/telemetry", b'{"n": 1}')
        await until(lambda: counted(app, "readings_stored") == 401, "the last one")
    assert await sums() == {"d0": 100, "d1": 100, "d2": 100, "late": 1}
