"""A migrated database for each test that asks."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.database import connect, migrate
from tests.unit.alerting.web_service import Web


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a database file with no rows; copy it."""
    path = tmp_path_factory.mktemp("alerting") / "empty.sqlite3"

    async def make() -> None:
        engine = connect(f"sqlite+aiosqlite:///{path}")
        await migrate(engine)
        await engine.dispose()

    asyncio.run(make())
    return path


@pytest.fixture
async def engine(empty_database: Path, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    path = shutil.copy(empty_database, tmp_path / "alerting.sqlite3")
    engine = connect(f"sqlite+aiosqlite:///{path}")
    yield engine
    await engine.dispose()


@pytest.fixture
async def web(engine: AsyncEngine) -> AsyncIterator[Web]:
    web = Web(engine)
    async with web.client:
        yield web


@pytest.fixture
async def empty_engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """Give a database with nothing in it."""
    engine = connect(f"sqlite+aiosqlite:///{tmp_path}/nothing.sqlite3")
    yield engine
    await engine.dispose()
