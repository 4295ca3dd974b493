"""What decoders are given besides the message and its route. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from contracts.devices import DeviceRecord
from ingest import table
from ingest.limits import Limits
from ingest.memory import Memory

_MOST_REPEATS = 65_536


class Repeats:
    """Knows what was taken moments ago. Bounded: the oldest is forgotten first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Hashable, int] = OrderedDict()

    def seen(self, key: Hashable, now: int, within: int) -> bool:
        """Whether `key` was asked for less than `within` ns before `now`; it is known from now on."""
        if self.saw(key, now, within):
            return True
        self._seen[key] = now
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST_REPEATS:
            self._seen.popitem(last=False)
        return False

    def saw(self, key: Hashable, now: int, within: int) -> bool:
        """Whether `seen` was asked for `key` less than `within` ns before `now`; nothing is noted."""
        before = self._seen.get(key)
        return before is not None and 0 <= now - before < within


@dataclass(frozen=True)
class Context:
    """Limits, what the registry says, and what decoders remember from message to message."""

    limits: Limits
    record_of: Callable[[str], DeviceRecord | None]
    memory: Memory = field(default_factory=Memory)
    repeats: Repeats = field(default_factory=Repeats)

    def zone_of(self, device: str) -> ZoneInfo | None:
        """Give the time zone that the registry has for a device."""
        record = self.record_of(device)
        if record is None or not record.zone:
            return None
        try:
            return table.zone(record.zone)
        except ValueError:
            return None  # a zone that this machine's tables lack: as if there were none
