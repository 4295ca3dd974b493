"""Lists and counts of devices. Each method is one transaction, and raises UnavailableError as Repository's do."""

from sqlalchemy.ext.asyncio import AsyncEngine

from devices_api.access import View
from devices_api.database import transaction
from devices_api.lists import counting, listing
from devices_api.lists.buckets import By, Counts
from devices_api.lists.choice import Chosen, Order, Page, Position
from devices_api.registry.devices import Device, ListedDevice


class Lists:
    """Devices chosen by filter and search."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(
        self, view: View, chosen: Chosen, order: Order, after: Position | None, limit: int
    ) -> Page[ListedDevice]:
        """Return a page of devices; see listing.page."""
        async with transaction(self._engine) as db:
            return await listing.page(db, view, chosen, order, after, limit)

    async def whole_page(
        self, view: View, chosen: Chosen, order: Order, after: Position | None, limit: int
    ) -> Page[Device]:
        """Return a page of devices with their calibration."""
        async with transaction(self._engine) as db:
            return await listing.whole_page(db, view, chosen, order, after, limit)

    async def counts(self, view: View, chosen: Chosen, by: By, limit: int) -> Counts:
        """Count devices; see counting.counts."""
        async with transaction(self._engine) as db:
            return await counting.counts(db, view, chosen, by, limit)
