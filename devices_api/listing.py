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
from devices_api.choice import WITHOUT, Chosen, Order, Page, Position
from devices_api.filter_sql import condition
from devices_api.filter_terms import SCALARS, Kind
from devices_api.rows import DEVICES, to_devices
from devices_api.tables import activity, device, presence, searched
from devices_api.visible import live, seen

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
) -> Page:
    """Return the first `limit` devices behind `after`.

    A device that is there all along, and keeps its value, is on exactly one page, whatever happens to others.
    """
    query = _ids(order).where(where(chosen, view, db.dialect.name)).limit(limit + 1)
    if after is not None:
        query = query.where(_behind(order, after))
    ids = (await db.execute(query)).all()
    shown = ids[:limit]
    # The rows are wide: they are read once it is known which, and not carried along while others are sorted out.
    rows = (await db.execute(DEVICES.where(device.c.id.in_([row.id for row in shown])))).all()
    found = {one.id: one for one in await to_devices(db, rows, view)}
    end = Position(shown[-1].key, shown[-1].id) if len(ids) > limit else None
    return Page([found[row.id] for row in shown if row.id in found], end)


def _key(order: Order) -> ColumnElement[Any]:
    """Give what devices are ordered by, null where they have none."""
    return _KEYS[order.field] if order.field in _KEYS else device.c[order.field]


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
