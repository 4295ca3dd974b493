"""Which devices a request about telemetry means: reads of the registry that ask for no more than that."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from devices_api.access import View
from devices_api.database import transaction
from devices_api.lists.choice import Chosen
from devices_api.lists.filters import Filter
from devices_api.lists.listing import where
from devices_api.registry.visible import live, seen
from devices_api.tables import device, profile

_ZONE = case((device.c.zone != "", device.c.zone), else_=func.coalesce(profile.c.zone, ""))
_ZONES = select(device.c.id, _ZONE.label("zone")).outerjoin(profile, profile.c.id == device.c.profile).where(live())


class Addressed:
    """Devices by id or by a filter, each with its time zone: its own or else its profile's, empty for none.

    Each method is one read. Raises UnavailableError if the database cannot be reached now.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def named(self, ids: Sequence[str], view: View) -> dict[str, str]:
        """Return those of `ids` that are registered and that `view` shows."""
        return await self._read(and_(device.c.id.in_(ids), seen(view)), len(ids))

    async def profiles(self, ids: Sequence[str], view: View) -> dict[str, str]:
        """Return the profiles of those of `ids` that are registered and that `view` shows."""
        query = select(device.c.id, device.c.profile).where(device.c.id.in_(ids), seen(view), live())
        async with transaction(self._engine) as db:
            return {row.id: row.profile for row in await db.execute(query)}

    async def page(self, meant: Filter | None, view: View, after: str, limit: int) -> dict[str, str]:
        """Return the first `limit` devices that `meant` takes, or all, whose id is greater than `after`; by id."""
        meant_and_seen = where(Chosen(meant), view, self._engine.dialect.name)
        return await self._read(and_(device.c.id > after, meant_and_seen), limit)

    async def _read(self, condition: ColumnElement[bool], limit: int) -> dict[str, str]:
        async with transaction(self._engine) as db:
            rows = await db.execute(_ZONES.where(condition).order_by(device.c.id).limit(limit))
            return {row.id: row.zone for row in rows}
