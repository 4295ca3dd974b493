"""What one replica does for all: the one that has claimed it, in the database, until it has been silent for long."""

import asyncio
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.database import write
from alerting.repository import AWAY
from alerting.tables import claim
from contracts.logs import Log

_RENEWALS = 3


class Claim:
    """The claim `name` as the process `me` sees it: `held` tells whether it is ours.

    It is renewed three times in `seconds`; another takes it after that. Replicas compare their clocks here: two may
    hold it for a moment, so what rests on it has to bear that. `me` is another one each time a process starts.
    """

    def __init__(
        self, engine: AsyncEngine, name: str, me: str, seconds: float, now: Callable[[], int], log: Log
    ) -> None:
        self._engine, self._name, self._me, self._seconds = engine, name, me, seconds
        self._now, self._log = now, log
        self._until = 0

    @property
    def held(self) -> bool:
        """Whether it is ours now."""
        return self._now() < self._until

    async def keep(self) -> None:
        """Take turns for ever."""
        while True:
            try:
                await self.turn()
            except AWAY as error:
                self._log.debug("claim.unknown", claim=self._name, error=type(error).__name__)
            await asyncio.sleep(self._seconds / _RENEWALS)

    async def turn(self) -> None:
        """Renew the claim if it is ours, or take it if nobody else has it. Raises what the database raises."""
        now = self._now()
        ours: dict[str, Any] = {"holder": self._me, "until": now + int(self._seconds * 1e9)}
        insert: Any = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        free = sa.or_(
            claim.c.holder == self._me, claim.c.until <= now, claim.c.until > now + 2 * int(self._seconds * 1e9)
        )
        statement = insert(claim).values(name=self._name, **ours)
        statement = statement.on_conflict_do_update(index_elements=["name"], set_=ours, where=free)
        async with write(self._engine) as connection:
            taken = (await connection.execute(statement)).rowcount == 1
        if taken and not self.held:
            self._log.info("claim.taken", claim=self._name)
        self._until = ours["until"] if taken else 0

    async def release(self) -> None:
        """Let another take it at once."""
        if self.held:
            self._until = 0
            async with write(self._engine) as connection:
                await connection.execute(sa.delete(claim).where(claim.c.name == self._name, claim.c.holder == self._me))
