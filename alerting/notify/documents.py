"""What operators write beside rules, on disk: receivers, routing, silences, calendars and chains."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerting.database import WRITE
from alerting.notify.document import MOST, Document, Kind
from alerting.tables import revision
from alerting.tables_notify import document

REVISION = "routing"
"""The row of `revision` that counts changes of documents."""

_AT_ONCE = 500


class RefusedError(Exception):
    """A change that cannot be made; its text is a sentence for the caller. Nothing was written."""


class MissingError(RefusedError):
    """There is no such document."""


class StaleError(RefusedError):
    """Somebody else has changed, made or deleted the document meanwhile."""


class FullError(RefusedError):
    """There are as many documents of this kind as there may be."""


class InvalidError(RefusedError):
    """All documents together would not be valid: one names another that is not there."""


Check = Callable[[Sequence[Document]], str | None]
"""Says what is wrong with documents together, None if nothing is. It is given all that the change may concern."""


class Documents:
    """Every change is one transaction, with the next revision: of two at once, one sees what the other wrote."""

    def __init__(self, engine: AsyncEngine, check: Check) -> None:
        self._engine, self._check = engine, check
        self._insert: Any = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def revision(self) -> int:
        """Read how often documents have been changed."""
        async with self._engine.connect() as connection:
            return await _revision(connection)

    async def all(self) -> tuple[int, list[Document]]:
        """Read all documents. Returns with them a revision that they are at least as new as."""
        async with self._engine.connect() as connection:
            before = await _revision(connection)  # first: what is changed in between is read again at its revision
            rows = await connection.execute(sa.select(document).order_by(document.c.kind, document.c.id))
            return before, [_document(row) for row in rows]

    async def page(self, kind: Kind, limit: int, after: str = "") -> list[Document]:
        """Read up to `limit` documents by id, beginning behind `after`."""
        query = sa.select(document).where(document.c.kind == kind, document.c.id > after)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(document.c.id).limit(limit))
            return [_document(row) for row in rows]

    async def get(self, kind: Kind, name: str) -> Document | None:
        """Read one document."""
        async with self._engine.connect() as connection:
            return await _get(connection, kind, name)

    async def create(
        self, kind: Kind, name: str, content: dict[str, Any], secrets: dict[str, Any], now: int
    ) -> Document:
        """Write a new document. Raises StaleError if there is one of this id, and other RefusedErrors."""
        made = Document(kind=kind, id=name, version=1, content=content, secrets=secrets, created_at=now, updated_at=now)
        async with self._engine.connect() as connection:
            await connection.execution_options(**WRITE)
            async with connection.begin():
                await self._raise(connection)
                if await _get(connection, kind, name) is not None:
                    raise StaleError(f"there is a {kind} {name!r} already")
                count = sa.select(sa.func.count()).select_from(document).where(document.c.kind == kind)
                full = (await connection.execute(count)).scalar_one() >= MOST[kind]
                if full and not (kind is Kind.SILENCE and await _forget_silences(connection, now)):
                    raise FullError(f"there are {MOST[kind]} documents of the kind {kind}, which is the most")
                await connection.execute(sa.insert(document).values(**msgspec.structs.asdict(made)))
                await self._verify(connection, kind, name)
        return made

    async def replace(
        self,
        kind: Kind,
        name: str,
        content: dict[str, Any],
        secrets: dict[str, Any] | None,
        now: int,
        *,
        version: int | None = None,
    ) -> Document:
        """Write a document anew; `secrets` None keeps what there are, `version` None replaces whichever there is.

        Raises MissingError, StaleError if it is no longer at `version`, and InvalidError.
        """
        async with self._engine.connect() as connection:
            await connection.execution_options(**WRITE)
            async with connection.begin():
                await self._raise(connection)
                old = await _at(connection, kind, name, version)
                new = msgspec.structs.replace(
                    old,
                    version=old.version + 1,
                    content=content,
                    secrets=old.secrets if secrets is None else secrets,
                    updated_at=now,
                )
                row = msgspec.structs.asdict(new)
                await connection.execute(sa.update(document).where(*_is(kind, name)).values(**row))
                await self._verify(connection, kind, name)
        return new

    async def delete(self, kind: Kind, name: str, *, version: int | None = None) -> None:
        """Delete a document. Raises as `replace`."""
        async with self._engine.connect() as connection:
            await connection.execution_options(**WRITE)
            async with connection.begin():
                await self._raise(connection)
                await _at(connection, kind, name, version)
                await connection.execute(sa.delete(document).where(*_is(kind, name)))
                await self._verify(connection, kind, name)

    async def _raise(self, connection: AsyncConnection) -> None:
        """Count the change. It comes first in the transaction: the row's lock lets one writer in at a time."""
        counted = self._insert(revision).values(name=REVISION, value=1)
        await connection.execute(
            counted.on_conflict_do_update(index_elements=["name"], set_={"value": revision.c.value + 1})
        )

    async def _verify(self, connection: AsyncConnection, kind: Kind, name: str) -> None:
        """Check all that may name each other; silences, which may be many, only for the calendars that they name."""
        query = sa.select(document)
        if kind is Kind.SILENCE:
            query = query.where(sa.or_(document.c.kind == Kind.CALENDAR, sa.and_(*_is(kind, name))))
        elif kind is not Kind.CALENDAR:
            query = query.where(document.c.kind != Kind.SILENCE)
        if problem := self._check([_document(row) for row in await connection.execute(query)]):
            raise InvalidError(problem)


async def _forget_silences(connection: AsyncConnection, now: int) -> int:
    """Delete the silences that are over, to make room; returns how many."""
    rows = await connection.execute(sa.select(document).where(document.c.kind == Kind.SILENCE))
    over = [row.id for row in rows if (end := row.content.get("ends_at")) and _ns(end) <= now]
    for begin in range(0, len(over), _AT_ONCE):
        some = document.c.id.in_(over[begin : begin + _AT_ONCE])
        await connection.execute(sa.delete(document).where(document.c.kind == Kind.SILENCE, some))
    return len(over)


def _ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1000


async def _revision(connection: AsyncConnection) -> int:
    query = sa.select(revision.c.value).where(revision.c.name == REVISION)
    return (await connection.execute(query)).scalar() or 0


def _is(kind: Kind, name: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return document.c.kind == kind, document.c.id == name


async def _get(connection: AsyncConnection, kind: Kind, name: str) -> Document | None:
    row = (await connection.execute(sa.select(document).where(*_is(kind, name)))).first()
    return None if row is None else _document(row)


async def _at(connection: AsyncConnection, kind: Kind, name: str, version: int | None) -> Document:
    found = await _get(connection, kind, name)
    if found is None:
        raise MissingError(f"there is no {kind} {name!r}")
    if version is not None and found.version != version:
        raise StaleError(f"the {kind} {name!r} is at version {found.version} now, not {version}")
    return found


def _document(row: sa.Row[Any]) -> Document:
    return Document(
        kind=Kind(row.kind),
        id=row.id,
        version=row.version,
        content=row.content,
        secrets=row.secrets,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
