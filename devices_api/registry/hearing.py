"""What devices tell of themselves, taken into the database within the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.presence import Presence
from devices_api.registry.devices import NewDevice, Online, learn
from devices_api.registry.rows import register
from devices_api.tables import device, presence
from devices_api.upserts import upsert

_LONGEST_REASON = 256


@dataclass(frozen=True)
class Taken:
    """What came of presence messages.

    Devices registered, and refused for the limit; states not kept for it; facts of devices that are not registered,
    and facts refused because there are too many or they are too long.
    """

    registered: int = 0
    refused: int = 0
    forgotten: int = 0
    unregistered_facts: int = 0
    refused_facts: int = 0


async def take(db: AsyncConnection, messages: Sequence[Presence], now: int, limit: int) -> Taken:
    """Take in messages, in order; see Repository.take_presence."""
    registered, refused = await _see(db, messages, now, limit)
    # Devices before presence, and each in order: so two replicas, and whoever sends commands, never wait in a circle.
    unregistered_facts, refused_facts = await _describe(db, messages)
    forgotten = await _hear(db, messages, limit)
    return Taken(registered, refused, forgotten, unregistered_facts, refused_facts)


async def _see(db: AsyncConnection, messages: Sequence[Presence], now: int, limit: int) -> tuple[int, int]:
    seen = dict.fromkeys(message.device for message in messages if message.state == "seen")
    if not seen:
        return 0, 0
    known = set(await db.scalars(select(device.c.id).where(device.c.id.in_(seen))))
    unknown = [id_ for id_ in seen if id_ not in known]
    if not unknown:
        return 0, 0
    room = max(0, limit - ((await db.scalar(select(func.count()).select_from(device))) or 0))
    if room:
        await register(db, [NewDevice(id_, id_) for id_ in unknown[:room]], now)
    return len(unknown[:room]), len(unknown[room:])


async def _hear(db: AsyncConnection, messages: Sequence[Presence], limit: int) -> int:
    told = [message for message in messages if message.state in ("online", "offline")]
    if not told:
        return 0
    ids = {message.device for message in told}
    query = select(presence).where(presence.c.device.in_(ids)).order_by(presence.c.device)
    rows = await db.execute(query.with_for_update())
    before = {row.device: Online(row.online, row.changed, row.at, row.reason) for row in rows}
    after = dict(before)
    for message in told:
        online, at, reason = message.state == "online", message.at, message.reason[:_LONGEST_REASON]
        last = after.get(message.device) or Online(online, at, at)
        after[message.device] = last.hear(online=online, at=at, reason=reason)
    for id_, state in after.items():
        if id_ in before and state != before[id_]:
            await db.execute(update(presence).where(presence.c.device == id_).values(vars(state)))
    new = [id_ for id_ in after if id_ not in before]
    kept = await _keepable(db, new, limit)
    if kept:
        await _add(db, {id_: after[id_] for id_ in sorted(kept)})
    return len(new) - len(kept)


async def _add(db: AsyncConnection, new: dict[str, Online]) -> None:
    """Insert what devices that have no row told; where another replica has just made one, the later state holds."""
    given = upsert(db, presence)
    same = given.excluded.online == presence.c.online
    told: dict[str, ColumnElement[Any]] = {name: given.excluded[name] for name in ("online", "at", "reason")}
    told["changed"] = case((same, presence.c.changed), else_=given.excluded.changed)
    later = given.on_conflict_do_update(index_elements=["device"], set_=told, where=given.excluded.at >= presence.c.at)
    await db.execute(later, [{"device": id_, **vars(state)} for id_, state in new.items()])


async def _keepable(db: AsyncConnection, new: list[str], limit: int) -> list[str]:
    """Those of `new` whose state is kept: all that are registered, and as many others as there is room for."""
    if not new:
        return []
    known = set(await db.scalars(select(device.c.id).where(device.c.id.in_(new))))
    strangers = [id_ for id_ in new if id_ not in known]
    if strangers:
        registered = select(device.c.id).where(device.c.id == presence.c.device).exists()
        kept = await db.scalar(select(func.count()).select_from(presence).where(~registered))
        strangers = strangers[: max(0, limit - (kept or 0))]
    return [*known, *strangers]


async def _describe(db: AsyncConnection, messages: Sequence[Presence]) -> tuple[int, int]:
    """Merge the facts that devices tell; counts those of strangers, and those that cannot be kept."""
    told = [message for message in messages if message.state == "described"]
    if not told:
        return 0, 0
    ids = {message.device for message in told}
    query = select(device.c.id, device.c.facts).where(device.c.id.in_(ids)).order_by(device.c.id)
    rows = await db.execute(query.with_for_update())
    before: dict[str, dict[str, str]] = {row.id: row.facts for row in rows}
    after = dict(before)
    strangers = refused = 0
    for message in told:
        if message.device in after:
            after[message.device], too_much = learn(after[message.device], message.facts)
            refused += too_much
        else:
            strangers += len(message.facts)
    for id_, facts in after.items():
        if facts != before[id_]:
            await db.execute(update(device).where(device.c.id == id_).values(facts=facts))
    return strangers, refused
