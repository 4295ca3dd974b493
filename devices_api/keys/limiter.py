"""Rate limits of many callers: token buckets, in memory and bounded. Pure; times are s that never go back."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

from contracts.rates import Bucket

MOST_CALLERS = 10_000
"""Callers that are remembered; beyond it the one that came least recently begins with full buckets again."""


class Limiter:
    """Every caller has `buckets` of their own, and takes one token from each; without buckets nobody is limited."""

    def __init__(self, buckets: Sequence[Bucket], most: int = MOST_CALLERS) -> None:
        self._buckets, self._most = tuple(buckets), most
        self._left: OrderedDict[Hashable, tuple[float, list[float]]] = OrderedDict()

    def wait(self, caller: Hashable, now: float) -> float:
        """Return the seconds until `caller` may take; 0 if they may now."""
        return max(
            (self._lack(*pair) for pair in zip(self._buckets, self._filled(caller, now), strict=True)), default=0
        )

    def take(self, caller: Hashable, now: float) -> float:
        """Take from each bucket, if all have a token; returns 0, or the seconds until they have."""
        left = self._filled(caller, now)
        if lack := max((self._lack(*pair) for pair in zip(self._buckets, left, strict=True)), default=0):
            return lack
        if left:
            self._left[caller] = now, [tokens - 1 for tokens in left]
            self._left.move_to_end(caller)
            if len(self._left) > self._most:
                self._left.popitem(last=False)
        return 0

    @staticmethod
    def _lack(bucket: Bucket, left: float) -> float:
        return max(0.0, 1 - left) * bucket.seconds / bucket.capacity

    def _filled(self, caller: Hashable, now: float) -> list[float]:
        if (found := self._left.get(caller)) is None:
            return [float(bucket.capacity) for bucket in self._buckets]
        at, left = found
        gained = max(0.0, now - at)
        return [
            min(float(bucket.capacity), tokens + gained * bucket.capacity / bucket.seconds)
            for bucket, tokens in zip(self._buckets, left, strict=True)
        ]
