"""Devices as rows of the registry's tables, written without the registry."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert

from devices_api.tables import activity, device, group, member, presence, tag
from tests.devices.filter_strategies import GROUPS, FilteredDevice


def fill(db: Connection, made: Sequence[FilteredDevice]) -> None:
    """Insert the groups, and devices with what belongs to them."""
    db.execute(insert(group), [_group(id_, above) for id_, above in GROUPS.items()])
    for one in made:
        db.execute(
            insert(device), {column.name: getattr(one, column.name) for column in device.c if hasattr(one, column.name)}
        )
        for key, value in one.tags.items():
            db.execute(insert(tag), {"device": one.id, "key": key, "value": value})
        for id_ in one.direct:
            db.execute(insert(member), {"device": one.id, "group_": id_})
        if one.online is not None:
            told = {"online": one.online, "changed": one.last_changed, "at": 0, "reason": one.reason}
            db.execute(insert(presence), {"device": one.id, **told})
        if one.last_seen is not None:
            db.execute(insert(activity), {"device": one.id, "last_seen": one.last_seen, "messages": one.messages})


def _group(id_: str, above: Sequence[str]) -> dict[str, object]:
    parent = above[-2] if len(above) > 1 else None
    return {"id": id_, "name": id_, "parent": parent, "path": f"/{'/'.join(above)}/", "created": 0, "updated": 0}
