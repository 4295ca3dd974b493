"""Queries of the registry database. Each method is one transaction, and a change and its outbox row are in the same.

Every method raises UnavailableError if the database cannot be reached now.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.presence import Presence
from devices_api.database import WRITE
from devices_api.devices import Change, Device, NewDevice, Online
from devices_api.errors import ExistsError, UnavailableError
from devices_api.tables import device, outbox, presence

NAME = "database"

_DEVICES = select(device, presence.c.online, presence.c.changed.label("last_changed")).outerjoin(
    presence, presence.c.device == device.c.id
)


@dataclass(frozen=True)
class Pending:
    """A device whose record the bucket does not hold yet: `now` is None if it is not registered any more."""

    device: str
    rows: list[int]
    now: Device | None


@dataclass(frozen=True)
class Taken:
    """What came of presence messages: devices registered, refused for the limit, and states not kept for it."""

    registered: int = 0
    refused: int = 0
    forgotten: int = 0


class Repository:
    """The devices, their presence and the outbox."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def create(self, new: NewDevice, now: int) -> Device:
        """Register a device. Raises ExistsError if there is one with its id."""
        try:
            async with _transaction(self._writing) as db:
                await _register(db, [new], now)
                return _device((await db.execute(_DEVICES.where(device.c.id == new.id))).one())
        except IntegrityError as error:
            raise ExistsError(new.id) from error

    async def get(self, id_: str) -> Device | None:
        """Return one device, or None."""
        async with _transaction(self._engine) as db:
            row = (await db.execute(_DEVICES.where(device.c.id == id_))).first()
        return _device(row) if row else None

    async def page(self, after: str | None, limit: int) -> list[Device]:
        """Return the first `limit` devices whose id is greater than `after`, by id."""
        query = _DEVICES.order_by(device.c.id).limit(limit)
        if after is not None:
            query = query.where(device.c.id > after)
        async with _transaction(self._engine) as db:
            return [_device(row) for row in await db.execute(query)]

    async def change(self, id_: str, change: Change, now: int) -> Device | None:
        """Replace what `change` names; returns the device as it is then, or None if there is none."""
        async with _transaction(self._writing) as db:
            row = (await db.execute(_DEVICES.where(device.c.id == id_).with_for_update(of=device))).first()
            if row is None:
                return None
            before = _device(row)
            new = {key: value for key, value in change.items() if getattr(before, key) != value}
            if not new:
                return before
            new["updated"] = now
            await db.execute(update(device).where(device.c.id == id_).values(new))
            await db.execute(insert(outbox).values(device=id_))
        return Device(**vars(before) | new)

    async def remove(self, id_: str) -> bool:
        """Remove a device and what it told of itself; False if there is none."""
        async with _transaction(self._writing) as db:
            if not (await db.execute(delete(device).where(device.c.id == id_))).rowcount:
                return False
            await db.execute(delete(presence).where(presence.c.device == id_))
            await db.execute(insert(outbox).values(device=id_))
        return True

    async def take_presence(self, messages: Sequence[Presence], now: int, limit: int) -> Taken:
        """Take in presence messages, in order, in one transaction.

        A device that was `seen` is registered unless the registry holds `limit` devices. Of devices that are not
        registered, `limit` states are kept.
        """
        async with _transaction(self._writing) as db:
            registered, refused = await self._see(db, messages, now, limit)
            forgotten = await self._hear(db, messages, limit)
        return Taken(registered, refused, forgotten)

    async def _see(self, db: AsyncConnection, messages: Sequence[Presence], now: int, limit: int) -> tuple[int, int]:
        seen = dict.fromkeys(message.device for message in messages if message.state == "seen")
        if not seen:
            return 0, 0
        known = set(await db.scalars(select(device.c.id).where(device.c.id.in_(seen))))
        unknown = [id_ for id_ in seen if id_ not in known]
        if not unknown:
            return 0, 0
        room = max(0, limit - ((await db.scalar(select(func.count()).select_from(device))) or 0))
        if room:
            await _register(db, [NewDevice(id_, id_) for id_ in unknown[:room]], now)
        return len(unknown[:room]), len(unknown[room:])

    async def _hear(self, db: AsyncConnection, messages: Sequence[Presence], limit: int) -> int:
        told = [message for message in messages if message.state != "seen"]
        if not told:
            return 0
        ids = {message.device for message in told}
        rows = await db.execute(select(presence).where(presence.c.device.in_(ids)))
        before = {row.device: Online(row.online, row.changed, row.at) for row in rows}
        after = dict(before)
        for message in told:
            online, at = message.state == "online", message.at
            last = after.get(message.device)
            after[message.device] = Online(online, at, at) if last is None else last.hear(online=online, at=at)
        for id_, state in after.items():
            if id_ in before and state != before[id_]:
                await db.execute(update(presence).where(presence.c.device == id_).values(vars(state)))
        new = [id_ for id_ in after if id_ not in before]
        kept = await self._keepable(db, new, limit)
        if kept:
            await db.execute(insert(presence), [{"device": id_, **vars(after[id_])} for id_ in kept])
        return len(new) - len(kept)

    async def _keepable(self, db: AsyncConnection, new: list[str], limit: int) -> list[str]:
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

    async def pending(self, limit: int) -> list[Pending]:
        """Return the devices of the oldest `limit` rows of the outbox, in order, each once and as it is now."""
        query = (
            select(outbox.c.seq, outbox.c.device.label("changed"), device)
            .outerjoin(device, device.c.id == outbox.c.device)
            .order_by(outbox.c.seq)
            .limit(limit)
        )
        found: dict[str, Pending] = {}
        async with _transaction(self._engine) as db:
            for row in await db.execute(query):
                now = None if row.id is None else _device(row)
                found.setdefault(row.changed, Pending(row.changed, [], now)).rows.append(row.seq)
        return list(found.values())

    async def published(self, rows: Sequence[int]) -> None:
        """Take rows off the outbox: the bucket has what they announced."""
        async with _transaction(self._writing) as db:
            await db.execute(delete(outbox).where(outbox.c.seq.in_(rows)))

    async def outbox_size(self) -> int:
        """Count the outbox's rows."""
        async with _transaction(self._engine) as db:
            return (await db.scalar(select(func.count()).select_from(outbox))) or 0

    async def announce_all(self) -> int:
        """Put every device on the outbox, for a bucket that lost its records; returns how many there are."""
        async with _transaction(self._writing) as db:
            everything = select(device.c.id).order_by(device.c.id)
            return (await db.execute(insert(outbox).from_select(["device"], everything))).rowcount

    async def check(self) -> None:
        """Raise UnavailableError if the database does not answer."""
        async with _transaction(self._engine) as db:
            await db.execute(select(literal(1)))

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()


@contextlib.asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Commit at the end, roll back on an error; the database being away is an error of ours."""
    try:
        async with engine.begin() as connection:
            yield connection
    except (OperationalError, InterfaceError, PoolTimeoutError, OSError) as error:
        raise UnavailableError(NAME) from error


async def _register(db: AsyncConnection, new: list[NewDevice], now: int) -> None:
    await db.execute(insert(device), [{**vars(item), "created": now, "updated": now} for item in new])
    await db.execute(insert(outbox), [{"device": item.id} for item in new])


def _device(row: Row[Any]) -> Device:
    values = row._mapping  # noqa: SLF001 - the documented way to a row's names
    return Device(**{name: values[name] for name in Device.__dataclass_fields__ if name in values})
