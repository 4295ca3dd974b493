"""Which of several ingests takes the messages whose order matters: the one that holds the lease."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError

from contracts.devices import kv_key
from contracts.jetstream import Link, ensure_bucket
from contracts.logs import Log

BUCKET = "ingest_leases"
"""Key-value bucket with one entry for each group: who holds its lease, empty if nobody does."""

RENEW_S, LOSE_S, TAKE_S = 2.0, 6.0, 10.0
"""The holder renews so often, gives up when it could not for so long, and others take over after so long without."""

_ANSWER_S = 2.0


class AwayError(Exception):
    """The bucket did not answer; what was asked for may have been done even so."""


class Bucket(Protocol):
    """A key-value bucket with revisions."""

    async def read(self, key: str) -> tuple[bytes, int] | None:
        """Return value and revision, or None. Raises AwayError."""

    async def write(self, key: str, value: bytes, last: int) -> int | None:
        """Write if `last` is the revision, 0 for none; return the new one, None if it is not. Raises AwayError."""


class LeaseBucket:
    """The bucket on the stream server."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def read(self, key: str) -> tuple[bytes, int] | None:
        """Read as Bucket says."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                entry = await (await ensure_bucket(self._link.js, BUCKET)).get(key)
        except KeyNotFoundError:
            return None
        except (NatsError, TimeoutError) as error:
            raise AwayError(repr(error)) from error
        return entry.value or b"", entry.revision or 0

    async def write(self, key: str, value: bytes, last: int) -> int | None:
        """Write as Bucket says."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await (await ensure_bucket(self._link.js, BUCKET)).update(key, value, last=last)
        except KeyWrongLastSequenceError:
            return None
        except (NatsError, TimeoutError) as error:
            raise AwayError(repr(error)) from error


class Lease:
    """The lease of `group`, as process `me` sees it. `held` tells whether it is ours; `changed` that this is new.

    Nobody compares clocks: each process measures with its own `clock`, in seconds and never set back, for how long the
    lease has not been renewed. Two may hold it for a moment, after one was stopped and woken: what rests on it has to
    bear that.
    """

    def __init__(
        self,
        bucket: Bucket,
        group: str,
        me: str,
        clock: Callable[[], float],
        changed: Callable[[], None],
        log: Log,
    ) -> None:
        self._bucket, self._key, self._me = bucket, kv_key(group), me.encode()
        self._clock, self._changed, self._log = clock, changed, log
        self._revision = -1
        self._since = 0.0  # when we renewed it, or first saw that revision
        self.held = False

    async def keep(self) -> None:
        """Take the lease when it is free, and renew it; for ever."""
        while True:
            await self.turn()
            await asyncio.sleep(RENEW_S)

    async def turn(self) -> None:
        """Do what is to be done now."""
        now = self._clock()
        try:
            if self.held:
                await self._renew(now)
            else:
                await self._watch(now)
        except AwayError as error:
            self._log.debug("lease.unknown", error=str(error))
        if self.held and self._clock() - self._since > LOSE_S:
            self._lose()

    async def release(self) -> None:
        """Let another process take it at once."""
        if self.held:
            self.held = False
            self._changed()
            try:
                await self._bucket.write(self._key, b"", self._revision)
            except AwayError as error:
                self._log.debug("lease.not_released", error=str(error))

    async def _renew(self, now: float) -> None:
        revision = await self._bucket.write(self._key, self._me, self._revision)
        if revision is not None:
            self._revision, self._since = revision, now
            return
        entry = await self._bucket.read(self._key)
        if entry is not None and entry[0] == self._me:
            self._revision = entry[1]  # a renewal of which we had not heard that it was done
        else:
            self._lose()

    async def _watch(self, now: float) -> None:
        entry = await self._bucket.read(self._key)
        holder, revision = entry or (b"", 0)
        if revision != self._revision:
            self._revision, self._since = revision, now
        if holder in (b"", self._me) or now - self._since >= TAKE_S:
            taken = await self._bucket.write(self._key, self._me, revision)
            if taken is not None:
                self._revision, self._since, self.held = taken, now, True
                self._log.info("lease.taken", group=self._key)
                self._changed()

    def _lose(self) -> None:
        self.held, self._since = False, self._clock()
        self._log.warning("lease.lost", group=self._key)
        self._changed()
