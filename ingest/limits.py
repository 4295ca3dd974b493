"""How much one message may hold. What passes a limit is rejected with its reason, never cut silently."""

from dataclasses import dataclass

MOST_PAYLOAD = 4 << 20
"""Largest payload that can be allowed, in bytes: so much of a rejected one is kept."""

MAX_DEPTH = 8
"""Deepest nesting of objects and arrays, unless a setting says otherwise: parts of a metric's name."""

MAX_POINTS = 10_000
"""Most values of one message, unless a setting says otherwise, over all its readings."""


@dataclass(frozen=True)
class Limits:
    """Limits that an operator sets: bytes of UTF-8, values of one reading (`metrics`) and of one message (`points`)."""

    payload_bytes: int = 1 << 20
    metrics: int = 1_000
    name_bytes: int = 256
    text_bytes: int = 8_192
    depth: int = MAX_DEPTH
    points: int = MAX_POINTS

    @property
    def short_name(self) -> int:
        """So many characters of a name are never more bytes than are allowed."""
        return self.name_bytes // 4
