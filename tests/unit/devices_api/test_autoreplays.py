"""What is to be replayed by itself: asked for by registrations and births, due when ingest can know, done in passes."""

from contracts.presence import Presence
from devices_api.access import ROOT
from devices_api.letters.autoreplays import AGAIN_NS, AutoReplay
from devices_api.registry.devices import NewDevice
from devices_api.repository import Repository

LATER = 10**18


async def publish(registry: Repository) -> None:
    """Empty the outbox, as the relay does."""
    while pending := await registry.outbox.pending(100):
        await registry.outbox.published([row for item in pending for row in item.rows])


async def due(registry: Repository, now: int = LATER, reason: str = "unknown_device") -> list[AutoReplay]:
    return [item for item in await registry.auto_replays.due(now, 100) if item.reason == reason]


async def online(registry: Repository, at: int, device: str = "a") -> None:
    await registry.take_presence([Presence(1, device, "online", at)], at, 100)


async def test_a_registration_asks_once_the_bucket_has_the_device(registry: Repository) -> None:
    await registry.create(NewDevice("a", "a"), ROOT, 7)
    assert await due(registry) == [], "ingest cannot know it yet"
    await publish(registry)
    assert await due(registry, 6) == []
    assert await due(registry, 7) == [AutoReplay("a", "unknown_device", 0, 0, 0)]
    assert await due(registry, 7, "unknown_alias") == [AutoReplay("a", "unknown_alias", 0, 0, 0)]


async def test_a_device_that_registers_itself_asks_too(registry: Repository) -> None:
    await registry.take_presence([Presence(1, "a", "seen", 5)], 7, 100)
    await publish(registry)
    assert [item.device for item in await due(registry)] == ["a"]


async def test_a_device_that_is_registered_disabled_waits_until_it_is_enabled(registry: Repository) -> None:
    await registry.create(NewDevice("a", "a", enabled=False), ROOT, 7)
    await publish(registry)
    assert await due(registry) == []
    await registry.change("a", {"enabled": True}, ROOT, 8)
    assert await due(registry) == []
    await publish(registry)
    assert len(await due(registry)) == 1


async def test_passes_follow_one_another_and_end(registry: Repository) -> None:
    await registry.create(NewDevice("a", "a"), ROOT, 0)
    await publish(registry)
    now = 0
    for wait in AGAIN_NS:
        await registry.auto_replays.passed(await due(registry, now), now)
        assert await due(registry, now + wait - 1) == []
        now += wait
    await registry.auto_replays.passed(await due(registry, now), now)
    assert await due(registry) == []


async def test_a_birth_asks_for_what_came_since_the_last_one(registry: Repository) -> None:
    await online(registry, 5)
    await registry.create(NewDevice("a", "a"), ROOT, 7)
    await publish(registry)
    assert await due(registry, reason="unknown_alias") == [AutoReplay("a", "unknown_alias", 0, 0, 0)]
    await online(registry, 10)
    [first] = await due(registry, reason="unknown_alias")
    assert first == AutoReplay("a", "unknown_alias", 0, 10, 0), "nothing has had its chance yet"
    await registry.auto_replays.passed([first], 11)
    await online(registry, 20)
    assert await due(registry, reason="unknown_alias") == [AutoReplay("a", "unknown_alias", 10, 20, 0)]


async def test_a_birth_during_a_pass_is_not_lost(registry: Repository) -> None:
    await registry.create(NewDevice("a", "a"), ROOT, 7)
    await publish(registry)
    [running] = await due(registry, reason="unknown_alias")
    await online(registry, 10)
    await registry.auto_replays.passed([running], 11)
    assert await due(registry, 11, "unknown_alias") == [AutoReplay("a", "unknown_alias", 0, 10, 0)]


async def test_one_that_failed_is_put_off(registry: Repository) -> None:
    await registry.create(NewDevice("a", "a"), ROOT, 7)
    await publish(registry)
    [item] = await due(registry)
    await registry.auto_replays.postpone(item, 50)
    assert await due(registry, 49) == []
    assert await due(registry, 50) == [item]


async def test_strangers_and_devices_that_only_leave_ask_for_nothing(registry: Repository) -> None:
    await online(registry, 5, "stranger")
    await registry.create(NewDevice("a", "a"), ROOT, 7)
    await publish(registry)
    for reason in ("unknown_device", "unknown_alias"):
        for _ in range(len(AGAIN_NS) + 1):
            await registry.auto_replays.passed(await due(registry, LATER, reason), 0)
    await registry.take_presence([Presence(1, "a", "offline", 8)], 8, 100)
    assert await registry.auto_replays.due(LATER, 100) == []


async def test_what_was_asked_for_a_device_goes_with_it(registry: Repository) -> None:
    await registry.create(NewDevice("a", "a"), ROOT, 7)
    await registry.purge("a", ROOT, now=3)
    await registry.create(NewDevice("a", "a"), ROOT, 9)
    await publish(registry)
    assert await due(registry) == [AutoReplay("a", "unknown_device", 0, 0, 0)]
