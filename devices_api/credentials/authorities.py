"""Certificate authorities: whose certificates speak for devices. Each method is one transaction.

Every method raises UnavailableError if the database cannot be reached now.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from devices_api.access import Principal
from devices_api.audit import audit
from devices_api.credentials.credential_repository import keep
from devices_api.credentials.credentials import Credential, RefusedError
from devices_api.credentials.gifts import Gifts, give
from devices_api.database import WRITE, transaction
from devices_api.tables import device
from devices_api.tables_credentials import authority, credential

MOST = 100
"""Authorities of an installation."""


@dataclass(frozen=True)
class Authority:
    """A registered authority. Times in ns since 1970 UTC, of the certificate but for `created`."""

    id: str
    name: str
    certificate: str
    fingerprint: str
    not_before: int
    expires: int
    created: int
    auto_register: bool = False
    enabled: bool = True
    gives: Gifts = field(default_factory=Gifts)

    def valid(self, now: int) -> bool:
        """Whether its certificates count at `now`."""
        return self.enabled and self.not_before <= now < self.expires


class Authorities:
    """The authorities, and the devices that they register."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def all(self) -> list[Authority]:
        """List them by id."""
        async with transaction(self._engine) as db:
            return [_read(row._mapping) for row in await db.execute(select(authority).order_by(authority.c.id))]  # noqa: SLF001 - the documented way

    async def add(self, new: Authority, by: Principal, now: int) -> None:
        """Register one. Raises RefusedError if its certificate is registered, or there are too many."""
        values = vars(new) | {"gives": new.gives.stored()}
        try:
            async with transaction(self._writing) as db:
                if ((await db.scalar(select(func.count()).select_from(authority))) or 0) >= MOST:
                    raise RefusedError("too-many-authorities", f"At most {MOST} authorities can be registered.")
                await db.execute(insert(authority).values(values))
                await audit(db, by, "authority.create", f"authority/{new.id}", None, _shown(new), now)
        except IntegrityError as error:
            raise RefusedError("authority-exists", "This certificate is registered already.") from error

    async def change(self, id_: str, change: dict[str, Any], by: Principal, now: int) -> Authority | None:
        """Replace what `change` names of `name`, `enabled`, `auto_register` and `gives`; None: there is none."""
        async with transaction(self._writing) as db:
            row = (await db.execute(select(authority).where(authority.c.id == id_).with_for_update())).first()
            if row is None:
                return None
            before = _read(row._mapping)  # noqa: SLF001 - as above
            after = replace(before, **change)
            if after != before:
                stored = {n: v.stored() if isinstance(v, Gifts) else v for n, v in change.items()}
                await db.execute(update(authority).where(authority.c.id == id_).values(stored))
                await audit(db, by, "authority.change", f"authority/{id_}", _shown(before), _shown(after), now)
        return after

    async def remove(self, id_: str, by: Principal, now: int) -> bool:
        """Remove one, with the credentials that rest on it; False: there is none."""
        async with transaction(self._writing) as db:
            row = (await db.execute(select(authority).where(authority.c.id == id_).with_for_update())).first()
            if row is None:
                return False
            await db.execute(delete(credential).where(credential.c.authority == id_))
            await db.execute(delete(authority).where(authority.c.id == id_))
            await audit(db, by, "authority.delete", f"authority/{id_}", _shown(_read(row._mapping)), None, now)  # noqa: SLF001 - as above
        return True

    async def register(self, new: Credential, gifts: Gifts, by: Principal, now: int, limit: int) -> bool:
        """Register the device of `new` with it; False: the registry holds `limit` devices, or another was faster."""
        try:
            async with transaction(self._writing) as db:
                if ((await db.scalar(select(func.count()).select_from(device))) or 0) >= limit:
                    return False
                await give(db, new.device, gifts, {}, by, now)
                await keep(db, new, by, now)
        except IntegrityError:
            return False
        return True


def _read(values: Any) -> Authority:  # noqa: ANN401 - a row's mapping
    return Authority(**dict(values) | {"gives": Gifts.read(values["gives"])})


def _shown(of: Authority) -> dict[str, Any]:
    return {n: v for n, v in vars(of).items() if n != "certificate"} | {"gives": of.gives.stored()}
