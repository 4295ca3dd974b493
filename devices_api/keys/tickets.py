"""Tickets: they stand in for a key once and soon, as `?ticket=`, where a browser can send no header."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from contracts.times import SECOND
from devices_api.access import Principal
from devices_api.keys.keyring import Keyring
from devices_api.keys.keys import LONGEST, RandomBytes, digest, make_secret

if TYPE_CHECKING:
    from devices_api.repository import Repository

LIFETIME = 30 * SECOND


class Tickets:
    """Makes tickets and takes them. Both raise UnavailableError while the database is away.

    They are rows, so that any replica takes what another made. `now` gives ns since 1970 UTC.
    """

    def __init__(
        self,
        registry: "Callable[[], Repository]",
        keyring: Keyring,
        random_bytes: RandomBytes,
        now: Callable[[], int],
    ) -> None:
        self._registry, self._keyring, self._random_bytes, self._now = registry, keyring, random_bytes, now

    async def make(self, who: Principal) -> tuple[str, int]:
        """Make a ticket for `who`; returns its text and when it expires, which is not after their own proof does."""
        text, expires = make_secret(self._random_bytes), self._now() + LIFETIME
        if who.expires is not None:
            expires = min(expires, who.expires)
        await self._registry().tickets.keep(digest(text), who, expires)
        return text, expires

    async def prove(self, text: str) -> Principal | None:
        """Return whom a ticket stands for, once; what their key may do is as it is now."""
        if len(text) > LONGEST:
            return None
        who = await self._registry().tickets.take(digest(text), self._now())
        if who is None or not who.key:
            return who
        key = await self._keyring.still(who.key)
        return None if key is None else replace(key.principal(), name=who.name)
