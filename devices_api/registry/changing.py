"""What is done to devices, each within the caller's transaction: many may be done in one.

Whoever does it sees the device, or there is none for them. Each of them announces the device on the outbox.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.versions import Match, check
from devices_api.access import Principal, View
from devices_api.audit import audit
from devices_api.errors import ExistsError
from devices_api.letters import autoreplays
from devices_api.lists.searching import search_text
from devices_api.registry.devices import Change, Device, NewDevice
from devices_api.registry.rows import WITH_FACTS, add_members, add_tags, groups_of, register, to_device
from devices_api.registry.tree import chosen, held
from devices_api.registry.visible import live, seen
from devices_api.tables import activity, device, member, outbox, presence, searched, tag

_OF_ITSELF = frozenset({"facts", "online", "last_changed", "reason", "last_seen", "messages"})


async def create(db: AsyncConnection, new: NewDevice, by: Principal, now: int) -> Device:
    """Register a device.

    Raises ExistsError if there is one with its id, UnknownGroupError, and OutOfSightError if `by` would not see it.
    """
    await held(db)
    found = (await db.execute(select(device.c.deleted, seen(by.view)).where(device.c.id == new.id))).first()
    if found is not None:
        raise ExistsError(new.id, deleted=found[0] is not None and bool(found[1]))
    new = replace(new, groups=await chosen(db, new.groups, by.view))
    await register(db, [new], now)
    made = await find(db, new.id, by.view)
    assert made is not None  # noqa: S101 - it was inserted above, into groups that `by` sees
    await _note(db, by, "create", None, made, now)
    return made


async def find(db: AsyncConnection, id_: str, view: View, *, deleted: bool = False) -> Device | None:
    """Return one device that `view` shows, or None; with `deleted`, also one that is."""
    query = WITH_FACTS.where(device.c.id == id_, seen(view))
    row = (await db.execute(query if deleted else query.where(live()))).first()
    return None if row is None else to_device(row, (await groups_of(db, [id_], view)).get(id_, []))


async def change(
    db: AsyncConnection, id_: str, change: Change, by: Principal, now: int, match: Match = None
) -> Device | None:
    """Replace what `change` names, unless it is as that says; returns the device as it is then, or None.

    Of its groups those are replaced that `by` sees. Raises StaleError, UnknownGroupError and OutOfSightError.
    """
    if "groups" in change:
        await held(db)
    before = await locked(db, id_, by.view)
    if before is None or before.deleted is not None:
        return None
    check(before.version, match)
    change = {**change}
    if "groups" in change:
        change["groups"] = await chosen(db, change["groups"], by.view)
    new = {key: value for key, value in change.items() if getattr(before, key) != value}
    if not new:
        return before
    after = Device(**vars(before) | new | {"updated": now, "version": before.version + 1})
    new |= {"updated": after.updated, "version": after.version}
    if new.pop("groups", None) is not None:
        gone = set(before.groups) - set(after.groups)
        await db.execute(delete(member).where(member.c.device == id_, member.c.group_.in_(gone)))
        await add_members(db, [(id_, set(after.groups) - set(before.groups))])
    if "tags" in new:
        await db.execute(delete(tag).where(tag.c.device == id_))
        await add_tags(db, [(id_, after.tags)])
    if "tags" in new or "name" in new:
        text = search_text(id_, after.name, after.tags)
        await db.execute(update(searched).where(searched.c.device == id_).values(text=text))
    await db.execute(update(device).where(device.c.id == id_).values(new))
    await db.execute(insert(outbox).values(device=id_))
    await _note(db, by, "change", before, after, now)
    return after


async def remove(db: AsyncConnection, id_: str, by: Principal, now: int, match: Match = None) -> Device | None:
    """Delete a device so that it can be restored: its readings become dead letters; None if there is none."""
    return await _set_deleted(db, id_, by, now, match, deleted=now)


async def restore(db: AsyncConnection, id_: str, by: Principal, now: int, match: Match = None) -> Device | None:
    """Undo a deletion; returns the device, or None if there is none that is deleted."""
    return await _set_deleted(db, id_, by, now, match, deleted=None)


async def purge(db: AsyncConnection, id_: str, by: Principal, now: int, match: Match = None) -> bool:
    """Remove a device, deleted or not, and all that it told of itself; False if there is none."""
    before = await locked(db, id_, by.view)
    if before is None:
        return False
    check(before.version, match)
    await db.execute(delete(device).where(device.c.id == id_))
    await db.execute(delete(presence).where(presence.c.device == id_))
    await db.execute(delete(activity).where(activity.c.device == id_))
    await autoreplays.forget(db, id_)
    await db.execute(insert(outbox).values(device=id_))
    await _note(db, by, "purge", before, None, now)
    return True


async def _set_deleted(
    db: AsyncConnection, id_: str, by: Principal, now: int, match: Match, *, deleted: int | None
) -> Device | None:
    before = await locked(db, id_, by.view)
    if before is None or (before.deleted is None) == (deleted is None):
        return None
    check(before.version, match)
    after = replace(before, deleted=deleted, updated=now, version=before.version + 1)
    changed = {"deleted": deleted, "updated": now, "version": after.version}
    await db.execute(update(device).where(device.c.id == id_).values(changed))
    await db.execute(insert(outbox).values(device=id_))
    await _note(db, by, "restore" if deleted is None else "delete", before, after, now)
    return after


async def _note(
    db: AsyncConnection, by: Principal, what: str, before: Device | None, after: Device | None, now: int
) -> None:
    """Write into the audit log what somebody has done to a device, without what it told of itself."""
    target = before or after
    assert target is not None  # noqa: S101 - nothing is done to nothing
    await audit(db, by, f"device.{what}", f"device/{target.id}", audited(before), audited(after), now)


def audited(at: Device | None) -> dict[str, Any] | None:
    """Give what the audit log keeps of a device: all but what it told of itself."""
    return None if at is None else {name: value for name, value in vars(at).items() if name not in _OF_ITSELF}


async def locked(db: AsyncConnection, id_: str, view: View) -> Device | None:
    """Return one device, deleted or not, and keep others from changing it until the end of the transaction."""
    locked = await db.scalar(select(device.c.id).where(device.c.id == id_, seen(view)).with_for_update(of=device))
    return None if locked is None else await find(db, id_, view, deleted=True)
