"""How much one message may hold. What passes a limit is rejected with its reason, never cut silently."""

from dataclasses import dataclass

MAX_DEPTH = 8
"""Deepest nesting of objects and arrays: a metric's name has at most this many parts."""

MAX_POINTS = 10_000
"""Most values of one message, over all the elements of an array."""


@dataclass(frozen=True)
class Limits:
    """Limits that an operator sets. All in bytes of UTF-8, but for `metrics`: values of one reading."""

    payload_bytes: int = 1 << 20
    metrics: int = 1_000
    name_bytes: int = 256
    text_bytes: int = 8_192

    @property
    def short_name(self) -> int:
        """So many characters of a name are never more bytes than are allowed."""
        return self.name_bytes // 4
