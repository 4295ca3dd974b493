"""Rows of the tables as devices, and devices as rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from devices_api import autoreplays
from devices_api.devices import Device, NewDevice
from devices_api.tables import device, outbox

ALL_BUT_FACTS = tuple(column for column in device.c if column.name != "facts")
"""Columns of `device` that lists of devices read: the facts of a thousand devices are too much for one answer."""


async def register(db: AsyncConnection, new: Sequence[NewDevice], now: int) -> None:
    """Insert devices, announce them, and have their quarantined messages replayed."""
    await db.execute(insert(device), [{**vars(item), "created": now, "updated": now} for item in new])
    await db.execute(insert(outbox), [{"device": item.id} for item in new])
    await autoreplays.registered(db, [item.id for item in new], now)


def to_device(row: Row[Any]) -> Device:
    """Read a device from a row that has its columns."""
    values = row._mapping  # noqa: SLF001 - the documented way to a row's names
    return Device(**{name: values[name] for name in Device.__dataclass_fields__ if name in values})
