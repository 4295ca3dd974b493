"""The registry database: its connection, set up properly, and its migrations, run where they are needed."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from devices_api.errors import UnavailableError

if TYPE_CHECKING:
    from alembic.config import Config

NAME = "database"

HEAD = "0009"
"""The newest migration in migrations/versions. It is named here so that a start without migrations skips Alembic."""

WRITE = {"sqlite_begin": "IMMEDIATE"}
"""Execution options of a transaction that writes: SQLite takes its write lock at the beginning, or waits for it."""

_PASSING = ("08", "40", "53", "57P")
"""Classes of PostgreSQL's codes: no connection, rolled back for a deadlock, out of resources, shut down."""


def connect(url: str) -> AsyncEngine:
    """Build an engine for `url`; for SQLite, the file's folder is made. Nothing is opened yet.

    Its errors, which are logged, do not tell what was read or written.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_async_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(parsed, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _set_up)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _: object) -> None:  # noqa: ANN401 - SQLAlchemy's adapted connection
    connection.isolation_level = None  # the driver begins no transaction of its own: `_begin` does
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")


@contextlib.asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Commit at the end, roll back on an error. Raises UnavailableError if the database cannot be reached now."""
    try:
        async with engine.begin() as connection:
            yield connection
    except (PoolTimeoutError, OSError) as error:
        raise UnavailableError(NAME) from error
    except DBAPIError as error:
        if _passes(error):
            raise UnavailableError(NAME) from error
        raise


def _passes(error: DBAPIError) -> bool:
    """Whether the same transaction may work later: the server is away, or has ended it for others' sake."""
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return True
    return str(getattr(error.orig, "sqlstate", None) or "").startswith(_PASSING)


async def migrate(engine: AsyncEngine) -> None:
    """Bring the database to HEAD, in one transaction; does nothing if it is there.

    Raises alembic's CommandError if the database is at a revision that this version does not know.
    """
    async with engine.connect() as connection:
        if await connection.run_sync(_revision) == HEAD:
            return
    await asyncio.to_thread(importlib.import_module, "alembic.command")  # half a second that most starts do without
    async with engine.connect() as connection:
        await connection.execution_options(**WRITE)
        async with connection.begin():
            await connection.run_sync(_upgrade)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def configuration(connection: Connection) -> "Config":
    """Tell Alembic where the migrations are, and to run them in the transaction of `connection`."""
    from alembic.config import Config  # noqa: PLC0415 - see `migrate`

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see `migrate`

    command.upgrade(configuration(connection), HEAD)
