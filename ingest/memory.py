"""What decoders remember of devices: aliases, names, units. Pure.

It is written to the stream server together with what the message says that taught it, before that message is
acknowledged, and read back at the start.
"""

import re
from collections import Counter, OrderedDict
from typing import TypeVar

import msgspec

from contracts.devices import kv_key

_ESCAPED = re.compile("(?:=[0-9A-F]{2})+")

T = TypeVar("T", bound=msgspec.Struct)
H = TypeVar("H")

BUCKET = "ingest_memory"
"""Key-value bucket that holds the entries; no other service reads it."""

MAX_ENTRIES = 100_000
MAX_BYTES = 1 << 20
"""Largest entry, as JSON; a larger one is remembered, but only by this process."""

MAX_HELD = 1_000_000
"""Most of all that is held together, in whatever sizes its holders count."""

MAX_WEIGHT = 128 << 20
"""Most bytes of all keys and entries together, as they are written."""

MAX_KEY = 1_024
"""Longest key, which is part of a subject; what has a longer one is remembered by this process alone as well."""


def memory_key(*parts: str) -> str:
    """Build the key of an entry: the decoder's name, then whose it is."""
    return ".".join(kv_key(part) or "=" for part in parts)


def parts_of(key: str) -> list[str]:
    """Give the parts of which a key was built."""
    texts = (part if part != "=" else "" for part in key.split("."))
    return [_ESCAPED.sub(lambda bytes_: bytes.fromhex(bytes_[0].replace("=", "")).decode(), text) for text in texts]


def memory_subject(key: str) -> str:
    """Subject on which an entry is written to the bucket."""
    return f"$KV.{BUCKET}.{key}"


class Memory:
    """Entries by key. An entry is a struct that is replaced as a whole; its own fields are never changed.

    `fresh` tells what this process has learnt from what it was told at its start. The entry that was not used for the
    longest time is forgotten when there are too many, or they weigh too much.

    Besides there is what is `held`: only true as long as no message is missed, never written, and gone with
    `doubt`; `doubted` is when that was last, in ns since 1970 UTC.
    """

    def __init__(self) -> None:
        self._told: dict[str, bytes] = {}
        self._entries: OrderedDict[str, msgspec.Struct] = OrderedDict()
        self._fresh: set[str] = set()
        self._changed: dict[str, msgspec.Struct | None] = {}
        self._families: Counter[str] = Counter()
        self._weights: dict[str, int] = {}
        self._weight = 0
        self._held: OrderedDict[str, tuple[object, int]] = OrderedDict()
        self._held_size = 0
        self.forgotten = self.doubted = 0

    def __len__(self) -> int:
        return len(self._told) + len(self._entries)

    def tell(self, key: str, data: bytes) -> None:
        """Take in what was remembered before the start."""
        if len(self._told) < MAX_ENTRIES and self._weight < MAX_WEIGHT and key not in self._entries:
            self._count(key, key not in self._told)
            self._told[key] = data
            self._weigh(key, len(data))

    def get(self, key: str, kind: type[T]) -> T | None:
        """Return an entry, or None. One that is of another kind, as an older version may have left, is none."""
        data = self._told.pop(key, None)
        if data is not None:
            try:
                self._entries[key] = msgspec.json.decode(data, type=kind)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._count(key, -1)
                self._weigh(key, None)
                return None
        entry = self._entries.get(key)
        if not isinstance(entry, kind):
            return None
        self._entries.move_to_end(key)
        return entry

    def fresh(self, key: str) -> bool:
        """Whether this process itself has learnt the entry."""
        return key in self._fresh

    def put(self, key: str, entry: msgspec.Struct) -> None:
        """Remember; nothing is written if that is what is known already."""
        self._fresh.add(key)
        if self.get(key, type(entry)) == entry:
            return
        self._count(key, key not in self._entries)
        self._entries[key] = entry
        self._entries.move_to_end(key)
        self._changed[key] = entry
        if len(self._entries) > MAX_ENTRIES:
            self._forget_oldest()

    def forget(self, key: str) -> None:
        """Forget an entry."""
        known = self._told.pop(key, None), self._entries.pop(key, None)
        self._fresh.discard(key)
        if known != (None, None):
            self._count(key, -1)
            self._weigh(key, None)
            self._changed[key] = None

    def _forget_oldest(self) -> None:
        self.forget(next(iter(self._entries)))
        self.forgotten += 1

    def count(self, family: str) -> int:
        """Count the entries whose keys have `family` as their first part."""
        return self._families[family]

    def _count(self, key: str, change: int) -> None:
        self._families[key.partition(".")[0]] += change

    def _weigh(self, key: str, size: int | None) -> None:
        """Note how large an entry is; None if it is there no longer."""
        self._weight -= self._weights.pop(key, 0)
        if size is not None:
            self._weights[key] = len(key) + size
            self._weight += len(key) + size

    def keys(self, prefix: str) -> list[str]:
        """List the keys that begin with `prefix`."""
        return [key for known in (self._entries, self._told) for key in known if key.startswith(prefix)]

    def doubt(self, at: int = 0) -> None:
        """Something may have been missed up to `at`: from now on nothing counts as learnt by this process."""
        self.doubted = at
        self._fresh.clear()
        self._held.clear()
        self._held_size = 0

    def restart(self, at: int) -> None:
        """Forget everything, to be told anew; what the bucket holds stays. `at` as for `doubt`."""
        self.doubt(at)
        for known in (self._told, self._entries, self._changed, self._families, self._weights):
            known.clear()
        self._weight = 0

    def hold(self, key: str, thing: object, size: int) -> None:
        """Hold a thing of this size, which may be changed in place. Of too many, that not asked for longest goes."""
        self.release(key)
        self._held[key] = thing, size
        self._held_size += size
        while len(self._held) > 1 and (len(self._held) > MAX_ENTRIES or self._held_size > MAX_HELD):
            self.release(next(iter(self._held)))
            self.forgotten += 1

    def held(self, key: str, kind: type[H]) -> H | None:
        """Return what is held, or None."""
        thing, _ = self._held.get(key, (None, 0))
        if not isinstance(thing, kind):
            return None
        self._held.move_to_end(key)
        return thing

    def release(self, key: str) -> None:
        """Hold it no more."""
        _, size = self._held.pop(key, (None, 0))
        self._held_size -= size

    def changes(self) -> list[tuple[str, bytes | None]]:
        """Give what has changed since the last call: keys and their entries as JSON, None where forgotten."""
        if not self._changed:
            return []
        out: list[tuple[str, bytes | None]] = []
        for key, entry in self._changed.items():
            data = None if entry is None else _written(entry)
            if entry is not None:
                self._weigh(key, MAX_BYTES if data is None else len(data))
            if len(key) <= MAX_KEY:
                out.append((key, data if data is None or len(data) <= MAX_BYTES else None))
        self._changed = {}
        while self._weight > MAX_WEIGHT and self._entries:
            self._forget_oldest()
        return out


def _written(entry: msgspec.Struct) -> bytes | None:
    """Give an entry as it is written; None if it holds text that UTF-8 cannot hold."""
    try:
        return msgspec.json.encode(entry)
    except UnicodeEncodeError:
        return None
