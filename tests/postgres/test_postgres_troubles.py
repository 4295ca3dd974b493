"""What PostgreSQL does to transactions, beside refusing connections: they may work when they are tried again."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devices_api import database
from devices_api.access import ROOT
from devices_api.errors import UnavailableError
from devices_api.registry.devices import NewDevice
from devices_api.repository import Repository
from devices_api.tables import device


@pytest.fixture
async def engine(registry: Repository, registry_url: str) -> AsyncIterator[AsyncEngine]:
    await registry.create(NewDevice("a", "a"), ROOT, now=1)
    await registry.create(NewDevice("b", "b"), ROOT, now=1)
    engine = database.connect(registry_url)
    yield engine
    await engine.dispose()


async def lock(db: AsyncConnection, id_: str) -> None:
    await db.execute(update(device).where(device.c.id == id_).values(name="another"))


async def test_a_server_that_shuts_down_amid_a_transaction_is_away(engine: AsyncEngine) -> None:
    async def interrupted() -> None:
        async with database.transaction(engine) as db:
            mine = await db.scalar(text("SELECT pg_backend_pid()"))
            async with database.transaction(engine) as other:
                await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": mine})
            await db.execute(select(device.c.id))

    with pytest.raises(UnavailableError):
        await interrupted()


async def test_a_transaction_that_is_ended_for_a_deadlock_may_be_tried_again(engine: AsyncEngine) -> None:
    both = asyncio.Barrier(2)

    async def one(first: str, second: str) -> None:
        async with database.transaction(engine) as db:
            await lock(db, first)
            await both.wait()
            await lock(db, second)

    results = await asyncio.gather(one("a", "b"), one("b", "a"), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "UnavailableError"]
