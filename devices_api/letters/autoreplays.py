"""Queries of the table `auto_replay`: whose dead letters are to be replayed by themselves, and when.

What asks for it is in the caller's transaction, so it is lost only together with the registration or the presence
message that was its cause. The other methods raise UnavailableError if the database cannot be reached now.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.deadletters import Reason
from contracts.presence import Presence
from devices_api.database import WRITE, transaction
from devices_api.registry.visible import live
from devices_api.tables import auto_replay, device, outbox

SECOND = 1_000_000_000
AGAIN_NS = (5 * SECOND, 60 * SECOND)
"""When the next pass follows a pass: an ingest that had not heard of the change yet has rejected messages meanwhile."""


@dataclass(frozen=True)
class AutoReplay:
    """Dead letters of `device` with `reason`, received at `since` ns or later, that are to be replayed now."""

    device: str
    reason: str
    since: int
    asked: int
    passes: int


_UNCHANGED = update(auto_replay).where(
    *(auto_replay.c[name] == bindparam(f"{name}_now") for name in AutoReplay.__dataclass_fields__)
)
"""The row of an AutoReplay, if nothing was asked anew meanwhile."""


async def registered(db: AsyncConnection, devices: Sequence[str], now: int) -> None:
    """Ask for all dead letters that devices, which are new in the registry, lacked a registration for."""
    reasons = (Reason.UNKNOWN_DEVICE, Reason.UNKNOWN_ALIAS)
    new = {"since": 0, "asked": 0, "due": now, "passes": 0}
    await db.execute(insert(auto_replay), [new | {"device": id_, "reason": r} for id_ in devices for r in reasons])


async def heard(db: AsyncConnection, messages: Sequence[Presence], now: int) -> None:
    """Ask for the dead letters that registered devices, which have come online, lacked a birth certificate for.

    Those that had their chance when the device came online before are left: a device may name for ever what it never
    explains.
    """
    online = {message.device: message.at for message in messages if message.state == "online"}
    if not online:
        return
    of_alias = auto_replay.c.reason == Reason.UNKNOWN_ALIAS
    query = (
        select(device.c.id, auto_replay)
        .outerjoin(auto_replay, (auto_replay.c.device == device.c.id) & of_alias)
        .where(device.c.id.in_(online))
    )
    new, again = [], []
    for row in (await db.execute(query)).all():
        asked = {"asked": online[row.id], "due": now, "passes": 0}
        if row.device is None:
            new.append(asked | {"device": row.id, "reason": Reason.UNKNOWN_ALIAS, "since": 0})
        else:
            tried = row.due is None or row.passes > 0
            again.append(asked | {"id": row.id, "since": row.asked if tried else row.since})
    if new:
        await db.execute(insert(auto_replay), new)
    if again:
        await db.execute(update(auto_replay).where(of_alias & (auto_replay.c.device == bindparam("id"))), again)


async def forget(db: AsyncConnection, device_: str) -> None:
    """Drop what was asked for a device that is removed."""
    await db.execute(delete(auto_replay).where(auto_replay.c.device == device_))


class AutoReplays:
    """What is due, and what comes of it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def due(self, now: int, limit: int) -> list[AutoReplay]:
        """Return what is due at `now`, the longest due first, of devices that are enabled.

        The bucket has them as such, and their profiles as they are.
        """
        query = (
            select(*(auto_replay.c[name] for name in AutoReplay.__dataclass_fields__))
            .join(device, (device.c.id == auto_replay.c.device) & device.c.enabled & live())
            .where(
                auto_replay.c.due <= now,
                device.c.id.not_in(select(outbox.c.device).where(outbox.c.kind == "device")),
                device.c.profile.not_in(select(outbox.c.device).where(outbox.c.kind == "profile")),
            )
            .order_by(auto_replay.c.due)
            .limit(limit)
        )
        async with transaction(self._engine) as db:
            return [AutoReplay(*row) for row in await db.execute(query)]

    async def passed(self, items: Sequence[AutoReplay], now: int) -> None:
        """Note that `items` have been replayed once more; what was asked anew meanwhile stays due."""
        rows = [
            _named(item)
            | {
                "due_next": now + AGAIN_NS[item.passes] if item.passes < len(AGAIN_NS) else None,
                "passes_then": item.passes + 1,
            }
            for item in items
        ]
        change = _UNCHANGED.values(due=bindparam("due_next"), passes=bindparam("passes_then"))
        async with transaction(self._writing) as db:
            await db.execute(change, rows)

    async def postpone(self, item: AutoReplay, due: int) -> None:
        """Put off one that failed, so that it does not hold up the others."""
        async with transaction(self._writing) as db:
            await db.execute(_UNCHANGED.values(due=bindparam("due_next")), [_named(item) | {"due_next": due}])


def _named(item: AutoReplay) -> dict[str, object]:
    """Give what _UNCHANGED compares with."""
    return {f"{name}_now": value for name, value in vars(item).items()}
