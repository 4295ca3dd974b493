"""A service's copy of KV `devices`, kept by watching it, and used on while the bucket is away."""

import asyncio
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import islice

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import BucketNotFoundError
from nats.js.kv import KeyValue

from contracts.devices import DeviceRecord
from contracts.jetstream import Link, watching
from contracts.logs import Log
from contracts.records import Records
from contracts.streams import DEVICES_BUCKET

_POLL_S = 0.5
_ASK_S = 1.0
_LOST_S = 10.0  # a change that was not heard within it means that the watch is dead
_AT_ONCE = 1000
_GRACE_S = 60.0  # in which devices_api fills a bucket that was made anew; until then the old records are good


@dataclass
class _State:
    """How far a watch has come: `last` is where the bucket, which was made at `made`, ended when it was asked."""

    asked: float
    made: object
    last: int
    reached: int = 0
    whole: bool = False
    forget_at: float | None = None
    seen: set[str] = field(default_factory=set)


class Directory:
    """Device records by device id, each with what its profile says.

    `changed` is called for each device whose record has changed, of a profile's for all that name it; while the bucket
    is being read anew, only once all of it has been read: until then a device may be there without its profile.

    `loaded` is set once the whole bucket has been read, `heard` also where there is none yet. Between a lost connection
    and the next one the copy stays as it is, and `age` says for how long; where the bucket was made anew, what it lacks
    is kept for a minute more. `clock` gives seconds and is never set back.
    """

    def __init__(
        self,
        link: Link,
        log: Log,
        changed: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link, self._log, self._changed, self._clock = link, log, changed, clock
        self._confirmed = -math.inf
        self._made: object = None  # when the bucket was made that the copy is of
        self._records = Records()
        self._untold: dict[str, None] = {}  # devices that have changed since the bucket began to be read
        self.loaded = asyncio.Event()
        self.heard = asyncio.Event()

    def get(self, device: str) -> DeviceRecord | None:
        """Return the record of `device`, or None if it is not registered."""
        return self._records.get(device)

    def ids(self) -> tuple[str, ...]:
        """Give the ids of the devices that are registered now; what changes later, `changed` tells."""
        return self._records.ids()

    def age(self) -> float:
        """Seconds since the copy was last known to hold all that the bucket held; infinite until it has been read.

        While all is well that is about a second: so often the bucket is asked how far it goes.
        """
        return self._clock() - self._confirmed

    def __len__(self) -> int:
        return len(self._records)

    async def follow(self) -> None:
        """Watch the bucket for ever; waits for it where it does not exist yet."""
        while True:
            generation = self._link.generation
            try:
                await self._watch(generation)
            except (BucketNotFoundError, NatsError, TimeoutError) as error:
                if isinstance(error, BucketNotFoundError):
                    self.heard.set()
                await asyncio.sleep(_POLL_S)

    async def _watch(self, generation: int) -> None:
        """Read the bucket as it is, then its changes, until the connection or the bucket is another one."""
        bucket = await self._link.js.key_value(DEVICES_BUCKET)
        state = _State(*await self._extent())
        async with watching(bucket) as watcher:
            while self._link.generation == generation and await self._holds(state):
                try:
                    entry = await watcher.updates(timeout=_POLL_S)  # type: ignore[no-untyped-call]
                except TimeoutError:
                    continue
                if entry is not None:
                    state.reached = max(state.reached, entry.revision)
                    state.seen.add(entry.key)
                    self._untold.update(dict.fromkeys(self._take(entry)))
                elif not state.whole:  # the bucket as it was is complete
                    state.whole, state.reached = True, max(state.reached, state.last)
                    another = self._made is not None and self._made != state.made
                    state.forget_at = self._clock() + (_GRACE_S if another else 0)
                if state.whole:
                    await self._tell()

    async def _holds(self, state: "_State") -> bool:
        """Confirm, from time to time, that the watch hears of everything; False if it has to be begun again."""
        if not state.whole:
            return True
        now = self._clock()
        if state.forget_at is not None and now >= state.forget_at:
            for key in set(self._records.keys) - state.seen:  # what the bucket does not hold is gone
                self._untold.update(dict.fromkeys(self._records.forget(key)))
            await self._tell()
            self._made, state.forget_at = state.made, None
            self.loaded.set()
            self.heard.set()
        if state.reached < state.last:
            if now - state.asked < _LOST_S:
                return True
            self._log.warning("directory.watch_lost", reached=state.reached, last=state.last)
            return False
        self._confirmed = max(self._confirmed, state.asked)
        if self._link.up and now - state.asked >= _ASK_S:
            state.asked, made, state.last = await self._extent()
            return made == state.made
        return True

    async def _extent(self) -> tuple[float, object, int]:
        """Ask the bucket when it was made, and how far it goes; and tell when that was asked."""
        asked = self._clock()
        info = await self._link.js.stream_info(f"KV_{DEVICES_BUCKET}")
        return asked, info.created, info.state.last_seq

    def _take(self, entry: KeyValue.Entry) -> Collection[str]:
        """Take in a change; returns the devices that it is about."""
        if entry.operation in ("DEL", "PURGE"):
            return self._records.forget(entry.key)
        try:
            return self._records.learn(entry.key, entry.value or b"")
        except msgspec.DecodeError as error:
            self._log.error("directory.record_unreadable", key=entry.key, error=str(error))
            return ()

    async def _tell(self) -> None:
        """Tell of the devices that have changed, and let others run in between: a profile may have 100,000."""
        while self._untold:
            for device in tuple(islice(self._untold, _AT_ONCE)):
                del self._untold[device]
                self._changed(device)
            if self._untold:
                await asyncio.sleep(0)
