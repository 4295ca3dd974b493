"""Two transactions at once, as two replicas have them: what one has done is not undone by the other."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.presence import Presence
from devices_api import database
from devices_api.access import ROOT
from devices_api.registry import hearing
from devices_api.registry.devices import NewDevice
from devices_api.repository import Repository
from devices_api.twins import command_repository
from devices_api.twins.commands import Order


@pytest.fixture
async def engine(registry: Repository, registry_url: str) -> AsyncIterator[AsyncEngine]:
    await registry.create(NewDevice("a", "a"), ROOT, now=1)
    engine = database.connect(registry_url)
    yield engine
    await engine.dispose()


async def waits(engine: AsyncEngine) -> None:
    """Return when somebody waits for a lock."""
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    async with asyncio.timeout(40):
        while True:
            async with engine.connect() as db:
                if await db.scalar(query):
                    return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("known", [True, False])
async def test_an_older_state_does_not_take_the_place_of_one_that_another_replica_writes(
    registry: Repository, engine: AsyncEngine, *, known: bool
) -> None:
    if known:
        await registry.take_presence([Presence(1, "a", "online", 5)], 5, 10)
    async with database.transaction(engine) as db:
        await hearing.take(db, [Presence(1, "a", "offline", 10)], 10, 10)
        late = asyncio.create_task(registry.take_presence([Presence(1, "a", "online", 8)], 11, 10))
        await waits(engine)
    await late
    device = await registry.get("a")
    assert device is not None
    assert (device.online, device.last_changed) == (False, 10)


async def test_facts_of_two_replicas_are_all_kept(registry: Repository, engine: AsyncEngine) -> None:
    async with database.transaction(engine) as db:
        await hearing.take(db, [Presence(1, "a", "described", 10, facts={"one": "1"})], 10, 10)
        late = asyncio.create_task(
            registry.take_presence([Presence(1, "a", "described", 11, facts={"two": "2"})], 11, 10)
        )
        await waits(engine)
    await late
    device = await registry.get("a")
    assert device is not None
    assert device.facts == {"one": "1", "two": "2"}


async def test_a_command_is_sent_once_to_a_device_that_comes_online_while_it_is_looked_at(
    registry: Repository, engine: AsyncEngine
) -> None:
    made = await registry.commands.send("a", Order("open", {}, awaited=True, ttl=1000, timeout=1000), ROOT, now=1)
    await registry.take_presence([Presence(1, "a", "offline", 2)], 2, 10)
    async with database.transaction(engine) as db:
        online = [Presence(1, "a", "online", 3)]
        await hearing.take(db, online, 3, 10)
        await command_repository.came_online(db, online, 3)
        taken = await registry.commands.take_due(5, 10)
    taken += await registry.commands.take_due(5, 10)
    assert made is not None
    assert [command.id for command in taken] == [made.id]
