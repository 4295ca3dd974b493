import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncEngine

from devices_api import database
from devices_api.filter_sql import condition
from devices_api.filters import parse
from devices_api.tables import device, metadata
from tests.devices.filter_strategies import FilteredDevice, devices, filters
from tests.devices.registry_rows import fill


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def engine(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AsyncEngine]:
    file: Path = tmp_path_factory.mktemp("registry") / "devices.sqlite3"
    engine = database.connect(f"sqlite+aiosqlite:///{file}")

    async def create() -> None:
        async with engine.begin() as db:
            await db.run_sync(metadata.create_all)

    runner.run(create())
    yield engine
    runner.run(engine.dispose())


def differences(db: Connection, made: Sequence[FilteredDevice], texts: Sequence[str]) -> list[tuple[str, set[str]]]:
    """Give the filters that do not take the same from the tables as from the devices, with what differs."""
    fill(db, made)
    found = []
    for text in texts:
        filter_ = parse(text)
        taken = set(db.scalars(select(device.c.id).where(condition(filter_, db.dialect.name))))
        if differing := taken ^ {one.id for one in made if filter_.takes(one)}:
            found.append((text, differing))
    return found


@settings(max_examples=60)
@given(st.tuples(*(devices(f"d{n}") for n in "1234")), st.lists(filters(), min_size=1, max_size=8))
def test_sql_takes_what_the_filter_takes(
    runner: asyncio.Runner, engine: AsyncEngine, made: Sequence[FilteredDevice], texts: Sequence[str]
) -> None:
    async def check() -> None:
        async with engine.connect() as db:
            assert await db.run_sync(differences, made, texts) == []
            await db.rollback()

    runner.run(check())
