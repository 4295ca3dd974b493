"""Devices as rows of the registry's tables, written without the registry."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert

from devices_api.lists.searching import search_text
from devices_api.tables import activity, device, group, member, presence, searched, tag
from tests.devices.filter_strategies import GROUPS, FilteredDevice


def add_groups(db: Connection) -> None:
    """Insert the groups that the devices are in."""
    db.execute(insert(group), [_group(id_, above) for id_, above in GROUPS.items()])


def add(db: Connection, one: FilteredDevice) -> None:
    """Insert a device with what belongs to it."""
    columns = [column.name for column in device.c if hasattr(one, column.name)]
    db.execute(insert(device), {name: getattr(one, name) for name in columns})
    db.execute(insert(searched), {"device": one.id, "text": search_text(one.id, one.name, one.tags)})
    for key, value in one.tags.items():
        db.execute(insert(tag), {"device": one.id, "key": key, "value": value})
    for id_ in one.direct:
        db.execute(insert(member), {"device": one.id, "group_": id_})
    if one.online is not None:
        told = {"online": one.online, "changed": one.last_changed, "at": 0, "reason": one.reason}
        db.execute(insert(presence), {"device": one.id, **told})
    if one.last_seen is not None:
        db.execute(insert(activity), {"device": one.id, "last_seen": one.last_seen, "messages": one.messages})


def drop(db: Connection, id_: str) -> None:
    """Delete a device with what belongs to it, if it is there."""
    for table in (presence, activity):
        db.execute(delete(table).where(table.c.device == id_))
    db.execute(delete(device).where(device.c.id == id_))


def _group(id_: str, above: Sequence[str]) -> dict[str, object]:
    parent = above[-2] if len(above) > 1 else None
    return {"id": id_, "name": id_, "parent": parent, "path": f"/{'/'.join(above)}/", "created": 0, "updated": 0}
