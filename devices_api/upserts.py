"""INSERT … ON CONFLICT, which SQLite and PostgreSQL both have and SQLAlchemy has for each of them."""

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


def upsert(db: AsyncConnection, table: Table) -> sqlite.Insert:
    """Begin such a statement for the database of `db`."""
    if db.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)  # type: ignore[return-value]  # what is used of the two is the same
