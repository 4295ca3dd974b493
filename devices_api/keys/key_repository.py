"""Queries of the API keys. A change and its entry in the audit log are one transaction.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devices_api.access import Principal, Scope, View
from devices_api.audit import audit
from devices_api.database import WRITE, transaction
from devices_api.errors import ExistsError, UnknownGroupError
from devices_api.keys.keys import Key, KeyChange
from devices_api.tables import group
from devices_api.tables_access import api_key

_USED = (
    update(api_key)
    .where(api_key.c.id == bindparam("key"), or_(api_key.c.last_used.is_(None), api_key.c.last_used < bindparam("at")))
    .values(last_used=bindparam("at"))
)


class KeyRepository:
    """The API keys."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def create(self, new: Key, by: Principal) -> None:
        """Keep a new key. Raises ExistsError if one has its name, UnknownGroupError for a group that there is not."""
        try:
            async with transaction(self._writing) as db:
                await _check_groups(db, new.groups)
                await db.execute(insert(api_key).values(_row(vars(new))))
                await audit(db, by, "key.create", f"key/{new.id}", None, new.told(), new.created)
        except IntegrityError as error:
            raise ExistsError(new.name) from error

    async def get(self, id_: str) -> Key | None:
        """Return one key, or None."""
        async with transaction(self._engine) as db:
            row = (await db.execute(select(api_key).where(api_key.c.id == id_))).first()
        return None if row is None else _key(row)

    async def page(self, after: str | None, limit: int) -> list[Key]:
        """Return the first `limit` keys whose id is greater than `after`, by id."""
        query = select(api_key).order_by(api_key.c.id).limit(limit)
        if after is not None:
            query = query.where(api_key.c.id > after)
        async with transaction(self._engine) as db:
            return [_key(row) for row in await db.execute(query)]

    async def change(self, id_: str, change: KeyChange, by: Principal, now: int) -> Key | None:
        """Replace what `change` names; returns the key as it is then, or None if there is none. Raises as `create`."""
        try:
            async with transaction(self._writing) as db:
                row = (await db.execute(select(api_key).where(api_key.c.id == id_).with_for_update())).first()
                if row is None:
                    return None
                before = _key(row)
                after = replace(before, **change)
                if after != before:
                    await _check_groups(db, change.get("groups"))
                    await db.execute(update(api_key).where(api_key.c.id == id_).values(_row(change)))
                    await audit(db, by, "key.change", f"key/{id_}", before.told(), after.told(), now)
        except IntegrityError as error:
            raise ExistsError(change.get("name", "")) from error
        return after

    async def remove(self, id_: str, by: Principal, now: int) -> bool:
        """Remove a key; False if there is none."""
        async with transaction(self._writing) as db:
            row = (await db.execute(delete(api_key).where(api_key.c.id == id_).returning(api_key))).first()
            if row is None:
                return False
            await audit(db, by, "key.remove", f"key/{id_}", _key(row).told(), None, now)
        return True

    async def used(self, last: Mapping[str, int]) -> None:
        """Note when keys were used last, all in one transaction; a later note of another replica stays."""
        if last:
            async with transaction(self._writing) as db:
                await db.execute(_USED, [{"key": id_, "at": at} for id_, at in sorted(last.items())])


async def _check_groups(db: AsyncConnection, groups: View) -> None:
    if groups:
        there = set((await db.execute(select(group.c.id).where(group.c.id.in_(groups)))).scalars())
        if missing := groups - there:
            raise UnknownGroupError(min(missing))


def _row(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in fields.items()}


def _key(row: Row[Any]) -> Key:
    values = dict(row._mapping)  # noqa: SLF001 - the documented way to a row's names
    values["scopes"] = frozenset(map(Scope, row.scopes))
    values["groups"] = None if row.groups is None else frozenset(row.groups)
    return Key(**values)
