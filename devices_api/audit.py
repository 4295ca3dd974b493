"""The audit log: who changed what, from what to what, by which request. A change and its row are one transaction.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devices_api.access import Principal
from devices_api.database import WRITE, transaction
from devices_api.tables_access import audit_log

Fields = Mapping[str, Any] | None
"""What something is, by field, of types that msgspec can turn into JSON; None where there is nothing."""

HIDDEN = "(hidden)"
_SECRET = frozenset({"hash", "key_hash", "password", "password_hash", "private_key", "secret", "token"})


async def audit(
    db: AsyncConnection, by: Principal, action: str, target: str, before: Fields, after: Fields, now: int
) -> None:
    """Note a change, such as `device.change` of `device/pump-7`, within the transaction that makes it.

    Of `before` and `after` the fields that differ are kept. Fields named like a secret are hidden; callers leave
    secrets out.
    """
    await audit_all(db, by, action, [(target, before, after)], now)


async def audit_all(
    db: AsyncConnection, by: Principal, action: str, changes: Sequence[tuple[str, Fields, Fields]], now: int
) -> None:
    """Note changes of the same kind, each its target, before and after, as `audit` does."""
    if changes:
        same = {"at": now, "who": by.name, "action": action, "request": by.request}
        rows = [same | {"target": target} | _difference(before, after) for target, before, after in changes]
        await db.execute(insert(audit_log), rows)


def _difference(before: Fields, after: Fields) -> dict[str, Any]:
    was = None if before is None else msgspec.to_builtins(dict(before))
    is_ = None if after is None else msgspec.to_builtins(dict(after))
    if was is not None and is_ is not None:
        changed = {name for name in (*was, *is_) if name not in was or name not in is_ or was[name] != is_[name]}
        was, is_ = ({name: side[name] for name in side if name in changed} for side in (was, is_))
    return {"before": _without_secrets(was), "after": _without_secrets(is_)}


def _without_secrets(fields: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if fields is None else {n: HIDDEN if n in _SECRET and v else v for n, v in fields.items()}


@dataclass(frozen=True)
class Entry:
    """One change. `at` is in ns since 1970 UTC."""

    id: int
    at: int
    who: str
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request: str


@dataclass(frozen=True)
class Wanted:
    """Which entries are asked for: what is None selects nothing. `start` <= at < `end`, in ns since 1970 UTC."""

    who: str | None = None
    action: str | None = None
    target: str | None = None
    start: int | None = None
    end: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Say the same to the database."""
        equal = [(audit_log.c[name], getattr(self, name)) for name in ("who", "action", "target")]
        found = [column == value for column, value in equal if value is not None]
        if self.start is not None:
            found.append(audit_log.c.at >= self.start)
        if self.end is not None:
            found.append(audit_log.c.at < self.end)
        return found


class AuditLog:
    """Reads the log, and drops what is too old."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def note(self, by: Principal, action: str, target: str, before: Fields, after: Fields, now: int) -> None:
        """Note a change that is made elsewhere, before it is asked for."""
        async with transaction(self._writing) as db:
            await audit(db, by, action, target, before, after, now)

    async def page(self, wanted: Wanted, below: int | None, limit: int) -> list[Entry]:
        """Return the newest `limit` entries that are wanted and whose id is less than `below`, newest first."""
        query = select(audit_log).where(*wanted.conditions()).order_by(audit_log.c.id.desc()).limit(limit)
        if below is not None:
            query = query.where(audit_log.c.id < below)
        async with transaction(self._engine) as db:
            return [Entry(**row._mapping) for row in await db.execute(query)]  # noqa: SLF001 - the documented way

    async def drop(self, before: int, limit: int) -> int:
        """Delete the oldest `limit` entries of before `before`; returns how many there were."""
        old = select(audit_log.c.id).where(audit_log.c.at < before).order_by(audit_log.c.at).limit(limit)
        async with transaction(self._writing) as db:
            return (await db.execute(delete(audit_log).where(audit_log.c.id.in_(old)))).rowcount
