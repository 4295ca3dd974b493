"""Dead letters that are replayed by themselves: over restarts, in passes, and not for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.js.errors import APIError

from contracts.backoff import end
from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.jetstream import Link, ensure_stream
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.streams import DEADLETTERS, REPLAYS, deadletter_subject, presence_subject
from devices_api.letters import autoreplay, autoreplays
from tests.conftest import Server
from tests.integration.registry_service import Service, running, until

SECOND = 1_000_000_000


@pytest.fixture
async def service(stream: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setattr(autoreplays, "AGAIN_NS", (SECOND // 10, SECOND // 10))
    async with running(stream, tmp_path) as service:
        await service.ready()
        yield service


async def reject(link: Link, *received: int, reason: Reason = Reason.UNKNOWN_DEVICE, device: str = "a") -> None:
    for at in received:
        letter = DeadLetter(1, reason, "", f"devices/{device}/telemetry", b"1", at, "ingest", device)
        await link.js.publish(deadletter_subject(reason, device), DEAD_LETTER.encode(letter))


async def tell(link: Link, device: str, at: int) -> None:
    """Say that a device is online, as ingest does after its birth certificate."""
    await link.js.publish(presence_subject(0), PRESENCE_MESSAGE.encode(Presence(1, device, "online", at)))


async def received(link: Link, stream: str) -> list[int]:
    """When what is in `stream` was received."""
    state = (await link.js.stream_info(stream)).state
    found = []
    for number in range(state.first_seq, state.last_seq + 1):
        try:
            found.append(DEAD_LETTER.decode((await link.js.get_msg(stream, number)).data or b"").received)
        except APIError:  # deleted
            continue
    return found


async def holds(link: Link, stream: str, *wanted: int) -> None:
    async def met() -> bool:
        return await received(link, stream) == list(wanted)

    await until(met, f"{stream} holds {wanted}")


@asynccontextmanager
async def rejecting(link: Link) -> AsyncIterator[list[int]]:
    """Stand for an ingest that knows no device, ever; yields when each that it was handed was received."""
    handed: list[int] = []

    async def run() -> None:
        subscription = await link.js.pull_subscribe_bind(consumer="ingest", stream=REPLAYS.name)
        while True:
            try:
                messages = await subscription.fetch(10, timeout=1)
            except TimeoutError:
                continue
            for message in messages:
                letter = DEAD_LETTER.decode(message.data)
                await reject(link, letter.received, reason=Reason(letter.reason), device=letter.device)
                await message.ack()
                handed.append(letter.received)

    task = asyncio.create_task(run())
    try:
        yield handed
    finally:
        await end([task])


async def test_a_registration_while_the_stream_is_away_is_followed_by_replays_after_a_restart(
    stream: Server, tmp_path: Path, peer: Link
) -> None:
    await ensure_stream(peer.js, DEADLETTERS)
    await reject(peer, 1, 2)
    await reject(peer, 3, device="b")
    stream.kill()
    async with running(stream, tmp_path) as service:
        await until(lambda: service.app.waiting_for() == ["stream server"], "the database is open")
        await service.register("a")
    stream.start()
    async with running(stream, tmp_path) as service:
        await service.ready()
        await holds(peer, "REPLAYS", 1, 2)
        await holds(peer, "DEADLETTERS", 3)


async def test_more_than_is_replayed_at_a_time_is_replayed_all_the_same(
    service: Service, peer: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoreplay, "AT_A_TIME", 7)
    await reject(peer, *range(1, 31))
    await service.register("a")
    await holds(peer, "REPLAYS", *range(1, 31))
    await until(lambda: service.metric("replays_total", cause="registered") == 30, "all are counted")


async def test_what_an_ingest_rejects_that_has_not_heard_yet_is_replayed_too(
    service: Service, peer: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoreplays, "AGAIN_NS", (SECOND, SECOND))
    await reject(peer, 1)
    await service.register("a")
    await holds(peer, "REPLAYS", 1)
    await reject(peer, 2)
    await holds(peer, "REPLAYS", 1, 2)


async def test_what_is_rejected_again_and_again_is_given_up(service: Service, peer: Link) -> None:
    await reject(peer, 1)
    await reject(peer, 2, device="b")
    async with rejecting(peer) as handed:
        await service.register("a")
        await until(lambda: handed == [1, 1, 1], "three passes")
        await holds(peer, "DEADLETTERS", 2, 1)
        await service.register("b")
        await until(lambda: handed == [1, 1, 1, 2, 2, 2], "three passes of another device, and none of the first")


async def test_a_birth_has_what_it_explains_replayed_and_what_it_did_not_explain_left_alone(
    service: Service, peer: Link
) -> None:
    await reject(peer, 1)
    async with rejecting(peer) as handed:
        await service.register("a")
        await until(lambda: handed == [1, 1, 1], "the registration's passes are over")
        await reject(peer, 10, 11, reason=Reason.UNKNOWN_ALIAS)
        await tell(peer, "a", 20)
        await until(lambda: handed[3:] == [10, 11] * 3, "they had their chance")
        await reject(peer, 21, reason=Reason.UNKNOWN_ALIAS)
        await tell(peer, "a", 30)
        await until(lambda: handed[9:] == [21] * 3, "the new one, and not the others")


async def test_a_device_that_is_enabled_again_has_its_dead_letters_left_to_the_operator(
    service: Service, peer: Link
) -> None:
    await service.register("a")
    await service.client.patch("/devices/a", json={"enabled": False})
    await reject(peer, 1, reason=Reason.DEVICE_DISABLED)
    await service.client.patch("/devices/a", json={"enabled": True})
    await reject(peer, 2, device="b")
    await service.register("b")
    await holds(peer, "REPLAYS", 2)
    await holds(peer, "DEADLETTERS", 1)
