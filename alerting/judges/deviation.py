"""Deviation: a metric is bad while it is far from what it was like lately, in standard deviations."""

from collections.abc import Mapping
from math import exp, isfinite, sqrt
from typing import Literal

import msgspec

from alerting.judges.threshold import Limits
from alerting.judges.verdict import Device, Seen, Verdict
from contracts.readings import Value

Direction = Literal["both", "above", "below"]

GAP = 3
"""After so many time constants without a value, what was learnt is old."""

_MOSTLY = 1 - exp(-1)
"""Share of bad values, weighted as the mean is, that is reached when all have been bad for one time constant."""


class DeviationMemory(msgspec.Struct, array_like=True):
    """What was learnt: `mean` and `variance` of `count` values, the newest of time `at` (ns).

    `bad` is the share of bad values lately.
    """

    at: int = -1
    count: int = 0
    mean: float = 0.0
    variance: float = 0.0
    bad: float = 0.0


class Deviation:
    """Judges by how many standard deviations a value is off the mean of the values before it.

    Mean and variance forget with the time constant `tau` (ns), by time and not by values, but always rest on `warm_up`
    values at least: after a pause no single value counts for much. Until `warm_up` values have come, also after a pause
    of GAP times `tau`, this says nothing; nor where the deviation is 0 and no `least` is given.

    A bad value is not learnt from, so an outlier does not hide the next one. Values that are mostly bad for as long as
    `tau` are the new normal: then it learns anew.
    """

    memory: type[msgspec.Struct] | None = DeviationMemory

    def __init__(self, metric: str, limits: Limits, direction: Direction, tau: int, warm_up: int, least: float) -> None:
        self.metrics = frozenset((metric,))
        self._limits, self._direction = limits, direction
        self._tau, self._warm_up, self._least = tau, warm_up, least

    def judge(
        self,
        at: int,
        value: Value,
        last: Mapping[str, Seen],  # noqa: ARG002 - as Judge has it
        memory: DeviationMemory,
        device: Device,  # noqa: ARG002
    ) -> Verdict | None:
        """Judge as Judge says."""
        if type(value) is not float or not isfinite(value):
            return None
        elapsed, memory.at = at - memory.at, at
        if memory.count and elapsed > GAP * self._tau:
            _forget(memory)
        verdict = self._judged(value, memory) if memory.count >= self._warm_up else None
        decay = 1 - exp(-elapsed / self._tau) if memory.count else 1.0
        if verdict is not None:
            memory.bad += min(decay, 1 / self._warm_up) * ((verdict.level > 0) - memory.bad)
            if memory.bad >= _MOSTLY:
                _forget(memory)
        if verdict is None or verdict.level == 0 or not memory.count:
            self._learn(value, memory, decay)
        return verdict

    def _judged(self, value: float, memory: DeviationMemory) -> Verdict | None:
        deviation = max(sqrt(memory.variance), self._least)
        if deviation <= 0:
            return None
        off = (value - memory.mean) / deviation
        if self._direction == "both":
            off = abs(off)
        elif self._direction == "below":
            off = -off
        return self._limits.verdict_of(off) if isfinite(off) else None

    def _learn(self, value: float, memory: DeviationMemory, decay: float) -> None:
        """Take in a value; the first ones have the same weight each."""
        memory.count += 1
        weight = min(max(decay, 1 / memory.count), 1 / min(memory.count, self._warm_up))
        apart = value - memory.mean
        memory.mean += weight * apart
        variance = (1 - weight) * (memory.variance + weight * apart * apart)
        if not (isfinite(variance) and isfinite(memory.mean)):
            _forget(memory)  # too large for floats
            return
        memory.variance = variance


def _forget(memory: DeviationMemory) -> None:
    memory.count, memory.mean, memory.variance, memory.bad = 0, 0.0, 0.0, 0.0
