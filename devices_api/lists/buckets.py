"""What devices are counted by, and how many there are. Pure."""

from dataclasses import dataclass
from typing import Self

from devices_api.lists.filters import parse_field

_NAMES = ("profile", "group", "state", "enabled")


@dataclass(frozen=True)
class By:
    """What devices are counted by: profile, group, state, enabled, or the tag `key`."""

    name: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one of these names, or `tags.KEY`. Raises ValueError with a sentence for the caller."""
        if text in _NAMES:
            return cls(text)
        if text.startswith("tags."):
            return cls("tags", *parse_field(text).keys)
        raise ValueError(f"{text!r} is nothing to count by: write {', '.join(_NAMES)} or tags.KEY")


@dataclass(frozen=True)
class Bucket:
    """How many devices have `value`; None: those that have none.

    Of a group, `devices` are in it or below it, and `direct` are in it itself.
    """

    value: str | bool | None
    devices: int
    direct: int | None = None


@dataclass(frozen=True)
class Counts:
    """Devices in all; by value, the largest buckets first, that of none last; and those in no bucket shown."""

    total: int
    buckets: list[Bucket]
    other: int
