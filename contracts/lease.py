"""Who does what only one process may do at a time: the one that holds the lease, in a key-value bucket."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from contracts.jetstream import Link, ensure_bucket
from contracts.logs import Log

_ANSWER_S = 2.0


@dataclass(frozen=True)
class Times:
    """The holder renews every `renew` seconds, gives up after `lose` without, and others take it after `take`."""

    renew: float
    lose: float
    take: float


class AwayError(Exception):
    """The bucket did not answer; what was asked for may have been done even so."""


class Bucket(Protocol):
    """A key-value bucket with revisions."""

    async def read(self, key: str) -> tuple[bytes, int] | None:
        """Return value and revision, or None. Raises AwayError."""

    async def write(self, key: str, value: bytes, last: int) -> int | None:
        """Write if `last` is the revision, 0 for none; return the new one, None if it is not. Raises AwayError."""

    async def keys(self, first: str) -> list[str]:
        """Return the keys whose first part, up to a dot, is `first`. Raises AwayError."""

    async def forget(self, key: str, revision: int) -> None:
        """Delete the key unless it has a later revision. Raises AwayError."""


class Entry(msgspec.Struct, frozen=True):
    """What stands under a lease's key, as JSON: its owner, empty if there is none, and how many came before it."""

    owner: str = ""
    epoch: int = 0


def entry_of(value: bytes) -> Entry:
    """Read what stands under a lease's key; what cannot be read is held by somebody unknown."""
    try:
        return _ENTRY_OF.decode(value) if value else Entry()
    except msgspec.MsgspecError:
        return Entry("?")


class Sight:
    """For how long a key has been seen not to change. What happens while nobody looks is not known, and not counted."""

    def __init__(self, times: Times) -> None:
        self._longest = times.lose
        self._revision = -1
        self._since = self._looked = 0.0

    def still(self, revision: int, now: float) -> float:
        """Note that the key has `revision` now; returns for how many seconds it has had it."""
        if revision != self._revision or now - self._looked > self._longest:
            self._revision, self._since = revision, now
        self._looked = now
        return now - self._since


class LeaseBucket:
    """The bucket `name` on the stream server."""

    def __init__(self, link: Link, name: str) -> None:
        self._link, self._name = link, name
        self._opened: tuple[Client, KeyValue] | None = None

    async def read(self, key: str) -> tuple[bytes, int] | None:
        """Read as Bucket says."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                entry = await (await self._open()).get(key)
        except KeyNotFoundError:
            return None
        except (NatsError, TimeoutError) as error:
            raise self._away(error) from error
        return entry.value or b"", entry.revision or 0

    async def write(self, key: str, value: bytes, last: int) -> int | None:
        """Write as Bucket says."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await (await self._open()).update(key, value, last=last)
        except KeyWrongLastSequenceError:
            return None
        except (NatsError, TimeoutError) as error:
            raise self._away(error) from error

    async def keys(self, first: str) -> list[str]:
        """List as Bucket says."""
        before = f"$KV.{self._name}."
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._open()
                info = await self._link.js.stream_info(f"KV_{self._name}", subjects_filter=f"{before}{first}.*")
        except (NatsError, TimeoutError) as error:
            raise self._away(error) from error
        return [subject.removeprefix(before) for subject in info.state.subjects or ()]

    async def forget(self, key: str, revision: int) -> None:
        """Delete as Bucket says."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._link.js.purge_stream(
                    f"KV_{self._name}", seq=revision + 1, subject=f"$KV.{self._name}.{key}"
                )
        except (NatsError, TimeoutError) as error:
            raise self._away(error) from error

    async def _open(self) -> KeyValue:
        client = self._link.client
        if self._opened is None or self._opened[0] is not client:
            self._opened = client, await ensure_bucket(self._link.js, self._name)
        return self._opened[1]

    def _away(self, error: Exception) -> AwayError:
        self._opened = None  # it may have been deleted: look, and make it anew if so
        return AwayError(repr(error))


class Lease:
    """The lease under `key`, as the process `me` sees it. `held` tells whether it is ours; `changed` that this is new.

    Each change of owner raises `epoch` by one, also when an owner takes it again that has lost it: the compare-and-set
    on the revision lets one process have an epoch, and no other ever. `me` has to be another one each time a process
    starts. Nobody compares clocks: each process measures with its own `clock`, in seconds and never set back, for how
    long the lease has not been renewed. Two may hold it for a moment, after one was stopped and woken, with different
    epochs: what rests on it has to bear that.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        me: str,
        times: Times,
        clock: Callable[[], float],
        changed: Callable[[], None],
        log: Log,
    ) -> None:
        self._bucket, self._key, self._me, self._times = bucket, key, me, times
        self._clock, self._changed, self._log = clock, changed, log
        self._sight = Sight(times)
        self._revision = 0  # while we hold it: that of our last renewal
        self._renewed = 0.0
        self._holding = False
        self.epoch = 0
        """The highest epoch that we know of; ours while it is held."""

    @property
    def held(self) -> bool:
        """Whether it is ours now: we have renewed it, and not too long ago."""
        return self._holding and self._clock() - self._renewed <= self._times.lose

    async def keep(self) -> None:
        """Take the lease when it is free, and renew it; for ever."""
        while True:
            await self.turn()
            await asyncio.sleep(self._times.renew)

    async def turn(self, *, take: bool = True) -> None:
        """Renew it if it is ours; else take it if it is free, unless `take` says only to look."""
        now = self._clock()
        try:
            if self._holding:
                await self._renew(now)
            else:
                await self._watch(now, take=take)
        except AwayError as error:
            self._log.debug("lease.unknown", key=self._key, error=str(error))
        if self._holding and not self.held:
            self._lose()

    async def release(self, epoch: int = 0) -> None:
        """Let another process take it at once, with an epoch above ours, and above `epoch`."""
        if self._holding:
            self._holding = False
            self.epoch = max(self.epoch, epoch)
            self._changed()
            try:
                await self._bucket.write(self._key, _ENTRY.encode(Entry("", self.epoch)), self._revision)
            except AwayError as error:
                self._log.debug("lease.not_released", key=self._key, error=str(error))

    async def _renew(self, now: float) -> None:
        ours = Entry(self._me, self.epoch)
        revision = await self._bucket.write(self._key, _ENTRY.encode(ours), self._revision)
        if revision is not None:
            self._revision, self._renewed = revision, now
            return
        entry, revision = await self._read()
        if entry == ours:
            self._revision = revision  # a renewal of which we had not heard that it was done
        else:
            self._lose()

    async def _watch(self, now: float, *, take: bool) -> None:
        entry, revision = await self._read()
        self.epoch = max(self.epoch, entry.epoch)
        still = self._sight.still(revision, now)
        if not take or (entry.owner not in ("", self._me) and still < self._times.take):
            return
        ours = Entry(self._me, self.epoch + 1)
        taken = await self._bucket.write(self._key, _ENTRY.encode(ours), revision)
        if taken is not None:
            self._revision, self._renewed, self._holding, self.epoch = taken, now, True, ours.epoch
            self._log.info("lease.taken", key=self._key, epoch=self.epoch)
            self._changed()

    async def _read(self) -> tuple[Entry, int]:
        value, revision = await self._bucket.read(self._key) or (b"", 0)
        return entry_of(value), revision

    def _lose(self) -> None:
        self._holding = False
        self._log.warning("lease.lost", key=self._key)
        self._changed()


_ENTRY = msgspec.json.Encoder()
_ENTRY_OF = msgspec.json.Decoder(Entry)
