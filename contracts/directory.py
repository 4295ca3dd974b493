"""A service's copy of KV `devices`, kept by watching it, and used on while the bucket is away."""

import asyncio
from collections.abc import Callable

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import BucketNotFoundError

from contracts.devices import DeviceRecord, decode_record
from contracts.jetstream import Link
from contracts.logs import Log
from contracts.streams import DEVICES_BUCKET

_POLL_S = 0.5


class Directory:
    """Device records by device id.

    `loaded` is set once the whole bucket has been read. Between a lost connection and the next one the copy stays as
    it is.
    """

    def __init__(self, link: Link, log: Log, changed: Callable[[str], None] = lambda _: None) -> None:
        self._link, self._log, self._changed = link, log, changed
        self._records: dict[str, DeviceRecord] = {}
        self._keys: dict[str, str] = {}  # key in the bucket -> device id: a deletion names only the key
        self.loaded = asyncio.Event()

    def get(self, device: str) -> DeviceRecord | None:
        """Return the record of `device`, or None if it is not registered."""
        return self._records.get(device)

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
        watcher = await bucket.watchall()
        seen: set[str] = set()
        whole = False
        try:
            while self._link.generation == generation:
                try:
                    entry = await watcher.updates(timeout=_POLL_S)  # type: ignore[no-untyped-call]
                except TimeoutError:
                    continue
                if entry is None:  # the bucket as it was is complete: what it did not hold is gone
                    if not whole:
                        for key in self._keys.keys() - seen:
                            self._forget(key)
                        whole = True
                        self.loaded.set()
                elif entry.operation in ("DEL", "PURGE"):
                    self._forget(entry.key)
                else:
                    seen.add(entry.key)
                    self._learn(entry.key, entry.value or b"")
        finally:
            await watcher.stop()  # type: ignore[no-untyped-call]

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
