"""How many devices there are by what they have in common. All of it within the caller's transaction."""

from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from devices_api.access import View
from devices_api.buckets import Bucket, By, Counts
from devices_api.choice import Chosen
from devices_api.listing import where
from devices_api.tables import device, group, member, presence, tag
from devices_api.visible import seen_group

_STATES = {True: "online", False: "offline"}

_Ids = Select[tuple[str]]


async def counts(db: AsyncConnection, view: View, chosen: Chosen, by: By, limit: int) -> Counts:
    """Count devices into `limit` buckets, and that of none."""
    shown = where(chosen, view, db.dialect.name)
    ids = select(device.c.id).where(shown)
    if by.name == "group":
        return await _by_group(db, ids, view, limit)
    value, which = _values(by, shown, ids)
    number = func.count()
    query = select(value, number, func.sum(number).over()).where(*which).group_by(value)
    rows = (await db.execute(query.order_by(number.desc(), value).limit(limit))).all()
    total, having = await _count(db, ids), int(rows[0][2]) if rows else 0
    buckets = [Bucket(_STATES[row[0]] if by.name == "state" else row[0], row[1]) for row in rows]
    if total > having:
        buckets.append(Bucket("unknown" if by.name == "state" else None, total - having))
    return Counts(total, buckets, total - sum(bucket.devices for bucket in buckets))


def _values(by: By, shown: ColumnElement[bool], ids: _Ids) -> tuple[ColumnElement[Any], list[ColumnElement[bool]]]:
    """Give what is counted by, and of which rows."""
    match by.name:
        case "profile":
            return device.c.profile, [shown]
        case "enabled":
            return device.c.enabled, [shown]
        case "state":
            return presence.c.online, [presence.c.device.in_(ids)]
    return tag.c.value, [tag.c.key == by.key, tag.c.device.in_(ids)]


async def _by_group(db: AsyncConnection, ids: _Ids, view: View, limit: int) -> Counts:
    start = select(group.c.id, group.c.id.label("above"), group.c.parent).where(seen_group(view))
    up = start.cte("up", recursive=True)
    up = up.union_all(
        select(up.c.id, group.c.id, group.c.parent).join(group, group.c.id == up.c.parent).where(seen_group(view))
    )
    within = select(up.c.above, member.c.device, up.c.id).join(member, member.c.group_ == up.c.id)
    within_ids = within.where(member.c.device.in_(ids)).subquery()
    number = func.count(within_ids.c.device.distinct())
    direct = func.count().filter(within_ids.c.id == within_ids.c.above)
    query = select(within_ids.c.above, number, direct).group_by(within_ids.c.above)
    rows = (await db.execute(query.order_by(number.desc(), within_ids.c.above).limit(limit))).all()
    buckets = [Bucket(*row) for row in rows]
    total = await _count(db, ids)
    grouped = await _count(db, select(within_ids.c.device).distinct())
    covered = grouped
    if len(rows) == limit:
        shown = [row[0] for row in rows]
        covered = await _count(db, select(within_ids.c.device).where(within_ids.c.above.in_(shown)).distinct())
    if total > grouped:
        buckets.append(Bucket(None, total - grouped))
    return Counts(total, buckets, grouped - covered)


async def _count(db: AsyncConnection, ids: _Ids) -> int:
    return (await db.scalar(select(func.count()).select_from(ids.subquery()))) or 0
