"""Rate: a metric is bad while it changes too fast, or too slowly."""

from collections.abc import Mapping
from math import isfinite

import msgspec

from alerting.judges.threshold import Limits
from alerting.judges.verdict import Device, Seen, Verdict
from contracts.readings import Value

_SECOND = 1_000_000_000
_PARTS = 8
"""Points are kept this many to `over`: what is measured is at most an eighth longer, and the readings' interval."""


class RateMemory(msgspec.Struct, array_like=True):
    """Points to measure from, the oldest first: (event time, height). At most `_PARTS` + 2 of them.

    A height is the value itself, or for a counter all that it has counted since the first point. `value` is the newest,
    and `height` its height.
    """

    points: list[tuple[int, float]] = []
    value: float = 0.0
    height: float = 0.0


class Rate:
    """Judges how much one metric changes a second, from the newest reading that is `over` (ns) before, or longer.

    Without one it says nothing, and of what is no finite number. A `counter` that falls has begun anew at 0.
    """

    memory: type[msgspec.Struct] | None = RateMemory

    def __init__(self, metric: str, limits: Limits, over: int, *, counter: bool) -> None:
        self.metrics = frozenset((metric,))
        self._limits, self._over, self._counter = limits, over, counter

    def judge(
        self,
        at: int,
        value: Value,
        last: Mapping[str, Seen],  # noqa: ARG002 - as Judge has it
        memory: RateMemory,
        device: Device,  # noqa: ARG002
    ) -> Verdict | None:
        """Judge as Judge says."""
        if type(value) is not float or not isfinite(value):
            return None
        height = self._height(value, memory)
        points = memory.points
        verdict = None
        while len(points) > 1 and at - points[1][0] >= self._over:
            del points[0]
        if points and (elapsed := at - points[0][0]) >= self._over and elapsed > 0:
            rate = (height - points[0][1]) / elapsed * _SECOND
            verdict = self._limits.verdict_of(rate) if isfinite(rate) else None
        if not points or at - points[-1][0] >= self._over // _PARTS:
            points.append((at, height))
        return verdict

    def _height(self, value: float, memory: RateMemory) -> float:
        if not self._counter:
            return value
        before, memory.value = memory.value, value
        if memory.points:
            memory.height += value - before if value >= before else value
            if not isfinite(memory.height):  # it begins anew
                memory.points, memory.height = [], 0.0
        return memory.height
