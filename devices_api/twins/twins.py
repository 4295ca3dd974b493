"""The twins in the registry database. Each method is one transaction; a change and its outbox row are in the same.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.presence import Presence
from contracts.versions import Match, check
from devices_api.access import Principal, View
from devices_api.audit import audit
from devices_api.database import WRITE, transaction
from devices_api.registry.visible import live, seen
from devices_api.tables import device
from devices_api.tables_twins import twin, twin_outbox
from devices_api.twins.twin import At, State, Twin, after_all, difference, forget, merge, state_of
from devices_api.twins.twin import check as check_state
from devices_api.upserts import upsert

Kind = Literal["desired", "delta"]

LEASE_NS = 30_000_000_000
"""How long a replica has a row of the outbox in hand before another takes it to have died."""


@dataclass(frozen=True)
class Report:
    """What a device has reported: a merge patch that came `at` a time, and the version that it has applied."""

    device: str
    patch: State
    applied: int | None
    at: At


@dataclass(frozen=True)
class Due:
    """What a device has to be told, of its twin as it is now; None if it has none any more."""

    device: str
    kind: Kind
    change: int
    twin: Twin | None


class UnknownDeviceError(Exception):
    """No such device is registered."""


class Twins:
    """Reads and changes them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def get(self, id_: str, view: View = None) -> Twin | None:
        """Return a device's twin, which may be empty; None if there is no such device that `view` shows."""
        async with transaction(self._engine) as db:
            if await db.scalar(select(device.c.id).where(device.c.id == id_, seen(view), live())) is None:
                return None
            return (await _find(db, [id_]))[id_]

    async def desire(
        self, id_: str, wanted: State, by: Principal, now: int, match: Match = None, *, whole: bool = False
    ) -> Twin | None:
        """Merge a patch into the desired state, or replace the `whole` of it, and have the device told.

        Returns the twin as it is then; None if there is no such device. Raises StaleError if its version is not one of
        `match`, ValueError if the state would become too large.
        """
        async with transaction(self._writing) as db:
            before = (await _locked(db, [id_], by.view)).get(id_)
            if before is None:
                return None
            check(before.version, match)
            was = state_of(before.desired)
            patch = difference(was, wanted) if whole else wanted
            desired = forget(merge(before.desired, patch, after_all(before.desired, now)), now)
            is_ = check_state(state_of(desired))
            if not difference(was, is_):
                return before
            after = replace(before, desired=desired, version=before.version + 1)
            await _write(db, [after])
            await _tell(db, [id_], "desired", now)
            await audit(db, by, "twin.desired", f"device/{id_}", {"desired": was}, {"desired": is_}, now)
            return after

    async def report(self, id_: str, patch: State, by: Principal, now: int) -> Twin | None:
        """Merge a patch into the reported state, for a device that does not itself.

        Returns the twin as it is then; None if there is no such device. Raises ValueError as above.
        """
        async with transaction(self._writing) as db:
            before = (await _locked(db, [id_], by.view)).get(id_)
            if before is None:
                return None
            after = _reported(before, Report(id_, patch, None, (now, 0)), now)
            await _write(db, [after])
            was, is_ = ({"reported": state_of(at.reported)} for at in (before, after))
            if was != is_:
                await audit(db, by, "twin.reported", f"device/{id_}", was, is_, now)
            return after

    async def take_reports(self, reports: Sequence[Report], now: int) -> None:
        """Take what devices report, in any order; one that reports nothing (`{}`) asks what it lacks.

        Raises UnknownDeviceError, or ValueError as above, and has taken none of them then.
        """
        async with transaction(self._writing) as db:
            before = await _locked(db, {report.device for report in reports}, None)
            after = dict(before)
            for report in reports:
                if report.device not in after:
                    raise UnknownDeviceError(report.device)
                after[report.device] = _reported(after[report.device], report, now)
            await _write(db, [twin for id_, twin in after.items() if twin != before[id_]])
            await _tell(db, {report.device for report in reports if not report.patch}, "delta", now)

    async def take_due(self, now: int, limit: int) -> list[Due]:
        """Take in hand what devices have to be told, the oldest first; nobody else gets it for `LEASE_NS`."""
        key = tuple_(twin_outbox.c.device, twin_outbox.c.kind)
        oldest = (
            select(twin_outbox.c.device, twin_outbox.c.kind)
            .where(twin_outbox.c.lease <= now)
            .order_by(twin_outbox.c.since)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        taken = update(twin_outbox).where(key.in_(oldest)).values(lease=now + LEASE_NS)
        columns = (twin_outbox.c.device, twin_outbox.c.kind, twin_outbox.c.change)
        async with transaction(self._writing) as db:
            if not (await db.execute(oldest.limit(1))).first():
                return []
            rows = (await db.execute(taken.returning(*columns))).all()
            found = await db.execute(select(twin).where(twin.c.device.in_([row.device for row in rows])))
            twins = {row.device: Twin(**row._mapping) for row in found}  # noqa: SLF001 - the documented way
        return [Due(row.device, row.kind, row.change, twins.get(row.device)) for row in rows]

    async def told(self, done: Sequence[Due], failed: Sequence[Due]) -> None:
        """Take off the outbox what was `done`, unless it has changed meanwhile, and give back what has not."""
        async with transaction(self._writing) as db:
            taken = {(item.device, item.kind): item for item in done}
            for one in sorted((item.device, item.kind) for item in (*done, *failed)):  # the order of `_tell`
                row = (twin_outbox.c.device == one[0]) & (twin_outbox.c.kind == one[1])
                if (item := taken.get(one)) is not None:
                    await db.execute(delete(twin_outbox).where(row, twin_outbox.c.change == item.change))
                await db.execute(update(twin_outbox).where(row).values(lease=0))


async def came_online(db: AsyncConnection, messages: Sequence[Presence], now: int) -> None:
    """Have the devices that came online, and are to be something, told what they lack, in the caller's transaction."""
    ids = {message.device for message in messages if message.state == "online"}
    if ids:
        wanted = await db.scalars(select(twin.c.device).where(twin.c.device.in_(ids), twin.c.version > 0))
        await _tell(db, wanted.all(), "delta", now)


async def purged(db: AsyncConnection, id_: str, now: int) -> None:
    """Have the broker forget what it may keep for a device that is gone for good, in the caller's transaction."""
    await _tell(db, [id_], "desired", now)


async def _find(db: AsyncConnection, ids: Collection[str]) -> dict[str, Twin]:
    rows = await db.execute(select(twin).where(twin.c.device.in_(ids)))
    return {id_: Twin(id_) for id_ in ids} | {row.device: Twin(**row._mapping) for row in rows}  # noqa: SLF001 - the documented way


async def _locked(db: AsyncConnection, ids: Collection[str], view: View) -> dict[str, Twin]:
    """Return the twins of those devices that there are, and keep others from changing them until the end."""
    # In one order, so that two replicas do not wait for each other.
    found = select(device.c.id).where(device.c.id.in_(ids), seen(view), live()).order_by(device.c.id)
    return await _find(db, (await db.scalars(found.with_for_update(of=device))).all())


async def _write(db: AsyncConnection, twins: Sequence[Twin]) -> None:
    if not twins:
        return
    statement = upsert(db, twin)
    new = {column.name: statement.excluded[column.name] for column in twin.c if not column.primary_key}
    await db.execute(statement.on_conflict_do_update(index_elements=["device"], set_=new), [vars(one) for one in twins])


def _reported(before: Twin, report: Report, now: int) -> Twin:
    reported = forget(merge(before.reported, report.patch, report.at), now)
    changed = bool(difference(state_of(before.reported), check_state(state_of(reported))))
    applied = before.applied if report.applied is None else max(report.applied, before.applied or 0)
    return replace(before, reported=reported, reports=before.reports + changed, applied=applied)


async def _tell(db: AsyncConnection, devices: Collection[str], kind: Kind, now: int) -> None:
    if not devices:
        return
    rows = [{"device": id_, "kind": kind, "change": 1, "since": now, "lease": 0} for id_ in sorted(devices)]
    once_more = {"change": twin_outbox.c.change + 1}
    statement = upsert(db, twin_outbox).on_conflict_do_update(index_elements=["device", "kind"], set_=once_more)
    await db.execute(statement, rows)
