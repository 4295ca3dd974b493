"""Queries of the groups. Each method is one transaction, and what a change announces is in the same.

Whoever asks sees the group, or there is none for them. Every method raises UnavailableError if the database cannot be
reached now.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import delete, exists, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.versions import Match, check
from devices_api.access import Principal, View
from devices_api.audit import audit
from devices_api.database import WRITE, transaction
from devices_api.errors import ExistsError, NotEmptyError, OutOfSightError, TreeError, UnknownGroupError
from devices_api.registry import changing, tree
from devices_api.registry.devices import Device
from devices_api.registry.groups import MOST_GROUPS, Group, GroupChange, NewGroup
from devices_api.tables import group, member


class GroupRepository:
    """The tree of groups."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def create(self, new: NewGroup, by: Principal, now: int) -> Group:
        """Make a group.

        Raises ExistsError, UnknownGroupError for its parent, TreeError, and OutOfSightError if somebody who is limited
        names no parent.
        """
        async with transaction(self._writing) as db:
            await tree.alone(db)
            above = await _parent(db, new.parent, by)
            if await db.scalar(select(exists(select(literal(1)).where(group.c.id == new.id)))):
                raise ExistsError(new.id)
            if (await db.scalar(select(func.count()).select_from(group)) or 0) >= MOST_GROUPS:
                raise TreeError(f"there are {MOST_GROUPS} groups, and that is the most")
            path = (*(above.path if above else ()), new.id)
            tree.check_depth(len(path))
            made = Group(new.id, new.name, path, now, now, 1)
            row = {"path": f"/{'/'.join(path)}/", "created": now, "updated": now, "version": 1}
            await db.execute(insert(group).values(vars(new) | row))
            await _note(db, by, "create", None, made, now)
        return made

    async def get(self, id_: str, view: View = None) -> Group | None:
        """Return one group with its counts, or None."""
        async with transaction(self._engine) as db:
            found = await tree.counted(db, list((await tree.find(db, [id_], view)).values()))
        return found[0] if found else None

    async def page(self, after: Sequence[str] | None, limit: int, view: View = None) -> list[Group]:
        """Return the first `limit` groups after the one with the path `after`, each followed by what is below it.

        `after` is what `view` shows of the path.
        """
        async with transaction(self._engine) as db:
            after = None if after is None else await tree.whole(db, after, view)
            return await tree.counted(db, await tree.page(db, after, limit, view))

    async def change(self, id_: str, change: GroupChange, by: Principal, now: int, match: Match = None) -> Group | None:
        """Rename a group, or move it with all that is below it; returns it with its counts, or None.

        Raises StaleError, UnknownGroupError for a parent, TreeError, and OutOfSightError if somebody who is limited
        moves what they are limited to, or moves something to the top.
        """
        async with transaction(self._writing) as db:
            await tree.alone(db)
            before = (await tree.find(db, [id_], by.view)).get(id_)
            if before is None:
                return None
            check(before.version, match)
            name = change.get("name", before.name)
            moved = change.get("parent", before.parent) != before.parent
            if moved:
                await _may_leave(db, before, by)
                await tree.move(db, before, await _parent(db, change["parent"], by), now)
            if moved or name != before.name:
                values = {"name": name, "updated": now, "version": before.version + 1}
                await db.execute(update(group).where(group.c.id == id_).values(values))
            [after] = await tree.counted(db, list((await tree.find(db, [id_], by.view)).values()))
            if after.version != before.version:
                await _note(db, by, "change", before, after, now)
        return after

    async def remove(self, id_: str, by: Principal, now: int, match: Match = None, move_to: str | None = None) -> bool:
        """Remove a group, after what is in it has been put into `move_to`; False if there is none.

        Raises StaleError, NotEmptyError if something is in it and there is no `move_to`, UnknownGroupError for that,
        TreeError, and OutOfSightError if somebody who is limited removes what they are limited to.
        """
        async with transaction(self._writing) as db:
            await tree.alone(db)
            before = (await tree.find(db, [id_], by.view)).get(id_)
            if before is None:
                return False
            check(before.version, match)
            await _may_leave(db, before, by)
            if move_to is not None:
                into = await _parent(db, move_to, by)
                assert into is not None  # noqa: S101 - only a parent that is None gives None
                if id_ in into.path:
                    raise TreeError(f"{move_to!r} is in what is to be removed")
                await tree.empty(db, before, into, now)
            for inside in (group.c.parent, member.c.group_):
                if await db.scalar(select(exists(select(literal(1)).where(inside == id_)))):
                    raise NotEmptyError(id_)
            await db.execute(delete(group).where(group.c.id == id_))
            await _note(db, by, "remove", before, None, now)
        return True

    async def put_in(self, id_: str, device: str, by: Principal, now: int) -> Device | None:
        """Put a device into a group, if it is not in it; returns it, or None. Raises UnknownGroupError."""
        return await self._regroup(id_, device, by, now, inside=True)

    async def take_out(self, id_: str, device: str, by: Principal, now: int) -> Device | None:
        """Take a device out of a group, if it is in it; returns it, or None.

        Raises UnknownGroupError, and OutOfSightError if `by` would not see it any more.
        """
        return await self._regroup(id_, device, by, now, inside=False)

    async def _regroup(self, id_: str, device: str, by: Principal, now: int, *, inside: bool) -> Device | None:
        async with transaction(self._writing) as db:
            await tree.held(db)
            if not await tree.find(db, [id_], by.view):
                raise UnknownGroupError(id_)
            before = await changing.locked(db, device, by.view)
            if before is None or before.deleted is not None:
                return None
            groups = {*before.groups, id_} if inside else {*before.groups} - {id_}
            if groups == set(before.groups):
                return before
            return await changing.change(db, device, {"groups": sorted(groups)}, by, now)


async def _parent(db: AsyncConnection, id_: str | None, by: Principal) -> Group | None:
    """Return the group that is to stand above another one, or None for the top."""
    if id_ is None:
        if by.view is not None:
            raise OutOfSightError
        return None
    found = (await tree.find(db, [id_], by.view)).get(id_)
    if found is None:
        raise UnknownGroupError(id_)
    return found


async def _may_leave(db: AsyncConnection, moved: Group, by: Principal) -> None:
    """Raise OutOfSightError if a group is the topmost that somebody sees: what is above it is not theirs."""
    if by.view is not None and (moved.parent is None or not await tree.find(db, [moved.parent], by.view)):
        raise OutOfSightError


async def _note(
    db: AsyncConnection, by: Principal, what: str, before: Group | None, after: Group | None, now: int
) -> None:
    """Write into the audit log what somebody has done to a group."""
    was, is_ = (None if at is None else vars(replace(at, direct=0, below=0)) for at in (before, after))
    target = before or after
    assert target is not None  # noqa: S101 - nothing is done to nothing
    await audit(db, by, f"group.{what}", f"group/{target.id}", was, is_, now)
