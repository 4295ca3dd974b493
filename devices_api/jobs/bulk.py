"""Many devices at once, as rows of a file have them, within the caller's transaction.

What becomes of each row is what changing.create and changing.change would do with it, one after the other; the
statements are one for all rows of a kind.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from devices_api.access import Principal
from devices_api.audit import audit_all
from devices_api.jobs.device_files import Row
from devices_api.jobs.jobs import Mode
from devices_api.lists.searching import search_text
from devices_api.registry.changing import audited
from devices_api.registry.devices import Device, NewDevice
from devices_api.registry.rows import ALL_BUT_FACTS, add_members, add_tags, groups_of, register, to_device
from devices_api.registry.tree import held
from devices_api.registry.visible import seen, seen_group
from devices_api.tables import device, group, member, outbox, searched, tag

_AT_ONCE = 5000
_CHANGEABLE = ("name", "profile", "tags", "enabled", "zone", "calibration", "attributes", "latitude", "longitude")
_REFUSED = "the database refuses it"
_REGISTERED = "a device with this id is registered already"


@dataclass
class _Found:
    """What there is of the devices that rows are about, as it is after each row."""

    now: dict[str, Device]
    hidden: set[str]
    groups: set[str]
    before: dict[str, Device] = field(default_factory=dict)
    notes: dict[Literal["create", "change"], list[tuple[str, Any, Any]]] = field(
        default_factory=lambda: {"create": [], "change": []}
    )


async def take(
    db: AsyncConnection,
    rows: Sequence[Row],
    mode: Mode,
    by: Principal,
    now: int,
    *,
    dry: set[str] | None = None,
    taken: Collection[str] = (),
) -> list[str]:
    """Apply rows in order; returns for each what is wrong with it, empty for what was applied.

    With `dry`, nothing is changed: it has the ids that rows before these would have registered, and gets theirs. Ids
    that are `taken` are not registered.
    """
    await held(db)
    if taken and mode is not Mode.UPDATE:
        there = set(await db.scalars(select(device.c.id).where(device.c.id.in_(taken))))
        rows = [_refused(row) if row.id in taken and row.id not in there else row for row in rows]
    if dry is not None:
        return await _take(db, rows, mode, by, now, dry)
    try:
        async with db.begin_nested():
            return await _take(db, rows, mode, by, now, None)
    except (OperationalError, InterfaceError):
        raise
    except DBAPIError:  # such as a device that somebody else has registered in this moment: which one it is shows now
        return [await _one(db, row, mode, by, now) for row in rows]


def _refused(row: Row) -> Row:
    """Give a row that is refused as one of a device that is not seen would be."""
    return row if row.problem else row._replace(new=None, problem=_REGISTERED)


async def _one(db: AsyncConnection, row: Row, mode: Mode, by: Principal, now: int) -> str:
    try:
        async with db.begin_nested():
            return (await _take(db, [row], mode, by, now, None))[0]
    except (OperationalError, InterfaceError):
        raise
    except DBAPIError:
        return _REFUSED


async def _take(
    db: AsyncConnection, rows: Sequence[Row], mode: Mode, by: Principal, now: int, dry: set[str] | None
) -> list[str]:
    good = [row for row in rows if row.new is not None]
    found = await _found(db, good, by)
    if dry is not None:
        for row in good:
            if row.id in dry and row.id not in found.now:
                found.now[row.id] = Device(row.id, "", "", {}, enabled=True, created=now, updated=now)
    problems = [row.problem or _decided(row, mode, found, by, now) for row in rows]
    if dry is None:
        await _write(db, found, by, now)
    else:
        dry |= {target.partition("/")[2] for target, _, _ in found.notes["create"]}
    return problems


async def _found(db: AsyncConnection, rows: Sequence[Row], by: Principal) -> _Found:
    ids = sorted({row.id for row in rows})
    query = select(*ALL_BUT_FACTS, seen(by.view).label("seen")).where(device.c.id.in_(ids))
    there = (await db.execute(query.order_by(device.c.id).with_for_update(of=device))).all()
    groups = await groups_of(db, ids, by.view)
    now = {row.id: to_device(row, groups.get(row.id, [])) for row in there if row.seen}
    return _Found(now, {row.id for row in there if not row.seen}, await _groups(db, rows, by), dict(now))


async def _groups(db: AsyncConnection, rows: Sequence[Row], by: Principal) -> set[str]:
    named = sorted({id_ for row in rows if row.new is not None for id_ in row.new.groups})
    found: set[str] = set()
    for at in range(0, len(named), _AT_ONCE):
        some = named[at : at + _AT_ONCE]
        found |= set(await db.scalars(select(group.c.id).where(group.c.id.in_(some), seen_group(by.view))))
    return found


def _decided(row: Row, mode: Mode, found: _Found, by: Principal, now: int) -> str:
    """Do what a row says to what was found; returns what is wrong with it."""
    assert row.new is not None  # noqa: S101 - the row has no problem
    there = found.now.get(row.id)
    changing = mode is Mode.UPDATE or (mode is Mode.UPSERT and there is not None)
    if changing and (there is None or (there.deleted is not None and mode is Mode.UPDATE)):
        return "no device with this id is registered"
    if there is not None and there.deleted is not None:
        return "a device with this id was deleted; restore it first"
    if row.id in found.hidden or (there is not None and not changing):
        return _REGISTERED
    if (not changing or "groups" in row.change) and (problem := _misplaced(row.new.groups, found.groups, by)):
        return problem
    after = _made(row.new, now) if there is None else _changed(there, row, now)
    if after is not there:
        what: Literal["create", "change"] = "change" if there else "create"
        found.notes[what].append((f"device/{row.id}", audited(there), audited(after)))
        found.now[row.id] = after
    return ""


def _misplaced(groups: Collection[str], known: set[str], by: Principal) -> str:
    if not groups and by.view is not None:
        return "the key is limited to groups; name one of them, or one below it"
    return next((f"there is no group {id_!r}" for id_ in groups if id_ not in known), "")


def _made(new: NewDevice, now: int) -> Device:
    return Device(**vars(new) | {"groups": sorted(new.groups)}, created=now, updated=now)


def _changed(there: Device, row: Row, now: int) -> Device:
    new = {name: value for name, value in row.change.items() if getattr(there, name) != value}
    return Device(**vars(there) | new | {"updated": now, "version": there.version + 1}) if new else there


async def _write(db: AsyncConnection, found: _Found, by: Principal, now: int) -> None:
    made = [one for id_, one in found.now.items() if id_ not in found.before]
    if made:
        await register(
            db, [NewDevice(**{n: getattr(one, n) for n in NewDevice.__dataclass_fields__}) for one in made], now
        )
    pairs = [(was, found.now[id_]) for id_, was in found.before.items() if found.now[id_] is not was]
    changed = [is_ for _, is_ in pairs] + [one for one in made if one.version > 1]
    if changed:
        names = (*_CHANGEABLE, "updated", "version")
        values = [{name: getattr(one, name) for name in names} | {"id_": one.id} for one in changed]
        await db.execute(update(device).where(device.c.id == bindparam("id_")), values)
    if pairs:
        await _write_around(db, pairs)
    for what, notes in found.notes.items():
        await audit_all(db, by, f"device.{what}", notes, now)


async def _write_around(db: AsyncConnection, pairs: Sequence[tuple[Device, Device]]) -> None:
    """Write what is kept of changed devices beside their rows, and announce them."""
    tagged = [is_ for was, is_ in pairs if was.tags != is_.tags]
    if tagged:
        await db.execute(delete(tag).where(tag.c.device.in_([one.id for one in tagged])))
        await add_tags(db, [(one.id, one.tags) for one in tagged])
    texts = [
        {"id_": is_.id, "text": search_text(is_.id, is_.name, is_.tags)}
        for was, is_ in pairs
        if (was.name, was.tags) != (is_.name, is_.tags)
    ]
    if texts:
        await db.execute(update(searched).where(searched.c.device == bindparam("id_")), texts)
    gone = [{"d": was.id, "g": id_} for was, is_ in pairs for id_ in set(was.groups) - set(is_.groups)]
    if gone:
        out = (member.c.device == bindparam("d"), member.c.group_ == bindparam("g"))
        await db.execute(delete(member).where(*out), gone)
    await add_members(db, [(is_.id, set(is_.groups) - set(was.groups)) for was, is_ in pairs])
    await db.execute(insert(outbox), [{"device": is_.id} for _, is_ in pairs])
