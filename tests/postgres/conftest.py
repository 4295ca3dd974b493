"""The registry in PostgreSQL, for the same tests that run on SQLite."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from devices_api import database
from devices_api.repository import Repository
from devices_api.tables import metadata
from tests.postgres.server import Postgres, postgres_server
from tests.unit.devices_api.conftest import runner, service, store

__all__ = ["runner", "service", "store"]


async def _migrate(url: str) -> None:
    engine = database.connect(url)
    await database.migrate(engine)
    await engine.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Give a server with nothing in it."""
    with tempfile.TemporaryDirectory(prefix="pg-") as directory, postgres_server(Path(directory)) as server:
        yield server


@pytest.fixture
def empty_url(postgres: Postgres) -> str:
    """Give a database with nothing in it."""
    return postgres.database()


@pytest.fixture(scope="session")
def registry_url(postgres: Postgres) -> str:
    """Give a database with the newest tables, for one test after the other."""
    url = postgres.database()
    asyncio.run(_migrate(url))
    return url


@pytest.fixture
async def registry(registry_url: str) -> AsyncIterator[Repository]:
    """Give a registry with nothing in it."""
    engine = database.connect(registry_url)
    tables = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    repository = Repository(engine)
    yield repository
    await repository.close()


@pytest.fixture
async def second_registry(registry: Repository, registry_url: str) -> AsyncIterator[Repository]:
    """Give another replica's registry, on the database of the first."""
    del registry  # it has emptied the database
    repository = Repository(database.connect(registry_url))
    yield repository
    await repository.close()


@pytest.fixture(scope="session")
def tables(runner: asyncio.Runner, postgres: Postgres) -> Iterator[AsyncEngine]:
    """Give the registry's tables with nothing in them, for laws that leave nothing in them."""
    engine = database.connect(postgres.database())
    runner.run(database.migrate(engine))
    yield engine
    runner.run(engine.dispose())
