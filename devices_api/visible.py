"""Which devices a view shows, as a condition of a query."""

from sqlalchemy import ColumnElement, func, select, true

from devices_api.access import View
from devices_api.tables import device, group, member


def below(*groups: str) -> ColumnElement[bool]:
    """Hold for devices that are in one of `groups`, or in a group below one."""
    tops = select(group.c.path).where(group.c.id.in_(groups)).subquery()
    # Not LIKE: an underscore in a group's id would stand for any character.
    inside = select(group.c.id).join(tops, func.substr(group.c.path, 1, func.length(tops.c.path)) == tops.c.path)
    return device.c.id.in_(select(member.c.device).where(member.c.group_.in_(inside)))


def seen(view: View) -> ColumnElement[bool]:
    """Hold for devices that `view` shows, whether they are deleted or not."""
    return true() if view is None else below(*sorted(view))


def live() -> ColumnElement[bool]:
    """Hold for devices that are not deleted."""
    return device.c.deleted.is_(None)
