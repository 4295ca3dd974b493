"""Window: a metric is bad while an aggregate of its last windows is."""

import math
from collections.abc import Callable, Sequence

import msgspec

from alerting.judges.threshold import Limits
from alerting.judges.verdict import Verdict
from alerting.rules.kinds import MOST_WINDOWS
from contracts.derived import Window
from contracts.timeseries import HOUR, merged_m2

_UNEVEN = {"1d": 2 * HOUR}
"""By how much, in ns, several windows of a tier may differ from as many of its width: clocks change with the season."""


class Part(msgspec.Struct, array_like=True, frozen=True):
    """What is kept of a window. `count` is above 0; None for what no float can hold, or what is not of numbers."""

    start: int
    count: int
    sum: float | None
    m2: float | None
    min: float | None
    max: float | None
    first: float | None
    last: float | None


class WindowMemory(msgspec.Struct, array_like=True):
    """The windows within `over`, the oldest first, and the start of the first that came at all, -1 for none."""

    parts: list[Part] = []
    began: int = -1


class Joined:
    """Judges one aggregate of the windows of `tier` that lie within the last `over` ns before a window's end.

    It says nothing until `over` has passed since the start of the first window that came, so that nothing is judged by
    a part of its time; nor where the aggregate is no finite number. A window in which nothing was measured does not
    exist: it adds nothing.
    """

    memory: type[msgspec.Struct] | None = WindowMemory

    def __init__(self, metric: str, limits: Limits, function: str, tier: str, over: int) -> None:
        self.metrics, self.tier = frozenset((metric,)), tier
        self._limits, self._aggregate, self._over = limits, _AGGREGATES[function], over
        self._uneven = _UNEVEN.get(tier, 0)

    def judge_window(self, window: Window, memory: WindowMemory) -> Verdict | None:
        """Judge as WindowJudge says."""
        parts = memory.parts
        if memory.began < 0:
            memory.began = window.start
        oldest = min(window.start, window.end - self._over - self._uneven)
        parts[:] = [part for part in parts if part.start >= oldest][1 - MOST_WINDOWS :]
        parts.append(_part(window))
        if memory.began > min(window.start, window.end - self._over + self._uneven):
            return None
        number = self._aggregate(parts)
        return self._limits.verdict_of(number) if number is not None and math.isfinite(number) else None


def _part(window: Window) -> Part:
    last = window.last if type(window.last) is float else None
    return Part(
        window.start, window.count, window.sum, window.m2, window.min, window.max, window.first, last
    )  # fmt: skip


def _sum(parts: Sequence[Part]) -> float | None:
    sums = [part.sum for part in parts]
    return None if None in sums else sum(one for one in sums if one is not None)


def _count(parts: Sequence[Part]) -> float:
    return float(sum(part.count for part in parts))


def _mean(parts: Sequence[Part]) -> float | None:
    total = _sum(parts)
    return None if total is None else total / _count(parts)


def _min(parts: Sequence[Part]) -> float | None:
    return min((part.min for part in parts if part.min is not None), default=None)


def _max(parts: Sequence[Part]) -> float | None:
    return max((part.max for part in parts if part.max is not None), default=None)


def _range(parts: Sequence[Part]) -> float | None:
    least, most = _min(parts), _max(parts)
    return None if least is None or most is None else most - least


def _stddev(parts: Sequence[Part]) -> float | None:
    """Of all points, not of a sample: the root of m2 / count."""
    count, total, m2 = 0, 0.0, 0.0
    for part in parts:
        if part.sum is None or part.m2 is None:
            return None
        m2 = merged_m2(count, total, m2, (part.count, part.sum, part.m2)) if count else part.m2
        count, total = count + part.count, total + part.sum
    return math.sqrt(m2 / count)


_AGGREGATES: dict[str, Callable[[Sequence[Part]], float | None]] = {
    "mean": _mean,
    "min": _min,
    "max": _max,
    "sum": _sum,
    "count": _count,
    "first": lambda parts: parts[0].first,
    "last": lambda parts: parts[-1].last,
    "stddev": _stddev,
    "range": _range,
}
