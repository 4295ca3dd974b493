"""Threshold: a value is bad on one side of a number, and good again beyond another."""

import operator
from collections.abc import Callable, Mapping, Sequence
from math import isfinite

import msgspec

from alerting.judges.verdict import GOOD, Device, Seen, Verdict
from contracts.alerts import Operator
from contracts.readings import Value

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


class Limits:
    """The numbers of a rule's levels, in the order in which they are reached.

    A level is breached by a value that is `op` its first number, and held by one that is `op` its second. There are
    `count` of them.
    """

    def __init__(self, op: Operator, levels: Sequence[tuple[float, float]]) -> None:
        self._compare, self._levels = COMPARE[op], tuple(levels)
        self._easiest = min(self._levels[0], key=lambda number: number if op in ("gt", "ge") else -number)
        numbers = range(len(self._levels) + 1)
        self._verdicts = {(level, holds): Verdict(level, holds) for level in numbers for holds in numbers}
        self._verdicts[0, 0] = GOOD
        self.count = len(self._levels)

    def verdict(self, value: float) -> Verdict:
        """Say which levels `value` breaches and holds."""
        compare = self._compare
        if not compare(value, self._easiest):
            return GOOD
        level = holds = 0
        for number, (breach, hold) in enumerate(self._levels, 1):
            if compare(value, breach):
                level = holds = number
            elif compare(value, hold):
                holds = number
        return self._verdicts[level, holds]

    def verdict_of(self, number: float) -> Verdict:
        """Say the same of a number that was made of values, and name it."""
        found = self.verdict(number)
        return Verdict(found.level, found.holds, number)


class Threshold:
    """Judges one metric by `limits`. What is no finite number says nothing."""

    memory: type[msgspec.Struct] | None = None

    def __init__(self, metric: str, limits: Limits) -> None:
        self.metrics = frozenset((metric,))
        self._verdict = limits.verdict

    def judge(self, at: int, value: Value, last: Mapping[str, Seen], memory: None, device: Device) -> Verdict | None:  # noqa: ARG002 - as Judge has it
        """Judge as Judge says."""
        if type(value) is not float or not isfinite(value):
            return None
        return self._verdict(value)
