"""The registry and alerting in PostgreSQL, for the same tests that run on SQLite."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting import database as alerting_database
from alerting.tables import metadata as alerting_metadata
from devices_api import database
from devices_api.repository import Repository
from devices_api.tables import metadata
from tests.postgres.server import Postgres, postgres_server
from tests.unit.alerting.conftest import web
from tests.unit.devices_api.conftest import runner, service, store

__all__ = ["runner", "service", "store", "web"]


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


async def _migrate_alerting(url: str) -> None:
    engine = alerting_database.connect(url)
    await alerting_database.migrate(engine)
    await engine.dispose()


@pytest.fixture(scope="session")
def alerting_url(postgres: Postgres) -> str:
    """Give a database with alerting's newest tables, for one test after the other."""
    url = postgres.database()
    asyncio.run(_migrate_alerting(url))
    return url


@pytest.fixture
async def engine(alerting_url: str) -> AsyncIterator[AsyncEngine]:
    """Give alerting's tables with nothing in them."""
    engine = alerting_database.connect(alerting_url)
    tables = ", ".join(f'"{table.name}"' for table in alerting_metadata.sorted_tables if table.name != "revision")
    async with engine.begin() as connection:
        await connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
        await connection.execute(text("DELETE FROM revision WHERE name = 'partitions'"))
        await connection.execute(text("UPDATE revision SET value = 0"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def empty_engine(empty_url: str) -> AsyncIterator[AsyncEngine]:
    """Give a database with nothing in it, for alerting."""
    engine = alerting_database.connect(empty_url)
    yield engine
    await engine.dispose()
