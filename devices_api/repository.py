"""Queries of the registry database. Each method is one transaction, and a change and its outbox row are in the same.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, literal, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts.devices import DeviceRecord
from contracts.presence import Presence
from devices_api import autoreplays, changing, hearing
from devices_api.access import Principal, View
from devices_api.audit import AuditLog
from devices_api.autoreplays import AutoReplays
from devices_api.changing import Match
from devices_api.database import WRITE, transaction
from devices_api.devices import Change, Device, NewDevice
from devices_api.errors import ExistsError
from devices_api.filter_sql import condition
from devices_api.filters import Filter
from devices_api.hearing import Taken
from devices_api.profile_repository import ProfileRepository, profiles_of
from devices_api.profiles import record_of
from devices_api.rows import ALL_BUT_FACTS, DEVICES, to_device, to_devices
from devices_api.tables import device, outbox
from devices_api.visible import live, seen


@dataclass(frozen=True)
class Pending:
    """A device whose record the bucket does not hold yet: `record` is None if it is not registered any more."""

    device: str
    rows: list[int]
    record: DeviceRecord | None


class Repository:
    """The devices, their presence and the outbox, the `profiles`, and what is replayed by itself (`auto_replays`)."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)
        self.profiles = ProfileRepository(engine)
        self.auto_replays = AutoReplays(engine)
        self.audit = AuditLog(engine)

    async def create(self, new: NewDevice, by: Principal, now: int) -> Device:
        """Register a device; see changing.create."""
        try:
            async with transaction(self._writing) as db:
                return await changing.create(db, new, by, now)
        except IntegrityError as error:
            raise ExistsError(new.id) from error

    async def get(self, id_: str, view: View = None, *, deleted: bool = False) -> Device | None:
        """Return one device, or None if there is none that `view` shows; with `deleted`, also one that is."""
        async with transaction(self._engine) as db:
            return await changing.find(db, id_, view, deleted=deleted)

    async def zone(self, id_: str) -> str:
        """Return the time zone of a device: its own or else its profile's, empty where neither names one."""
        async with transaction(self._engine) as db:
            row = (await db.execute(select(device.c.zone, device.c.profile).where(device.c.id == id_))).first()
            if row is None or row.zone:
                return "" if row is None else row.zone
            made = await profiles_of(db, [row.profile])
        return made[row.profile].zone if row.profile in made else ""

    async def page(self, after: str | None, limit: int, view: View = None, *, deleted: bool = False) -> list[Device]:
        """Return the first `limit` devices whose id is greater than `after`; those that are `deleted`, or not."""
        which = device.c.deleted.is_not(None) if deleted else live()
        query = DEVICES.where(which, seen(view)).order_by(device.c.id).limit(limit)
        if after is not None:
            query = query.where(device.c.id > after)
        async with transaction(self._engine) as db:
            return await to_devices(db, (await db.execute(query)).all(), view)

    async def matching(self, devices: Collection[str], filter_: Filter | None, view: View) -> set[str]:
        """Return those of `devices` that `filter_` means, all where there is none, and that `view` shows."""
        query = select(device.c.id).where(device.c.id.in_(devices), seen(view))
        if filter_ is not None:
            query = query.where(condition(filter_, self._engine.dialect.name))
        if filter_ is None or "deleted" not in filter_.fields:
            query = query.where(live())
        async with transaction(self._engine) as db:
            return set(await db.scalars(query))

    async def change(self, id_: str, change: Change, by: Principal, now: int, match: Match = None) -> Device | None:
        """Replace what `change` names; see changing.change."""
        async with transaction(self._writing) as db:
            return await changing.change(db, id_, change, by, now, match)

    async def remove(self, id_: str, by: Principal, now: int, match: Match = None) -> Device | None:
        """Delete a device so that it can be restored; see changing.remove."""
        async with transaction(self._writing) as db:
            return await changing.remove(db, id_, by, now, match)

    async def restore(self, id_: str, by: Principal, now: int, match: Match = None) -> Device | None:
        """Undo a deletion; see changing.restore."""
        async with transaction(self._writing) as db:
            return await changing.restore(db, id_, by, now, match)

    async def purge(self, id_: str, by: Principal, now: int, match: Match = None) -> bool:
        """Remove a device for good; see changing.purge."""
        async with transaction(self._writing) as db:
            return await changing.purge(db, id_, by, now, match)

    async def take_presence(self, messages: Sequence[Presence], now: int, limit: int) -> Taken:
        """Take in presence messages, in order, in one transaction.

        A device that was `seen` is registered unless the registry holds `limit` devices. Of devices that are not
        registered, `limit` states are kept, and no facts.
        """
        async with transaction(self._writing) as db:
            taken = await hearing.take(db, messages, now, limit)
            await autoreplays.heard(db, messages, now)
        return taken

    async def pending(self, limit: int) -> list[Pending]:
        """Return the devices of the oldest `limit` rows of the outbox, in order, each once and as it is now."""
        query = (
            select(outbox.c.seq, outbox.c.device.label("changed"), *ALL_BUT_FACTS)
            .outerjoin(device, device.c.id == outbox.c.device)
            .order_by(outbox.c.seq)
            .limit(limit)
        )
        rows: dict[str, list[int]] = {}
        devices: dict[str, Device] = {}
        async with transaction(self._engine) as db:
            for row in await db.execute(query):
                rows.setdefault(row.changed, []).append(row.seq)
                if row.id is not None:
                    devices[row.changed] = to_device(row, [])
            profiles = await profiles_of(db, {found.profile for found in devices.values()})
        records = {id_: record_of(found, profiles.get(found.profile)) for id_, found in devices.items()}
        return [Pending(id_, seqs, records.get(id_)) for id_, seqs in rows.items()]

    async def published(self, rows: Sequence[int]) -> None:
        """Take rows off the outbox: the bucket has what they announced."""
        async with transaction(self._writing) as db:
            await db.execute(delete(outbox).where(outbox.c.seq.in_(rows)))

    async def outbox_size(self) -> int:
        """Count the outbox's rows."""
        async with transaction(self._engine) as db:
            return (await db.scalar(select(func.count()).select_from(outbox))) or 0

    async def announce_all(self) -> int:
        """Put every device on the outbox, for a bucket that lost its records; returns how many there are."""
        async with transaction(self._writing) as db:
            everything = select(device.c.id).order_by(device.c.id)
            return (await db.execute(insert(outbox).from_select(["device"], everything))).rowcount

    async def check(self) -> None:
        """Raise UnavailableError if the database does not answer."""
        async with transaction(self._engine) as db:
            await db.execute(select(literal(1)))

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()
