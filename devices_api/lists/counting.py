"""How many devices there are by what they have in common. All of it within the caller's transaction."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from devices_api.access import View
from devices_api.lists.buckets import Bucket, By, Counts
from devices_api.lists.choice import Chosen
from devices_api.lists.listing import where
from devices_api.registry.visible import seen_group
from devices_api.tables import device, group, member, presence, tag

_STATES = {True: "online", False: "offline"}

_Ids = Select[tuple[str]]


async def counts(db: AsyncConnection, view: View, chosen: Chosen, by: By, limit: int) -> Counts:
    """Count devices into `limit` buckets, and that of none."""
    shown = where(chosen, view, db.dialect.name)
    ids = select(device.c.id).where(shown)

    def counted(id_: Column[str]) -> ColumnElement[bool]:
        if view is not None or chosen != Chosen():
            return id_.in_(ids)
        # All that are not deleted: few are, and to look these up takes a third of the time.
        return id_.not_in(select(device.c.id).where(device.c.deleted.is_not(None)))

    if by.name == "group":
        return await _by_group(db, await _count(db, ids), counted(member.c.device), view, limit)
    value, which = _values(by, shown, counted)
    number = func.count()
    query = select(value, number, func.sum(number).over()).where(*which).group_by(value)
    rows = (await db.execute(query.order_by(number.desc(), value).limit(limit))).all()
    total, having = await _count(db, ids), int(rows[0][2]) if rows else 0
    buckets = [Bucket(_STATES[row[0]] if by.name == "state" else row[0], row[1]) for row in rows]
    if total > having:
        buckets.append(Bucket("unknown" if by.name == "state" else None, total - having))
    return Counts(total, buckets, total - sum(bucket.devices for bucket in buckets))


def _values(
    by: By, shown: ColumnElement[bool], counted: Callable[[Column[str]], ColumnElement[bool]]
) -> tuple[ColumnElement[Any], list[ColumnElement[bool]]]:
    """Give what is counted by, and of which rows."""
    match by.name:
        case "profile":
            return device.c.profile, [shown]
        case "enabled":
            return device.c.enabled, [shown]
        case "state":
            registered = select(device.c.id).where(device.c.id == presence.c.device).exists()
            return presence.c.online, [registered, counted(presence.c.device)]
    return tag.c.value, [tag.c.key == by.key, counted(tag.c.device)]


async def _by_group(db: AsyncConnection, total: int, counted: ColumnElement[bool], view: View, limit: int) -> Counts:
    """Count by the sets of groups that devices are members of: there are many devices, and few such sets."""
    paths = await db.execute(select(group.c.id, group.c.path).where(seen_group(view)))
    shown = {row.id: row.path.strip("/").split("/") for row in paths}
    of = select(func.aggregate_strings(member.c.group_, "/").label("groups")).where(counted)
    sets = of.group_by(member.c.device).subquery()
    below, direct, covering = Counter[str](), Counter[str](), []
    for text, number in await db.execute(select(sets.c.groups, func.count()).group_by(sets.c.groups)):
        own = [id_ for id_ in text.split("/") if id_ in shown]
        covered = {above for id_ in own for above in shown[id_] if above in shown}
        below.update(dict.fromkeys(covered, number))
        direct.update(dict.fromkeys(own, number))
        if covered:
            covering.append((covered, number))
    largest = sorted(below, key=lambda id_: (-below[id_], id_))[:limit]
    buckets = [Bucket(id_, below[id_], direct[id_]) for id_ in largest]
    grouped = sum(number for _, number in covering)
    if total > grouped:
        buckets.append(Bucket(None, total - grouped))
    return Counts(total, buckets, sum(number for covered, number in covering if covered.isdisjoint(largest)))


async def _count(db: AsyncConnection, ids: _Ids) -> int:
    return (await db.scalar(select(func.count()).select_from(ids.subquery()))) or 0
