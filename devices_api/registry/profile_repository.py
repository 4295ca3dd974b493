"""Queries of the profiles and their versions. A change, its version and its outbox row are one transaction.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Row, delete, exists, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.versions import Match, check
from devices_api.access import Principal
from devices_api.audit import audit
from devices_api.database import WRITE, transaction
from devices_api.errors import InUseError
from devices_api.registry.profiles import NewProfile, Profile, Version
from devices_api.tables import device, outbox, profile, profile_version

MOST_VERSIONS = 100
"""Of a profile; the oldest go."""


class ProfileRepository:
    """The profiles."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def put(
        self, id_: str, new: NewProfile, by: Principal, now: int, match: Match = None
    ) -> tuple[Profile, bool]:
        """Make a profile or replace it, and announce it; returns it, and whether it is a new one.

        One that is put as it is stays at its version. Raises StaleError.
        """
        try:
            async with transaction(self._writing) as db:
                return await _put(db, id_, new, by, now, match)
        except IntegrityError:  # somebody else has made it at this moment, so now there is one to be replaced
            async with transaction(self._writing) as db:
                return await _put(db, id_, new, by, now, match)

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

    async def remove(self, id_: str, by: Principal, now: int, match: Match = None) -> bool:
        """Remove a profile; its versions stay. False if there is none.

        Raises StaleError, and InUseError if a device names it, also one that is deleted.
        """
        async with transaction(self._writing) as db:
            before = await _locked(db, id_)
            if before is None:
                return False
            check(before.version, match)
            if await db.scalar(select(exists(select(literal(1)).where(device.c.profile == id_)))):
                raise InUseError(id_)
            await db.execute(delete(profile).where(profile.c.id == id_))
            await db.execute(insert(outbox).values(device=id_, kind="profile"))
            await audit(db, by, "profile.remove", f"profile/{id_}", vars(before), None, now)
        return True

    async def versions(self, id_: str, below: int | None, limit: int) -> list[Version]:
        """Return the newest `limit` versions of a profile that are less than `below`, newest first."""
        query = select(profile_version).where(profile_version.c.profile == id_)
        if below is not None:
            query = query.where(profile_version.c.version < below)
        async with transaction(self._engine) as db:
            rows = await db.execute(query.order_by(profile_version.c.version.desc()).limit(limit))
            return [_version(row) for row in rows]

    async def version(self, id_: str, number: int) -> Version | None:
        """Return one version of a profile, which may itself be gone, or None."""
        async with transaction(self._engine) as db:
            return await _found(db, id_, number)

    async def restore(self, id_: str, number: int, by: Principal, now: int, match: Match = None) -> Profile | None:
        """Put a profile as it was in one of its versions; None if there is none. Raises StaleError."""
        version = await self.version(id_, number)
        return None if version is None else (await self.put(id_, version.content, by, now, match))[0]


async def profiles_of(db: AsyncConnection, ids: Collection[str]) -> dict[str, Profile]:
    """Return those of the profiles that there are, by id."""
    rows = await db.execute(select(profile).where(profile.c.id.in_(ids)))
    return {row.id: _profile(row) for row in rows}


async def _put(
    db: AsyncConnection, id_: str, new: NewProfile, by: Principal, now: int, match: Match
) -> tuple[Profile, bool]:
    before = await _locked(db, id_)
    check(before.version if before else 0, match)
    if before is not None and content_of(before) == new:
        return before, False
    # Versions go on where those of a profile of this name that was removed have ended.
    of_this = profile_version.c.profile == id_
    last = (await db.scalar(select(func.max(profile_version.c.version)).where(of_this))) or 0
    created = now if before is None else before.created
    after = Profile(**vars(new), id=id_, created=created, updated=now, version=last + 1)
    if before is None:
        await db.execute(insert(profile).values(vars(after)))
    else:
        await db.execute(update(profile).where(profile.c.id == id_).values(vars(after)))
    kept = {"profile": id_, "version": after.version, "content": msgspec.to_builtins(new), "at": now, "by": by.name}
    await db.execute(insert(profile_version).values(kept))
    await db.execute(delete(profile_version).where(of_this, profile_version.c.version <= after.version - MOST_VERSIONS))
    await db.execute(insert(outbox).values(device=id_, kind="profile"))
    was = None if before is None else vars(before)
    await audit(db, by, "profile.put", f"profile/{id_}", was, vars(after), now)
    return after, before is None


def content_of(kept: Profile) -> NewProfile:
    """Give what a profile says, without when and in which version."""
    return NewProfile(**{name: getattr(kept, name) for name in NewProfile.__dataclass_fields__})


async def _locked(db: AsyncConnection, id_: str) -> Profile | None:
    row = (await db.execute(select(profile).where(profile.c.id == id_).with_for_update())).first()
    return None if row is None else _profile(row)


async def _found(db: AsyncConnection, id_: str, number: int) -> Version | None:
    of_this = (profile_version.c.profile == id_) & (profile_version.c.version == number)
    row = (await db.execute(select(profile_version).where(of_this))).first()
    return None if row is None else _version(row)


def _profile(row: Row[Any]) -> Profile:
    return Profile(**row._mapping)  # noqa: SLF001 - the documented way to a row's names


def _version(row: Row[Any]) -> Version:
    return Version(row.version, row.at, row.by, msgspec.convert(row.content, NewProfile))
