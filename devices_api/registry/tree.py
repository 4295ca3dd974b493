"""The tree of groups, changed and read within the caller's transaction.

Whoever changes the tree has it alone; whoever puts devices into groups keeps it as it is until the end. Both begin with
that, before they lock any device, so that nobody waits for each other.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, collate, delete, distinct, func, insert, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from devices_api.access import View
from devices_api.errors import OutOfSightError, TreeError, UnknownGroupError
from devices_api.registry.groups import DEEPEST, Group, path_of
from devices_api.registry.visible import live, seen_group, within
from devices_api.tables import device, group, member, outbox


async def alone(db: AsyncConnection) -> None:
    """Keep everybody else from changing the tree, and from putting devices into it. SQLite has one writer anyway."""
    if db.dialect.name == "postgresql":
        await db.execute(text("LOCK TABLE group_ IN SHARE ROW EXCLUSIVE MODE"))


async def held(db: AsyncConnection) -> None:
    """Keep everybody from changing the tree."""
    if db.dialect.name == "postgresql":
        await db.execute(text("LOCK TABLE group_ IN SHARE MODE"))


async def chosen(db: AsyncConnection, given: Collection[str], view: View) -> list[str]:
    """Return the groups that a device is to be in, in order; the tree is held.

    Raises UnknownGroupError for one that there is not, or that `view` does not show, and OutOfSightError if somebody
    who is limited gives none.
    """
    if not given:
        if view is not None:
            raise OutOfSightError
        return []
    found = set(await db.scalars(select(group.c.id).where(group.c.id.in_(given), seen_group(view))))
    for id_ in given:
        if id_ not in found:
            raise UnknownGroupError(id_)
    return sorted(found)


async def find(db: AsyncConnection, ids: Collection[str], view: View) -> dict[str, Group]:
    """Return those of the groups that there are and `view` shows, by id, without counts; their paths are whole."""
    rows = await db.execute(select(group).where(group.c.id.in_(ids), seen_group(view)))
    return {row.id: _group(row) for row in rows}


async def whole(db: AsyncConnection, shown: Sequence[str], view: View) -> Sequence[str]:
    """Return the path of which `shown` is what `view` shows; `shown` itself where its first group is gone."""
    top = None if view is None else (await find(db, shown[:1], view)).get(shown[0])
    return shown if top is None else (*top.path[:-1], *shown)


async def page(db: AsyncConnection, after: Sequence[str] | None, limit: int, view: View) -> list[Group]:
    """Return the first `limit` groups after the one with the path `after`, each followed by what is below it."""
    path = collate(group.c.path, "C" if db.dialect.name == "postgresql" else "BINARY")
    query = select(group).where(seen_group(view)).order_by(path).limit(limit)
    if after is not None:
        query = query.where(path > _text(after))
    return [_group(row) for row in await db.execute(query)]


async def counted(db: AsyncConnection, groups: Sequence[Group]) -> list[Group]:
    """Count the devices of groups."""
    ids = [found.id for found in groups]
    top = select(group.c.id, group.c.path).where(group.c.id.in_(ids)).subquery()
    inside = func.substr(group.c.path, 1, func.length(top.c.path)) == top.c.path
    query = (
        select(
            top.c.id,
            func.count(distinct(member.c.device)).label("below"),
            func.count(distinct(member.c.device)).filter(member.c.group_ == top.c.id).label("direct"),
        )
        .select_from(top.join(group, inside).join(member, member.c.group_ == group.c.id).join(device, _OF_MEMBER))
        .where(live())
        .group_by(top.c.id)
    )
    counts = {row.id: {"direct": row.direct, "below": row.below} for row in await db.execute(query)}
    return [Group(**vars(found) | counts.get(found.id, {})) for found in groups]


async def move(db: AsyncConnection, moved: Group, parent: Group | None, now: int) -> None:
    """Put a group with all that is below it under another one, and announce its devices; the tree is ours alone.

    Raises TreeError if it would be below itself, or the tree too deep.
    """
    above = () if parent is None else parent.path
    if moved.id in above:
        raise TreeError(f"{moved.id!r} would be below itself")
    old, new = _text(moved.path), _text((*above, moved.id))
    inside = func.substr(group.c.path, 1, len(old)) == old
    longest = max(len(path_of(path)) for path in await db.scalars(select(group.c.path).where(inside)))
    check_depth(longest - len(moved.path) + len(above) + 1)
    path = literal(new).concat(func.substr(group.c.path, len(old) + 1))
    await db.execute(update(group).where(inside).values(path=path))
    values = {"parent": above[-1] if above else None, "updated": now, "version": moved.version + 1}
    await db.execute(update(group).where(group.c.id == moved.id).values(values))
    await announce_below(db, moved.id)


async def empty(db: AsyncConnection, emptied: Group, into: Group, now: int) -> None:
    """Put all that is in a group, groups and devices, into another one; the tree is ours alone. Raises TreeError."""
    for child in [_group(row) for row in await db.execute(select(group).where(group.c.parent == emptied.id))]:
        await move(db, child, into, now)
    await announce_below(db, emptied.id)
    there = select(member.c.device).where(member.c.group_ == into.id)
    coming = select(member.c.device, literal(into.id)).where(member.c.group_ == emptied.id)
    await db.execute(insert(member).from_select(["device", "group_"], coming.where(member.c.device.not_in(there))))
    await db.execute(delete(member).where(member.c.group_ == emptied.id))


async def announce_below(db: AsyncConnection, id_: str) -> None:
    """Announce all devices that are in a group or below it."""
    devices = select(member.c.device, literal("device")).where(member.c.group_.in_(within(id_))).distinct()
    await db.execute(insert(outbox).from_select(["device", "kind"], devices.order_by(member.c.device)))


def check_depth(levels: int) -> None:
    """Raise TreeError if the tree would have so many levels that it is too deep."""
    if levels > DEEPEST:
        raise TreeError(f"the tree would have {levels} levels; it has at most {DEEPEST}")


_OF_MEMBER = device.c.id == member.c.device


def _text(path: Sequence[str]) -> str:
    return f"/{'/'.join(path)}/"


def _group(row: Row[Any]) -> Group:
    return Group(row.id, row.name, path_of(row.path), row.created, row.updated, row.version)
