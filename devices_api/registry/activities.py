"""When devices were last seen, and how many messages they have sent: rows in the registry database.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import ColumnElement, case, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.activity import Activity, Heard
from devices_api.database import WRITE, transaction
from devices_api.tables import activity, activity_heard, device
from devices_api.upserts import upsert

_AT_ONCE = 5000
"""Devices named in one query."""

_REMEMBERED_NS = 86_400_000_000_000
"""For so long messages are known to have been counted: none stays on the stream for longer than an hour."""


class Activities:
    """What the Activity messages have told, each counted once however often it comes."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def take(self, messages: Mapping[int, Activity], limit: int) -> int:
        """Add what messages tell, by their sequence on the stream, in one transaction.

        Of devices that are not registered, `limit` are kept; returns how many others there were.
        """
        async with transaction(self._writing) as db:
            rows = await db.execute(select(activity_heard).where(activity_heard.c.seq.in_(messages)))
            known = {(row.seq, row.at) for row in rows}
            new = {sequence: of for sequence, of in messages.items() if (sequence, of.at) not in known}
            if not new:
                return 0
            await db.execute(insert(activity_heard), [{"seq": sequence, "at": of.at} for sequence, of in new.items()])
            oldest = max(of.at for of in new.values()) - _REMEMBERED_NS
            await db.execute(delete(activity_heard).where(activity_heard.c.at < oldest))
            heard = _summed(new.values())
            strangers = await _unknown(db, list(heard))
            kept = await db.scalar(select(func.count()).select_from(activity).where(~_registered())) if strangers else 0
            refused = strangers[max(0, limit - (kept or 0)) :]
            for id_ in refused:
                del heard[id_]
            if heard:
                await _add(db, heard)
        return len(refused)


def _summed(messages: Iterable[Activity]) -> dict[str, Heard]:
    """Add up what several messages tell of the same devices."""
    found: dict[str, Heard] = {}
    for message in messages:
        for id_, heard in message.devices.items():
            before = found.get(id_)
            found[id_] = (
                heard if before is None else Heard(before.messages + heard.messages, max(before.last, heard.last))
            )
    return found


def _registered() -> ColumnElement[bool]:
    return select(device.c.id).where(device.c.id == activity.c.device).exists()


async def _unknown(db: AsyncConnection, ids: Sequence[str]) -> list[str]:
    """Give those of `ids` that are neither registered nor counted already, in order."""
    known: set[str] = set()
    for some in _parts(ids):
        known |= set(await db.scalars(select(device.c.id).where(device.c.id.in_(some))))
        known |= set(await db.scalars(select(activity.c.device).where(activity.c.device.in_(some))))
    return [id_ for id_ in ids if id_ not in known]


async def _add(db: AsyncConnection, heard: Mapping[str, Heard]) -> None:
    # In one order everywhere, so that two replicas never wait for each other's rows in a circle.
    rows = [{"device": id_, "last_seen": of.last, "messages": of.messages} for id_, of in sorted(heard.items())]
    given = upsert(db, activity)
    later = case(
        (given.excluded.last_seen > activity.c.last_seen, given.excluded.last_seen), else_=activity.c.last_seen
    )
    added = activity.c.messages + given.excluded.messages
    await db.execute(
        given.on_conflict_do_update(index_elements=["device"], set_={"last_seen": later, "messages": added}), rows
    )


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE))
