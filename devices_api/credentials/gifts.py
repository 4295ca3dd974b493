"""What a device gets that registers itself, by a claim key or an authority; within the caller's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.devices import DEFAULT_PROFILE
from devices_api.access import Principal
from devices_api.audit import audit
from devices_api.registry.devices import NewDevice, learn
from devices_api.registry.rows import register
from devices_api.tables import device, group


@dataclass(frozen=True)
class Gifts:
    """A new device's profile, groups and tags."""

    profile: str = DEFAULT_PROFILE
    groups: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {"profile": self.profile, "groups": list(self.groups), "tags": self.tags}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `stored` gave."""
        return cls(stored["profile"], tuple(stored["groups"]), dict(stored["tags"]))


async def give(db: AsyncConnection, id_: str, gifts: Gifts, facts: Mapping[str, str], by: Principal, now: int) -> None:
    """Register a device with what it gets; groups that are gone are left out. Raises IntegrityError if there is one."""
    groups = list(await db.scalars(select(group.c.id).where(group.c.id.in_(gifts.groups)).order_by(group.c.id)))
    await register(db, [NewDevice(id_, id_, gifts.profile, gifts.tags, groups=groups)], now)
    known, _ = learn({}, facts)
    if known:
        await db.execute(update(device).where(device.c.id == id_).values(facts=known))
    made = {"id": id_, "profile": gifts.profile, "tags": gifts.tags, "groups": groups}
    await audit(db, by, "device.create", f"device/{id_}", None, made, now)
