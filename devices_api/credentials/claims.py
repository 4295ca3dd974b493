"""Claim keys: whoever has one becomes a device, as often as it says. Each method is one transaction.

Every method raises UnavailableError if the database cannot be reached now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from devices_api.access import Principal, Scope
from devices_api.audit import audit
from devices_api.credentials.credential_repository import keep, to_credential
from devices_api.credentials.credentials import Credential, Kind, RefusedError
from devices_api.credentials.gifts import Gifts, give
from devices_api.database import WRITE, transaction
from devices_api.registry.visible import live
from devices_api.tables import device
from devices_api.tables_credentials import claim, credential

AGAIN_NS = 15 * 60 * 10**9
"""For so long an answer may have been lost. Of Mosquitto nobody hears whether a credential was used."""

MOST = 1000
"""Claim keys of an installation."""


@dataclass(frozen=True)
class Claim:
    """A claim key. Times in ns since 1970 UTC; `hash` is SHA-256 of the key's text in hex.

    `kind` of credential is what devices get. Their ids have to match `pattern`, in which `*` is any text.
    """

    id: str
    name: str
    hash: str
    kind: Kind
    most: int
    created: int
    pattern: str = "*"
    gives: Gifts = field(default_factory=Gifts)
    used: int = 0
    expires: int | None = None
    enabled: bool = True

    def takes(self, device_id: str) -> bool:
        """Whether a device may have this id."""
        # No regular expression: with some stars it takes seconds to find that an id does not match.
        first, *middle = self.pattern.split("*")
        if not middle:
            return device_id == first
        last = middle.pop()
        at, end = len(first), len(device_id) - len(last)
        if at > end or not (device_id.startswith(first) and device_id.endswith(last)):
            return False
        for part in middle:
            found = device_id.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    def open(self, now: int) -> bool:
        """Whether it can be used at `now`, but for its limit."""
        return self.enabled and (self.expires is None or now < self.expires)


class Claims:
    """The claim keys, and the devices that come by them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**WRITE)

    async def all(self) -> list[Claim]:
        """List them, newest first."""
        async with transaction(self._engine) as db:
            return [_read(row) for row in await db.execute(select(claim).order_by(claim.c.created.desc(), claim.c.id))]

    async def find(self, hash_: str) -> Claim | None:
        """Return the one whose key has this hash, or None."""
        async with transaction(self._engine) as db:
            row = (await db.execute(select(claim).where(claim.c.hash == hash_))).first()
        return None if row is None else _read(row)

    async def add(self, new: Claim, by: Principal, now: int) -> None:
        """Keep one. Raises RefusedError if its key is in use, or there are too many."""
        try:
            async with transaction(self._writing) as db:
                if ((await db.scalar(select(func.count()).select_from(claim))) or 0) >= MOST:
                    raise RefusedError("too-many-claims", f"There can be at most {MOST} claim keys.")
                await db.execute(insert(claim).values(vars(new) | {"gives": new.gives.stored()}))
                await audit(db, by, "claim.create", f"claim/{new.id}", None, _shown(new), now)
        except IntegrityError as error:
            raise RefusedError("claim-exists", "This key is in use already.") from error

    async def change(self, id_: str, change: Mapping[str, Any], by: Principal, now: int) -> Claim | None:
        """Replace what `change` names of `name`, `enabled`, `expires` and `most`; None: there is none."""
        async with transaction(self._writing) as db:
            row = (await db.execute(select(claim).where(claim.c.id == id_).with_for_update())).first()
            if row is None:
                return None
            before = _read(row)
            after = replace(before, **change)
            if after != before:
                await db.execute(update(claim).where(claim.c.id == id_).values(dict(change)))
                await audit(db, by, "claim.change", f"claim/{id_}", _shown(before), _shown(after), now)
        return after

    async def remove(self, id_: str, by: Principal, now: int) -> bool:
        """Remove one; its devices stay. False: there is none."""
        async with transaction(self._writing) as db:
            row = (await db.execute(select(claim).where(claim.c.id == id_).with_for_update())).first()
            if row is None:
                return False
            await db.execute(delete(claim).where(claim.c.id == id_))
            await audit(db, by, "claim.delete", f"claim/{id_}", _shown(_read(row)), None, now)
        return True

    async def become(self, by_key: Claim, new: Credential, facts: Mapping[str, str], now: int) -> None:
        """Register the device of `new` with what the claim gives, and count it.

        A device that came by this claim less than AGAIN_NS ago and has not used its credential yet gets `new` in its
        place, and is not counted again: its answer may have been lost. Raises RefusedError if the claim is used up or
        over, or the id taken.
        """
        by = Principal(f"claim/{by_key.id}", frozenset[Scope]())
        try:
            async with transaction(self._writing) as db:
                if await _forgotten(db, by_key.id, new.device, now):
                    await keep(db, new, by, now)
                    return
                counted = await db.execute(
                    update(claim)
                    .where(claim.c.id == by_key.id, claim.c.used < claim.c.most, claim.c.enabled)
                    .where(or_(claim.c.expires.is_(None), claim.c.expires > now))
                    .values(used=claim.c.used + 1)
                )
                if not counted.rowcount:
                    raise RefusedError("claim-used-up", "The claim key has been used as often as it may, or is over.")
                await give(db, new.device, by_key.gives, facts, by, now)
                await keep(db, new, by, now)
        except IntegrityError as error:
            raise RefusedError("device-exists", f"Device {new.device!r} is registered already.") from error


async def _forgotten(db: AsyncConnection, id_: str, device_id: str, now: int) -> bool:
    """Revoke the credential that this claim just gave to this device, if it is its only one and was never used.

    False: there is no such device. Raises RefusedError if the device has another credential, or is not of this claim.
    """
    there = select(device.c.id).where(device.c.id == device_id, live()).with_for_update()
    if (await db.execute(there)).first() is None:
        return False
    query = select(credential).where(credential.c.device == device_id, credential.c.revoked.is_(None))
    have = [to_credential(row) for row in await db.execute(query.with_for_update())]
    lost = [c for c in have if c.claim == id_ and c.last_used is None and now - c.created < AGAIN_NS]
    if len(have) != 1 or lost != have:
        raise RefusedError("device-exists", f"Device {device_id!r} is registered already.")
    await db.execute(update(credential).where(credential.c.id == have[0].id).values(revoked=now))
    return True


def _read(row: Any) -> Claim:  # noqa: ANN401 - a row of `claim`
    values = row._mapping  # noqa: SLF001 - the documented way to a row's names
    return Claim(**dict(values) | {"gives": Gifts.read(values["gives"]), "kind": Kind(values["kind"])})


def _shown(of: Claim) -> dict[str, Any]:
    return {n: v for n, v in vars(of).items() if n not in ("hash", "used")} | {"gives": of.gives.stored()}
