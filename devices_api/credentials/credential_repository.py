"""Queries of devices' credentials. Each method is one transaction.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devices_api.access import Principal, View
from devices_api.audit import audit
from devices_api.credentials.credentials import MOST_VALID, SECRET_KINDS, Credential, Kind, RefusedError
from devices_api.database import WRITE, transaction
from devices_api.registry.visible import live, seen
from devices_api.tables import device
from devices_api.tables_credentials import authority, broker_account, credential


@dataclass(frozen=True)
class Login:
    """What a login of a device is decided by."""

    enabled: bool
    credentials: list[Credential]


@dataclass(frozen=True)
class Opened:
    """A credential that is sent as a password, and what it opens now."""

    credential: Credential
    enabled: bool
    """Whether its device is registered and enabled."""


class CredentialRepository:
    """The credentials of devices. Those that a principal does not see belong to nobody, as far as it is told."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def of(self, device_id: str, view: View) -> list[Credential] | None:
        """List a device's credentials, newest first, those that are over among them; None: there is no such device."""
        query = select(credential).where(credential.c.device == device_id)
        async with transaction(self._engine) as db:
            if not await _there(db, device_id, view):
                return None
            rows = await db.execute(query.order_by(credential.c.created.desc(), credential.c.id))
            return [to_credential(row) for row in rows]

    async def add(self, new: Credential, by: Principal, now: int) -> bool:
        """Keep a credential; False: there is no such device. Raises RefusedError if there are too many."""
        async with transaction(self._writing) as db:
            if not await _there(db, new.device, by.view):
                return False
            await keep(db, new, by, now)
        return True

    async def rotate(self, old: str, new: Credential, grace: int, by: Principal, now: int) -> Credential | None:
        """Keep `new` in the place of `old`, which is valid for `grace` ns more at most; returns `old` as it is then.

        None: there is no such credential. Raises RefusedError if it is over, or there are too many.
        """
        async with transaction(self._writing) as db:
            before = await _find(db, new.device, old, by.view)
            if before is None:
                return None
            if before.over(now):
                raise RefusedError("credential-over", f"Credential {old!r} is revoked or expired.")
            ends = now + grace if before.expires is None else min(before.expires, now + grace)
            after = replace(before, expires=ends)
            await db.execute(update(credential).where(credential.c.id == old).values(expires=ends))
            await audit(db, by, "credential.rotate", _target(after), shown(before), shown(after), now)
            await keep(db, new, by, now)
        return after

    async def revoke(self, device_id: str, id_: str, by: Principal, now: int) -> Credential | None:
        """End a credential at once; returns it as it is then, or None if there is none."""
        async with transaction(self._writing) as db:
            before = await _find(db, device_id, id_, by.view)
            if before is None or before.revoked is not None:
                return before
            after = replace(before, revoked=now)
            await db.execute(update(credential).where(credential.c.id == id_).values(revoked=now))
            await audit(db, by, "credential.revoke", _target(after), shown(before), shown(after), now)
        return after

    async def login(self, device_id: str) -> Login | None:
        """Return what a login is decided by; None: there is no such device."""
        query = select(credential).where(credential.c.device == device_id, credential.c.revoked.is_(None))
        async with transaction(self._engine) as db:
            found = (await db.execute(select(device.c.enabled).where(device.c.id == device_id, live()))).first()
            if found is None:
                return None
            rows = await db.execute(query.order_by(credential.c.created))
            return Login(found.enabled, [to_credential(row) for row in rows])

    async def is_on(self, device_id: str) -> bool:
        """Whether there is such a device, and it is enabled."""
        query = select(device.c.id).where(device.c.id == device_id, device.c.enabled, live())
        async with transaction(self._engine) as db:
            return (await db.execute(query)).first() is not None

    async def used(self, credentials: Mapping[str, int], accounts: Mapping[str, int]) -> None:
        """Note when credentials, and services' accounts, were last used, in ns since 1970 UTC."""
        async with transaction(self._writing) as db:
            for table, key, times in ((credential, "id", credentials), (broker_account, "name", accounts)):
                column = table.c.last_used
                query = (
                    update(table)
                    .where(table.c[key] == bindparam("which"), or_(column.is_(None), column < bindparam("at")))
                    .values(last_used=bindparam("at"))
                )
                if times:
                    await db.execute(query, [{"which": id_, "at": at} for id_, at in sorted(times.items())])

    async def opened(self) -> list[Opened]:
        """List the credentials that are sent as passwords, with what they open."""
        query = (
            select(credential, device.c.enabled.label("on"), device.c.deleted)
            .join(device, device.c.id == credential.c.device)
            .where(credential.c.kind.in_(sorted(SECRET_KINDS)))
        )
        async with transaction(self._engine) as db:
            rows = await db.execute(query)
            return [Opened(to_credential(row), row.on and row.deleted is None) for row in rows]


async def keep(db: AsyncConnection, new: Credential, by: Principal, now: int) -> None:
    """Insert a credential of a device that is there. Raises RefusedError if it has too many that are valid."""
    of_device = (credential.c.device == new.device, credential.c.revoked.is_(None))
    current = or_(credential.c.expires.is_(None), credential.c.expires > now)
    # Whoever else gives this device a credential waits for this row, so that both cannot take the last place.
    await db.execute(select(device.c.id).where(device.c.id == new.device).with_for_update())
    have = await db.scalar(select(func.count()).select_from(credential).where(*of_device, current))
    if (have or 0) >= MOST_VALID:
        raise RefusedError("too-many-credentials", f"A device has at most {MOST_VALID} credentials that are valid.")
    if new.authority is not None:
        known = select(authority.c.id).where(authority.c.id == new.authority).with_for_update()
        if (await db.execute(known)).first() is None:
            raise RefusedError("unknown-authority", f"No authority {new.authority!r} is registered.")
    await db.execute(insert(credential).values(vars(new)))
    await audit(db, by, "credential.create", _target(new), None, shown(new), now)


def to_credential(row: Row[Any]) -> Credential:
    """Read a credential from a row that has its columns."""
    values = row._mapping  # noqa: SLF001 - the documented way to a row's names
    fields = {name: values[name] for name in Credential.__dataclass_fields__}
    return Credential(**fields | {"kind": Kind(values["kind"])})


def shown(of: Credential) -> dict[str, Any]:
    """Give what may be told of a credential: all but its hash."""
    return {name: value for name, value in vars(of).items() if name not in ("hash", "last_used")}


def _target(of: Credential) -> str:
    return f"device/{of.device}/credential/{of.id}"


async def _there(db: AsyncConnection, device_id: str, view: View) -> bool:
    return (
        await db.execute(select(device.c.id).where(device.c.id == device_id, live(), seen(view)))
    ).first() is not None


async def _find(db: AsyncConnection, device_id: str, id_: str, view: View) -> Credential | None:
    if not await _there(db, device_id, view):
        return None
    query = select(credential).where(credential.c.id == id_, credential.c.device == device_id).with_for_update()
    row = (await db.execute(query)).first()
    return None if row is None else to_credential(row)
