"""Rows of the tables as devices, and devices as rows. All of it within the caller's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Raw
from sqlalchemy import Row, Text, cast, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from devices_api.access import View
from devices_api.letters import autoreplays
from devices_api.lists.searching import search_text
from devices_api.registry.devices import Device, ListedDevice, NewDevice
from devices_api.registry.visible import seen_group
from devices_api.tables import activity, device, group, member, outbox, presence, searched, tag

ALL_BUT_FACTS = tuple(column for column in device.c if column.name != "facts")
"""Columns of `device` that lists of devices read: the facts of a thousand devices are too much for one answer."""

_TOLD = (
    presence.c.online,
    presence.c.changed.label("last_changed"),
    presence.c.reason,
    activity.c.last_seen,
    func.coalesce(activity.c.messages, 0).label("messages"),
)
_LIVE = device.outerjoin(presence, presence.c.device == device.c.id).outerjoin(
    activity, activity.c.device == device.c.id
)
WITH_FACTS = select(device, *_TOLD).select_from(_LIVE)
"""Devices with all that is known of them, but for their groups."""
_JSON = ("tags", "attributes")
_PLAIN = (device.c[name] for name in ListedDevice.__struct_fields__ if name in device.c and name not in _JSON)
_WHOLE = select(*ALL_BUT_FACTS, *_TOLD).select_from(_LIVE)
"""Devices as exports have them, but for their groups."""
_LISTED = select(*_PLAIN, *_TOLD, *(cast(device.c[name], Text) for name in _JSON)).select_from(_LIVE)
"""What a ListedDevice is made of, in its order, but for its groups."""


async def register(db: AsyncConnection, new: Sequence[NewDevice], now: int) -> None:
    """Insert devices, announce them, and have their quarantined messages replayed. Their groups have to be there."""
    rows = [{**vars(item), "created": now, "updated": now} for item in new]
    for row in rows:
        del row["groups"]
    await db.execute(insert(device), rows)
    texts = [{"device": item.id, "text": search_text(item.id, item.name, item.tags)} for item in new]
    await db.execute(insert(searched), texts)
    await add_tags(db, ((item.id, item.tags) for item in new))
    await add_members(db, ((item.id, item.groups) for item in new))
    await db.execute(insert(outbox), [{"device": item.id} for item in new])
    await autoreplays.registered(db, [item.id for item in new], now)


async def add_tags(db: AsyncConnection, tags: Iterable[tuple[str, Mapping[str, str]]]) -> None:
    """Insert the tags of devices that have none yet."""
    rows = [{"device": id_, "key": key, "value": value} for id_, of in tags for key, value in of.items()]
    if rows:
        await db.execute(insert(tag), rows)


async def add_members(db: AsyncConnection, groups: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Put devices into groups that they are not in yet."""
    rows = [{"device": id_, "group_": of} for id_, ids in groups for of in ids]
    if rows:
        await db.execute(insert(member), rows)


async def groups_of(db: AsyncConnection, ids: Collection[str], view: View = None) -> dict[str, list[str]]:
    """Return the groups that each of the devices `ids` is in, in order: those of them that `view` shows."""
    query = select(member.c.device, member.c.group_).where(member.c.device.in_(ids)).order_by(member.c.group_)
    if view is not None:
        query = query.join(group, group.c.id == member.c.group_).where(seen_group(view))
    found: dict[str, list[str]] = {}
    for id_, of in await db.execute(query):
        found.setdefault(id_, []).append(of)
    return found


async def listed(db: AsyncConnection, ids: Collection[str], view: View) -> dict[str, ListedDevice]:
    """Return those of the devices `ids` that there are, with those of their groups that `view` shows."""
    rows = (await db.execute(_LISTED.where(device.c.id.in_(ids)))).all() if ids else []
    groups = await groups_of(db, ids, view) if rows else {}
    found = {}
    for id_, *rest, tags, attributes in rows:
        values: list[Any] = [id_, *rest, Raw(tags), Raw(attributes), groups.get(id_, [])]
        found[id_] = ListedDevice(*values)
    return found


async def whole(db: AsyncConnection, ids: Collection[str], view: View) -> dict[str, Device]:
    """Return the same with their calibration, without facts."""
    rows = (await db.execute(_WHOLE.where(device.c.id.in_(ids)))).all() if ids else []
    groups = await groups_of(db, ids, view) if rows else {}
    return {row.id: to_device(row, groups.get(row.id, [])) for row in rows}


def to_device(row: Row[*tuple[Any, ...]], groups: list[str]) -> Device:
    """Read a device from a row that has its columns."""
    values = row._mapping  # noqa: SLF001 - the documented way to a row's names
    return Device(**{name: values[name] for name in Device.__dataclass_fields__ if name in values}, groups=groups)
