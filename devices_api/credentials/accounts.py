"""Services' accounts on the broker. Each method is one transaction.

Every method raises UnavailableError if the database cannot be reached now.
"""

from dataclasses import dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from devices_api.access import Principal
from devices_api.audit import audit
from devices_api.credentials.credentials import RefusedError
from devices_api.database import WRITE, transaction
from devices_api.tables_credentials import broker_account


@dataclass(frozen=True)
class Account:
    """A service's account: on the broker it may do what it wants. Times in ns since 1970 UTC."""

    name: str
    hash: str
    created: int
    last_used: int | None = None


class Accounts:
    """The accounts."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def all(self) -> list[Account]:
        """List them by name."""
        async with transaction(self._engine) as db:
            rows = await db.execute(select(broker_account).order_by(broker_account.c.name))
            return [Account(**row._mapping) for row in rows]  # noqa: SLF001 - the documented way to a row's names

    async def get(self, name: str) -> Account | None:
        """Return one, or None."""
        async with transaction(self._engine) as db:
            row = (await db.execute(select(broker_account).where(broker_account.c.name == name))).first()
        return None if row is None else Account(**row._mapping)  # noqa: SLF001 - as above

    async def add(self, new: Account, by: Principal, now: int) -> None:
        """Keep one. Raises RefusedError if there is one of its name."""
        try:
            async with transaction(self._writing) as db:
                await db.execute(insert(broker_account).values(vars(new)))
                await audit(db, by, "broker-account.create", _target(new.name), None, {"name": new.name}, now)
        except IntegrityError as error:
            raise RefusedError("account-exists", f"There is an account {new.name!r} already.") from error

    async def remove(self, name: str, by: Principal, now: int) -> bool:
        """Remove one; False: there is none."""
        async with transaction(self._writing) as db:
            if not (await db.execute(delete(broker_account).where(broker_account.c.name == name))).rowcount:
                return False
            await audit(db, by, "broker-account.delete", _target(name), {"name": name}, None, now)
        return True


def _target(name: str) -> str:
    return f"broker-account/{name}"
