"""What a device is told about its own messages, on `devices/{id}/errors`. Pure; time is an argument."""

import hashlib

import msgspec

from contracts.deadletters import Reason
from contracts.topics import device_id_problem, errors
from ingest.outcomes import Arrival

INTERVAL_NS = 1_000_000_000
"""At most one message a device in this time."""

MOST_DEVICES = 10_000
"""How many devices are told within that time; others hear nothing meanwhile."""

_DETAIL = 512
_TOPIC = 256
_HASH = 16


class _Error(msgspec.Struct):
    """The message, as JSON.

    `topic`, `received` (ms since 1970 UTC) and `sha256` (the first 16 hex digits of the payload's) say which message
    is meant. `suppressed`: how many messages before this one were wrong as well, and not told of.
    """

    reason: str
    detail: str
    topic: str
    received: int
    sha256: str
    suppressed: int


class Feedback:
    """Tells each device of at most one wrong message a second, and how many it was not told of."""

    def __init__(self, most: int = MOST_DEVICES) -> None:
        self._most = most
        self._told: dict[str, tuple[int, int]] = {}  # when, and how many were suppressed since; longest ago first

    def __len__(self) -> int:
        return len(self._told)

    def tell(self, device: str, reason: Reason, detail: str, arrival: Arrival, now: int) -> tuple[str, bytes] | None:
        """Give topic and payload of what `device` is to be told at `now` (ns), or None if it is not told now.

        A device whose id does not fit one level of a topic is never told.
        """
        at, suppressed = self._told.get(device, (None, 0))
        if at is not None:
            if 0 <= now - at < INTERVAL_NS:
                self._told[device] = at, suppressed + 1
                return None
            del self._told[device]
        elif device_id_problem(device) is not None or not self._has_room(now):
            return None
        self._told[device] = now, 0
        sha256 = hashlib.sha256(arrival.payload).hexdigest()[:_HASH]
        topic, received = _cut(arrival.topic, _TOPIC), arrival.received // 1_000_000
        error = _Error(reason, _cut(detail, _DETAIL), topic, received, sha256, suppressed)
        return errors(device), msgspec.json.encode(error)

    def _has_room(self, now: int) -> bool:
        """Whether one more device can be remembered, once the one told longest ago may be forgotten."""
        if len(self._told) < self._most:
            return True
        oldest = next(iter(self._told))
        if 0 <= now - self._told[oldest][0] < INTERVAL_NS:
            return False
        del self._told[oldest]
        return True


def _cut(text: str, longest: int) -> str:
    """Cut `text` to what a small device can hold; half a surrogate pair, which JSON cannot, becomes a question mark."""
    short = text if len(text) <= longest else f"{text[:longest]}…"
    return short.encode("utf-8", "replace").decode()
