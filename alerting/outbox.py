"""The durable outbox: notifications on disk, until their receiver has taken them."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.database import WRITE
from alerting.tables import outbox


class Outbox:
    """Notifications in the order in which they were committed, for each receiver by itself."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def receivers(self) -> list[str]:
        """Read which URLs have something waiting."""
        async with self._engine.connect() as connection:
            return list((await connection.execute(sa.select(outbox.c.url).distinct())).scalars())

    async def pending(self) -> int:
        """Count what is waiting."""
        async with self._engine.connect() as connection:
            return (await connection.execute(sa.select(sa.func.count()).select_from(outbox))).scalar_one()

    async def first(self, url: str) -> sa.Row[Any] | None:
        """Read the oldest notification for `url`: seq, alert_id, url, body, created_at."""
        async with self._engine.connect() as connection:
            query = sa.select(outbox).where(outbox.c.url == url).order_by(outbox.c.seq).limit(1)
            return (await connection.execute(query)).first()

    async def remove(self, seq: int) -> None:
        """Forget a notification."""
        await self._delete(outbox.c.seq == seq)

    async def trim(self, most: int) -> int:
        """Drop the oldest notifications beyond `most`. Returns how many."""
        beyond = await self.pending() - most
        if beyond <= 0:
            return 0
        return await self._delete(outbox.c.seq.in_(sa.select(outbox.c.seq).order_by(outbox.c.seq).limit(beyond)))

    async def _delete(self, which: sa.ColumnElement[bool]) -> int:
        async with self._engine.connect() as connection:
            await connection.execution_options(**WRITE)
            async with connection.begin():
                return (await connection.execute(sa.delete(outbox).where(which))).rowcount
