"""Queries of the tickets, each of which is taken once, by whichever replica.

Every method raises UnavailableError if the database cannot be reached now.
"""

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from devices_api.access import Principal, Scope
from devices_api.database import WRITE, transaction
from devices_api.tables_access import ticket


class TicketRepository:
    """The tickets, by the SHA-256 of their text. Times are ns since 1970 UTC."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._writing = engine.execution_options(**WRITE)

    async def keep(self, hash_: str, who: Principal, expires: int) -> None:
        """Keep a new ticket, which stands for `who`."""
        view = None if who.view is None else sorted(who.view)
        stands_for = {"name": who.name, "scopes": sorted(who.scopes), "view": view, "key": who.key}
        row = {"hash": hash_, "principal": stands_for | {"expires": who.expires}, "expires": expires}
        async with transaction(self._writing) as db:
            await db.execute(insert(ticket).values(row))

    async def take(self, hash_: str, now: int) -> Principal | None:
        """Return whom a ticket stands for, and delete it; None if there is none, or it has expired."""
        taken = delete(ticket).where(ticket.c.hash == hash_).returning(ticket.c.principal, ticket.c.expires)
        async with transaction(self._writing) as db:
            row = (await db.execute(taken)).first()
        if row is None or row.expires <= now:
            return None
        told = row.principal
        told["scopes"] = frozenset(map(Scope, told["scopes"]))
        told["view"] = None if told["view"] is None else frozenset(told["view"])
        return Principal(**told)

    async def drop(self, before: int, limit: int) -> int:
        """Delete at most `limit` tickets that expired before `before`; returns how many there were."""
        old = select(ticket.c.hash).where(ticket.c.expires < before).order_by(ticket.c.expires).limit(limit)
        async with transaction(self._writing) as db:
            return (await db.execute(delete(ticket).where(ticket.c.hash.in_(old)))).rowcount
