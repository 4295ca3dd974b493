"""What decoders are given besides the message and its route. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from hashlib import blake2b
from zoneinfo import ZoneInfo

from contracts.devices import DeviceRecord
from ingest import table
from ingest.limits import Limits
from ingest.memory import Memory

_MOST_REPEATS = 65_536
_MOST_OWNERS = 65_536


def _digest(key: Hashable) -> bytes:
    """Tell a key from others in few bytes: as many are remembered, and senders choose how long their names are.

    Python's own hash will not do: it is the same for -1 and -2, and of such values the second would be dropped.
    """
    return blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Repeats:
    """Knows what was taken moments ago. Bounded: the oldest is forgotten first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, int] = OrderedDict()  # by digest: what senders choose may be long

    def seen(self, key: Hashable, now: int, within: int) -> bool:
        """Whether `key` was asked for less than `within` ns before `now`; it is known from now on."""
        if self.saw(key, now, within):
            return True
        digest = _digest(key)
        self._seen[digest] = now
        self._seen.move_to_end(digest)
        if len(self._seen) > _MOST_REPEATS:
            self._seen.popitem(last=False)
        return False

    def saw(self, key: Hashable, now: int, within: int) -> bool:
        """Whether `seen` was asked for `key` less than `within` ns before `now`; nothing is noted."""
        before = self._seen.get(_digest(key))
        return before is not None and 0 <= now - before < within


class Owners:
    """Knows who was the first to claim what. Bounded: the oldest is forgotten first."""

    def __init__(self, most: int = _MOST_OWNERS) -> None:
        self._owners: OrderedDict[int, int] = OrderedDict()  # hashes, since there is one for each value of a message
        self._most = most

    def has(self, thing: Hashable, owner: Hashable) -> bool:
        """Whether `thing` is `owner`'s, which it is from now on if it was nobody's."""
        key = hash(thing)
        known = self._owners.setdefault(key, hash(owner))
        if len(self._owners) > self._most:
            self._owners.popitem(last=False)
        return known == hash(owner)


class Spacing:
    """Spaces out what is asked of others: each time for nothing, the wait doubles. Bounded: the oldest is forgotten.

    All together ask at most `AT_ONCE` times in a second.
    """

    AT_ONCE = 50

    def __init__(self) -> None:
        self._asked: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()  # when last, and how often for nothing
        self._second = self._in_second = 0

    def due(self, key: Hashable, now: int, least: int, most: int) -> bool:
        """Whether to ask now: `least` ns have to lie between two times, doubling up to `most`."""
        before, times = self._asked.get(key, (None, 0))
        if before is not None and 0 <= now - before < min(least << max(times - 1, 0), most):
            return False
        second = now // 1_000_000_000
        if second != self._second:
            self._second, self._in_second = second, 0
        if self._in_second >= self.AT_ONCE:
            return False
        self._in_second += 1
        self._asked[key] = now, min(times + 1, 32)
        self._asked.move_to_end(key)
        if len(self._asked) > _MOST_REPEATS:
            self._asked.popitem(last=False)
        return True

    def answered(self, key: Hashable) -> None:
        """Say that the last time was not for nothing: the next wait is the least one again."""
        if key in self._asked:
            self._asked[key] = self._asked[key][0], 0


@dataclass(frozen=True)
class Context:
    """Limits, what the registry says, and what decoders remember from message to message."""

    limits: Limits
    record_of: Callable[[str], DeviceRecord | None]
    memory: Memory = field(default_factory=Memory)
    repeats: Repeats = field(default_factory=Repeats)
    owners: Owners = field(default_factory=Owners)
    spacing: Spacing = field(default_factory=Spacing)

    def zone_of(self, device: str) -> ZoneInfo | None:
        """Give the time zone that the registry has for a device."""
        record = self.record_of(device)
        if record is None or not record.zone:
            return None
        try:
            return table.zone(record.zone)
        except ValueError:
            return None  # a zone that this machine's tables lack: as if there were none
