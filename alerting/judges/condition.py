"""Condition: a device is bad while an expression over its metrics and attributes is true."""

from collections.abc import Mapping, Sequence
from math import isfinite

import msgspec

from alerting.judges.verdict import GOOD, Device, FailedError, Seen, Verdict
from contracts.devices import DEFAULT_PROFILE
from contracts.expressions import Attributes, Change, Expression
from contracts.expressions import FailedError as ExpressionFailedError
from contracts.readings import Value

_SECOND = 1_000_000_000
_ANY_AGE = 1 << 63


class Counter(msgspec.Struct, array_like=True):
    """A counter's newest point, and what it was `seconds` before; those are 0 where no point before it is known."""

    at: int
    value: float
    before: float = 0.0
    seconds: float = 0.0


class ConditionMemory(msgspec.Struct, array_like=True):
    """Counters of which an expression needs the change, by metric."""

    counters: dict[str, Counter] = {}


class Condition:
    """Judges by one expression a level, and perhaps another that holds it, in the order of the levels.

    Each reading that has one of the metrics is judged, with the newest value of each. As long as one of them was never
    heard of, or is older than `max_age` (ns, None for any age) at that reading's time, this says nothing.
    """

    def __init__(self, levels: Sequence[tuple[Expression, Expression | None]], max_age: int | None = None) -> None:
        expressions = [one for level in levels for one in level if one is not None]
        self.metrics = frozenset[str]().union(*(one.metrics for one in expressions))
        self._names = tuple(self.metrics)
        self._counters = frozenset[str]().union(*(one.counters for one in expressions))
        self._attributes = any(one.attributes for one in expressions)
        self._levels = list(enumerate(levels, 1))[::-1]
        self._max_age = _ANY_AGE if max_age is None else max_age
        self.memory: type[msgspec.Struct] | None = ConditionMemory if self._counters else None

    def judge(
        self,
        at: int,
        value: Value,  # noqa: ARG002 - as Judge has it
        last: Mapping[str, Seen],
        memory: ConditionMemory | None,
        device: Device,
    ) -> Verdict | None:
        """Judge as Judge says."""
        changes = _NONE if memory is None else self._changes(last, memory)
        oldest = at - self._max_age
        values: dict[str, Value] = {}
        for metric in self._names:
            seen = last.get(metric)
            if seen is None or seen[0] < oldest:
                return None
            values[metric] = seen[1]
        if len(changes) < len(self._counters):
            return None
        attributes = _attributes(device) if self._attributes else None
        holds = 0
        for level, (breach, hold) in self._levels:
            if (is_breached := _true(breach, values, changes, attributes)) is None:
                return None
            if is_breached:
                return Verdict(level, max(level, holds))
            if hold is not None and not holds:
                if (is_held := _true(hold, values, changes, attributes)) is None:
                    return None
                holds = level if is_held else 0
        return Verdict(0, holds) if holds else GOOD

    def _changes(self, last: Mapping[str, Seen], memory: ConditionMemory) -> dict[str, Change]:
        """Take in the counters' newest points, and say how those have changed of which two are known."""
        counters = memory.counters
        for metric in counters.keys() - self._counters:
            del counters[metric]  # the expression has been changed
        for metric in self._counters:
            if (seen := last.get(metric)) is not None:
                _take(counters, metric, *seen)
        return {
            metric: Change(counter.before, counter.value, counter.seconds)
            for metric, counter in counters.items()
            if counter.seconds
        }


_NONE: dict[str, Change] = {}


def _take(counters: dict[str, Counter], metric: str, at: int, value: Value) -> None:
    if type(value) is not float or not isfinite(value):
        raise FailedError(f"{metric!r} is no number, so that it has no rate or delta")
    before = counters.get(metric)
    if before is None:
        counters[metric] = Counter(at, value)
    elif before.at < at:
        counters[metric] = Counter(at, value, before.value, (at - before.at) / _SECOND)


def _attributes(device: Device) -> Attributes:
    record = device.record
    if record is None:
        return Attributes(device.id, DEFAULT_PROFILE)
    return Attributes(device.id, record.profile, record.tags, record.groups)


def _true(
    expression: Expression,
    values: Mapping[str, Value],
    changes: Mapping[str, Change],
    attributes: Attributes | None,
) -> bool | None:
    try:
        result = expression.evaluate(values, changes, attributes)
    except ExpressionFailedError as error:
        raise FailedError(str(error)) from error
    if result is None or type(result) is bool:
        return result
    raise FailedError(f"the condition gives {result!r:.100}, which is neither true nor false")
