"""Secrets as they are given out: made or taken, hashed, and told to the broker that has to know them itself."""

import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from devices_api.credentials.credentials import Entropy, Kind, digest, new_id, new_secret
from devices_api.credentials.passwords import Passwords


class Mirror(Protocol):
    """A broker that keeps its own passwords."""

    async def add(self, username: str, secret: str, *, on: bool) -> None:
        """Make an account. Raises UnavailableError if that cannot be done now."""

    async def drop(self, username: str) -> None:
        """Remove it again, if that can be done now."""

    def wake(self) -> None:
        """Tell of a change."""


class Issuing:
    """Makes secrets. `mirror` is None where no broker keeps its own."""

    def __init__(self, passwords: Passwords, entropy: Entropy, mirror: Mirror | None = None) -> None:
        self._passwords, self._entropy, self._mirror = passwords, entropy, mirror

    def id(self) -> str:
        """Make an id."""
        return new_id(self._entropy)

    def secret(self) -> str:
        """Make a secret."""
        return new_secret(self._entropy)

    async def hashed(self, kind: Kind, secret: str) -> str:
        """Give what is kept of a secret."""
        return await self._passwords.hash(secret) if kind is Kind.PASSWORD else digest(secret)

    @contextlib.asynccontextmanager
    async def told(self, username: str, secret: str | None, *, on: bool = True) -> AsyncIterator[None]:
        """Tell the broker a secret for as long as it takes to keep it: where that fails, the broker forgets it.

        Without a secret there is nothing to tell.
        """
        if self._mirror is None or secret is None:
            yield
            return
        await self._mirror.add(username, secret, on=on)
        try:
            yield
        except BaseException:
            await self._mirror.drop(username)
            raise

    async def removed(self, username: str) -> None:
        """Have the broker forget an account that is not kept any more."""
        if self._mirror is not None:
            await self._mirror.drop(username)

    def changed(self) -> None:
        """Tell the broker that something has changed."""
        if self._mirror is not None:
            self._mirror.wake()
