"""Devices chosen by filter and search, in any order, page by page. All of it within the caller's transaction."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Double,
    Select,
    String,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from devices_api.access import View
from devices_api.lists.choice import WITHOUT, Chosen, Order, Page, Position
from devices_api.lists.filter_sql import condition
from devices_api.lists.filter_terms import SCALARS, Kind
from devices_api.registry.devices import Device, ListedDevice
from devices_api.registry.rows import listed, whole
from devices_api.registry.visible import live, seen
from devices_api.tables import activity, device, presence, searched

_KEYS: dict[str, ColumnElement[Any]] = {
    "zone": func.nullif(device.c.zone, ""),
    "location.latitude": device.c.latitude,
    "location.longitude": device.c.longitude,
    "online": presence.c.online,
    "last_changed": presence.c.changed,
    "reason": func.nullif(presence.c.reason, ""),
    "last_seen": activity.c.last_seen,
    "messages": func.coalesce(activity.c.messages, 0),
}
_TOLD = {"last_changed": presence.c.changed, "last_seen": activity.c.last_seen, "messages": activity.c.messages}
_CANDIDATES = 2
"""How many of the first in a table are looked at for one that is shown, before all devices are."""

_TYPES: dict[Kind, TypeEngine[Any]] = {
    Kind.TEXT: String(),
    Kind.NUMBER: Double(),
    Kind.BOOLEAN: Boolean(),
    Kind.TIME: BigInteger(),
}


def where(chosen: Chosen, view: View, dialect: str) -> ColumnElement[bool]:
    """Hold for devices that are chosen, of those that `view` shows; `dialect` is the name of the engine's dialect."""
    parts = [seen(view)]
    if chosen.live:
        parts.append(live())
    if chosen.filter is not None:
        parts.append(condition(chosen.filter, view, dialect))
    if chosen.words:
        found = and_(*(searched.c.text.contains(word, autoescape=True) for word in chosen.words))
        parts.append(device.c.id.in_(select(searched.c.device).where(found)))
    return and_(*parts)


async def page(
    db: AsyncConnection, view: View, chosen: Chosen, order: Order, after: Position | None, limit: int
) -> Page[ListedDevice]:
    """Return the first `limit` devices behind `after`.

    A device that is there all along, and keeps its value, is on exactly one page, whatever happens to others.
    """
    ids, end = await _shown(db, where(chosen, view, db.dialect.name), order, after, limit)
    found = await listed(db, ids, view)
    return Page([found[id_] for id_ in ids if id_ in found], end)


async def whole_page(
    db: AsyncConnection, view: View, chosen: Chosen, order: Order, after: Position | None, limit: int
) -> Page[Device]:
    """Return the same devices with their calibration, without facts."""
    ids, end = await _shown(db, where(chosen, view, db.dialect.name), order, after, limit)
    found = await whole(db, ids, view)
    return Page([found[id_] for id_ in ids if id_ in found], end)


async def _shown(
    db: AsyncConnection, taken: ColumnElement[bool], order: Order, after: Position | None, limit: int
) -> tuple[list[str], Position | None]:
    """Return the ids of a page, and its end. Rows are wide: they are read after that, and not carried through sorts."""
    first = await _first_told(db, taken, order, after, limit + 1) if _is_told(order, after) else []
    if len(first) <= limit:
        query = _ids(order).where(taken).limit(limit + 1)
        rows = await db.execute(query if after is None else query.where(_behind(order, after)))
        first = [(row.id, row.key) for row in rows]
    shown = first[:limit]
    end = Position(shown[-1][1], shown[-1][0]) if len(first) > limit else None
    return [id_ for id_, _ in shown], end


def _key(order: Order) -> ColumnElement[Any]:
    """Give what devices are ordered by, null where they have none."""
    return _KEYS[order.field] if order.field in _KEYS else device.c[order.field]


def _is_told(order: Order, after: Position | None) -> bool:
    """Whether what comes next begins with devices that have told of themselves, and with what they told."""
    if order.field in ("last_changed", "last_seen"):
        return after is None or after.value is not None
    return order == Order("messages", descending=True) and (after is None or after.value != 0)


async def _first_told(
    db: AsyncConnection, taken: ColumnElement[bool], order: Order, after: Position | None, limit: int
) -> list[tuple[str, Any]]:
    """Return the first `limit` devices, or fewer where they are not among the first of the table they are ordered by.

    It is narrow, so that to go through it takes a tenth of looking every device up in it.
    """
    table, key = _TOLD[order.field].table, _TOLD[order.field]
    first = select(table.c.device, key.label("key")).limit(_CANDIDATES * limit)
    by, id_ = (key.desc(), table.c.device.desc()) if order.descending else (key.asc(), table.c.device.asc())
    first = first.where(key > 0) if order.field == "messages" else first
    if after is not None:
        value = literal(after.value, _TYPES[SCALARS[order.field]])
        here, there = tuple_(key, table.c.device), tuple_(value, literal(after.id))
        first = first.where(here < there if order.descending else here > there)
    found = first.order_by(by, id_).subquery()
    query = select(device.c.id, found.c.key).join(found, found.c.device == device.c.id).where(taken).limit(limit)
    ends = (found.c.key.desc(), device.c.id.desc()) if order.descending else (found.c.key.asc(), device.c.id.asc())
    return [(row.id, row.key) for row in await db.execute(query.order_by(*ends))]


def _ids(order: Order) -> Select[tuple[str, Any]]:
    key = _key(order)
    by, id_ = (key.desc(), device.c.id.desc()) if order.descending else (key.asc(), device.c.id.asc())
    query = select(device.c.id, key.label("key"))
    if order.field in ("online", "last_changed", "reason"):
        query = query.outerjoin(presence, presence.c.device == device.c.id)
    elif order.field in ("last_seen", "messages"):
        query = query.outerjoin(activity, activity.c.device == device.c.id)
    if order.field == "id":
        return query.order_by(id_)
    return query.order_by(by.nulls_last() if order.field in WITHOUT else by, id_)


def _behind(order: Order, after: Position) -> ColumnElement[bool]:
    id_ = literal(after.id, device.c.id.type)
    beyond = device.c.id < id_ if order.descending else device.c.id > id_
    if order.field == "id":
        return beyond
    key = _key(order)
    if after.value is None:
        return and_(key.is_(None), beyond)
    value = literal(after.value, _TYPES[SCALARS[order.field]])
    if order.field not in WITHOUT:
        here, there = tuple_(key, device.c.id), tuple_(value, id_)
        return here < there if order.descending else here > there
    further = key < value if order.descending else key > value
    return or_(further, and_(key == value, beyond), key.is_(None))
