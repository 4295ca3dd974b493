"""Which devices and groups a view shows, as conditions of a query."""

from sqlalchemy import ColumnElement, Select, func, select, true

from devices_api.access import View
from devices_api.tables import device, group, member


def within(*groups: str, view: View = None) -> Select[tuple[str]]:
    """Select the ids of those of `groups` that `view` shows, and of all groups below them."""
    tops = select(group.c.path).where(group.c.id.in_(groups), seen_group(view)).subquery()
    # Not LIKE: an underscore in a group's id would stand for any character.
    return select(group.c.id).join(tops, func.substr(group.c.path, 1, func.length(tops.c.path)) == tops.c.path)


def below(*groups: str, view: View = None) -> ColumnElement[bool]:
    """Hold for devices that are in one of `groups`, or in a group below one; of groups that `view` shows."""
    return inside(within(*groups, view=view))


def inside(groups: Select[tuple[str]]) -> ColumnElement[bool]:
    """Hold for devices that are members of one of `groups`, given by their ids."""
    members = select(member.c.device).where(member.c.group_.in_(groups))
    return device.c.id.in_(members.correlate(None))  # a query may join `member` itself


def seen(view: View) -> ColumnElement[bool]:
    """Hold for devices that `view` shows, whether they are deleted or not."""
    return true() if view is None else below(*sorted(view))


def seen_group(view: View) -> ColumnElement[bool]:
    """Hold for groups that `view` shows: those that it is limited to, and those below them."""
    return true() if view is None else group.c.id.in_(within(*sorted(view)))


def live() -> ColumnElement[bool]:
    """Hold for devices that are not deleted."""
    return device.c.deleted.is_(None)
