"""Queries of the outbox: which records the bucket does not hold as they are now, and what they are.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.devices import DeviceRecord, ProfileRecord, kv_key, profile_key
from devices_api.database import WRITE, transaction
from devices_api.registry.profile_repository import profiles_of
from devices_api.registry.profiles import profile_record, record_of
from devices_api.registry.rows import ALL_BUT_FACTS, to_device
from devices_api.tables import device, group, member, outbox, profile


@dataclass(frozen=True)
class Pending:
    """What the bucket does not hold yet: `record` is None if there is no such device, or profile, any more."""

    kind: Literal["device", "profile"]
    id: str
    rows: list[int]
    record: DeviceRecord | ProfileRecord | None

    @property
    def key(self) -> str:
        """Its key in the bucket."""
        return kv_key(self.id) if self.kind == "device" else profile_key(self.id)


class Outbox:
    """What has to be published. A change puts it here, in its own transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def pending(self, limit: int) -> list[Pending]:
        """Return what the oldest `limit` rows are about, in order, each once and as it is now."""
        rows: dict[tuple[Literal["device", "profile"], str], list[int]] = {}
        async with transaction(self._engine) as db:
            for row in await db.execute(select(outbox).order_by(outbox.c.seq).limit(limit)):
                rows.setdefault((row.kind, row.device), []).append(row.seq)
            devices = await _devices(db, [id_ for kind, id_ in rows if kind == "device"])
            profiles = await profiles_of(db, [id_ for kind, id_ in rows if kind == "profile"])
        records = {id_: profile_record(of) for id_, of in profiles.items()}
        return [
            Pending(kind, id_, seqs, devices.get(id_) if kind == "device" else records.get(id_))
            for (kind, id_), seqs in rows.items()
        ]

    async def published(self, rows: Sequence[int]) -> None:
        """Take rows off: the bucket has what they announced."""
        async with transaction(self._writing) as db:
            await db.execute(delete(outbox).where(outbox.c.seq.in_(rows)))

    async def size(self) -> int:
        """Count the rows."""
        async with transaction(self._engine) as db:
            return (await db.scalar(select(func.count()).select_from(outbox))) or 0

    async def announce_all(self) -> int:
        """Put everything here, for a bucket that lost its records; returns how much that is.

        Profiles come first: a device without its profile's record would be one of which nothing is asked.
        """
        async with transaction(self._writing) as db:
            count = 0
            for kind, id_ in (("profile", profile.c.id), ("device", device.c.id)):
                everything = select(id_, literal(kind)).order_by(id_)
                count += (await db.execute(insert(outbox).from_select(["device", "kind"], everything))).rowcount
            return count


async def _devices(db: AsyncConnection, ids: Collection[str]) -> dict[str, DeviceRecord]:
    """Return the records of those of the devices that there are, by id."""
    if not ids:
        return {}
    paths = select(member.c.device, group.c.path).join(group, group.c.id == member.c.group_)
    groups: dict[str, set[str]] = {}
    for id_, path in await db.execute(paths.where(member.c.device.in_(ids))):
        groups.setdefault(id_, set()).update(path.strip("/").split("/"))
    rows = await db.execute(select(*ALL_BUT_FACTS).where(device.c.id.in_(ids)))
    return {row.id: record_of(to_device(row, []), sorted(groups.get(row.id, ()))) for row in rows}
