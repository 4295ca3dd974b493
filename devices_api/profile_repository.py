"""Queries of the profiles. A change and the announcement of all devices that it concerns are one transaction.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, delete, exists, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devices_api.database import WRITE, transaction
from devices_api.errors import InUseError
from devices_api.profiles import NewProfile, Profile
from devices_api.tables import device, outbox, profile


class ProfileRepository:
    """The profiles."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def put(self, id_: str, new: NewProfile, now: int) -> tuple[Profile, bool]:
        """Make a profile or replace it, and announce its devices; returns it, and whether it is a new one."""
        async with transaction(self._writing) as db:
            row = (await db.execute(select(profile).where(profile.c.id == id_).with_for_update())).first()
            before = None if row is None else _profile(row)
            if before is not None and NewProfile(**{name: getattr(before, name) for name in vars(new)}) == new:
                return before, False
            created, version = (now, 1) if before is None else (before.created, before.version + 1)
            after = Profile(**vars(new), id=id_, created=created, updated=now, version=version)
            if before is None:
                await db.execute(insert(profile).values(vars(after)))
            else:
                await db.execute(update(profile).where(profile.c.id == id_).values(vars(after)))
            concerned = select(device.c.id).where(device.c.profile == id_).order_by(device.c.id)
            await db.execute(insert(outbox).from_select(["device"], concerned))
        return after, before is None

    async def get(self, id_: str) -> Profile | None:
        """Return one profile, or None."""
        async with transaction(self._engine) as db:
            return (await profiles_of(db, [id_])).get(id_)

    async def page(self, after: str | None, limit: int) -> list[Profile]:
        """Return the first `limit` profiles whose id is greater than `after`, by id."""
        query = select(profile).order_by(profile.c.id).limit(limit)
        if after is not None:
            query = query.where(profile.c.id > after)
        async with transaction(self._engine) as db:
            return [_profile(row) for row in await db.execute(query)]

    async def remove(self, id_: str) -> bool:
        """Remove a profile; False if there is none. Raises InUseError if a device names it."""
        async with transaction(self._writing) as db:
            if not (await db.execute(delete(profile).where(profile.c.id == id_))).rowcount:
                return False
            if await db.scalar(select(exists(select(literal(1)).where(device.c.profile == id_)))):
                raise InUseError(id_)
        return True


async def profiles_of(db: AsyncConnection, ids: Collection[str]) -> dict[str, Profile]:
    """Return those of the profiles that there are, by id."""
    rows = await db.execute(select(profile).where(profile.c.id.in_(ids)))
    return {row.id: _profile(row) for row in rows}


def _profile(row: Row[Any]) -> Profile:
    return Profile(**row._mapping)  # noqa: SLF001 - the documented way to a row's names
