"""The connection to alerting's database, set up so that a commit is on disk, and its migrations."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

HEAD = "0004"
"""The newest migration. It is named here so that a start that needs none does not import Alembic."""

WRITE = {"sqlite_begin": "IMMEDIATE"}
"""Execution options of a transaction that writes: SQLite takes its lock at the beginning, or waits for it."""


def connect(url: str) -> AsyncEngine:
    """Build an engine for `url`. Nothing is opened yet."""
    engine = create_async_engine(url, hide_parameters=True, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_up)
        event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _: object) -> None:  # noqa: ANN401 - SQLAlchemy's adapted connection
    connection.isolation_level = None  # so that the driver begins no transaction of its own
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


@contextlib.asynccontextmanager
async def write(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Begin a transaction that writes: it is committed at the end, and rolled back on an error."""
    async with engine.connect() as connection:
        await connection.execution_options(**WRITE)
        async with connection.begin():
            yield connection


async def migrate(engine: AsyncEngine) -> None:
    """Bring the database to HEAD in one transaction, and for SQLite make its folder. Does nothing if it is there.

    Raises OSError or SQLAlchemyError if the database cannot be reached, and Alembic's CommandError if it is at a
    revision that this version does not know.
    """
    if engine.dialect.name == "sqlite" and engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
    async with engine.connect() as connection:
        if await connection.run_sync(_revision) == HEAD:
            return
    await asyncio.to_thread(importlib.import_module, "alembic.command")
    async with engine.connect() as connection:
        await connection.execution_options(**WRITE)
        async with connection.begin():
            await connection.run_sync(_upgrade)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - most starts do without it
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
