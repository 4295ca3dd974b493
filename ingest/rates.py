"""How much a device may send: token buckets on its messages and on their points. Pure; time is an argument."""

from functools import lru_cache

from contracts.devices import DeviceRecord
from contracts.rates import parse_rate

MOST_DEVICES = 100_000
"""How many devices' buckets are remembered. One that is forgotten begins with full buckets."""

_SECOND = 1_000_000_000
_KEEP = 0.9  # of MOST_DEVICES, when room is made: so that making it is rare


class _Buckets:
    """One device's buckets. A bucket is the moment when it will be full again.

    That moment is counted in 1/capacity ns, so that a token is a whole number and nothing is rounded.
    """

    __slots__ = ("full", "messages", "points", "rates")

    def __init__(self, messages: str, points: str) -> None:
        self.messages, self.points = messages, points
        self.rates = _rates(messages, points)
        self.full = [0] * len(self.rates)

    def take(self, points: int, now: int) -> bool:
        """Take one token from each bucket of messages and `points` from each of points, or none at all."""
        before, after, passes = [], [], True
        for (capacity, width, of_points), at in zip(self.rates, self.full, strict=True):
            full = now * capacity
            empty = full + width * capacity
            # A clock that was set back would otherwise keep the device waiting until it is there again.
            full = full if at < full else min(at, empty)
            before.append(full)
            full += width * points if of_points else width
            after.append(full)
            passes = passes and full <= empty
        self.full = after if passes else before
        return passes

    def are_full(self, now: int) -> bool:
        return all(full <= now * capacity for (capacity, _, _), full in zip(self.rates, self.full, strict=True))


class RateLimits:
    """Rates of each device by its record, or by `messages` and `points` where the record names none.

    Raises ValueError if `messages` or `points` is no rate.
    """

    def __init__(self, messages: str = "", points: str = "", most: int = MOST_DEVICES) -> None:
        parse_rate(messages)
        parse_rate(points)
        self._messages, self._points, self._most = messages, points, most
        self._limited = bool(messages or points)
        self._devices: dict[str, _Buckets] = {}  # longest remembered first

    def __len__(self) -> int:
        return len(self._devices)

    def apply(self, record: DeviceRecord | None) -> bool:
        """Whether there is any limit for the device with this record."""
        return self._limited or (record is not None and bool(record.message_rate or record.point_rate))

    def allow(self, device: str, record: DeviceRecord | None, points: int, now: int) -> bool:
        """Whether `device` may send a message with `points` points, which arrived at `now` (ns since 1970 UTC).

        What is refused takes no tokens. A message with more points than a bucket's capacity never passes.
        """
        if record is None or not (record.message_rate or record.point_rate):
            if not self._limited:
                return True
            messages_rate, points_rate = self._messages, self._points
        else:
            messages_rate = record.message_rate or self._messages
            points_rate = record.point_rate or self._points
        buckets = self._devices.get(device)
        if buckets is None or buckets.messages != messages_rate or buckets.points != points_rate:
            if buckets is None and len(self._devices) >= self._most:
                self._make_room(now)
            buckets = self._devices[device] = _Buckets(messages_rate, points_rate)
        return buckets.take(points, now)

    def _make_room(self, now: int) -> None:
        """Forget the devices whose buckets are full, which changes nothing for them; then those known longest."""
        devices = self._devices
        for device in [device for device, buckets in devices.items() if buckets.are_full(now)]:
            del devices[device]
        for device in list(devices)[: max(0, len(devices) - int(self._most * _KEEP))]:
            del devices[device]


@lru_cache(maxsize=1024)
def _rates(messages: str, points: str) -> tuple[tuple[int, int, bool], ...]:
    """Give capacity, ns to fill, and whether points are counted; a rate that cannot be read, in a record, is none."""
    rates = []
    for text, of_points in ((messages, False), (points, True)):
        try:
            rates += [(bucket.capacity, bucket.seconds * _SECOND, of_points) for bucket in parse_rate(text)]
        except ValueError:  # devices_api lets none through: somebody has written to the bucket by hand
            continue
    return tuple(rates)
