"""A service's copy of KV `devices`, kept by watching it, and used on while the bucket is away."""

import asyncio
import math
import time
from collections.abc import Callable

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import BucketNotFoundError
from nats.js.kv import KeyValue

from contracts.devices import DeviceRecord, decode_record
from contracts.jetstream import Link
from contracts.logs import Log
from contracts.streams import DEVICES_BUCKET

_POLL_S = 0.5
_ASK_S = 1.0
_LOST_S = 10.0  # a change that was not heard within it means that the watch is dead


class Directory:
    """Device records by device id.

    `loaded` is set once the whole bucket has been read. Between a lost connection and the next one the copy stays as
    it is, and `age` says for how long. `clock` gives seconds and is never set back.
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
        self._records: dict[str, DeviceRecord] = {}
        self._keys: dict[str, str] = {}  # key in the bucket -> device id: a deletion names only the key
        self.loaded = asyncio.Event()

    def get(self, device: str) -> DeviceRecord | None:
        """Return the record of `device`, or None if it is not registered."""
        return self._records.get(device)

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
            except (BucketNotFoundError, NatsError, TimeoutError):
                await asyncio.sleep(_POLL_S)

    async def _watch(self, generation: int) -> None:
        """Read the bucket as it is, then its changes, until the connection is another one."""
        bucket = await self._link.js.key_value(DEVICES_BUCKET)
        asked, (made, last) = self._clock(), await self._extent()
        watcher = await bucket.watchall()
        seen: set[str] = set()
        whole = False
        reached = 0
        try:
            while self._link.generation == generation:
                if whole and reached >= last:
                    self._confirmed = max(self._confirmed, asked)
                    if self._link.up and self._clock() - asked >= _ASK_S:
                        asked, (now_made, last) = self._clock(), await self._extent()
                        if now_made != made:
                            return  # it is another bucket
                elif whole and self._clock() - asked >= _LOST_S:
                    self._log.warning("directory.watch_lost", reached=reached, last=last)
                    return
                try:
                    entry = await watcher.updates(timeout=_POLL_S)  # type: ignore[no-untyped-call]
                except TimeoutError:
                    continue
                if entry is None:  # the bucket as it was is complete: what it did not hold is gone
                    if not whole:
                        for key in self._keys.keys() - seen:
                            self._forget(key)
                        whole, reached = True, max(reached, last)
                        self.loaded.set()
                    continue
                reached = max(reached, entry.revision)
                seen.add(entry.key)
                self._take(entry)
        finally:
            await watcher.stop()  # type: ignore[no-untyped-call]

    async def _extent(self) -> tuple[object, int]:
        """Ask the bucket when it was made, and how far it goes."""
        info = await self._link.js.stream_info(f"KV_{DEVICES_BUCKET}")
        return info.created, info.state.last_seq

    def _take(self, entry: KeyValue.Entry) -> None:
        if entry.operation in ("DEL", "PURGE"):
            self._forget(entry.key)
        else:
            self._learn(entry.key, entry.value or b"")

    def _learn(self, key: str, data: bytes) -> None:
        try:
            record = decode_record(data)
        except msgspec.DecodeError as error:
            self._log.error("directory.record_unreadable", key=key, error=str(error))
            return
        self._keys[key] = record.id
        self._records[record.id] = record
        self._changed(record.id)

    def _forget(self, key: str) -> None:
        device = self._keys.pop(key, None)
        if device is not None:
            self._records.pop(device, None)
            self._changed(device)
