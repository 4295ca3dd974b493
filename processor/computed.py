"""Computed metrics: what a profile's expressions make of a reading. Pure."""

from collections.abc import Container, Mapping
from functools import lru_cache

from contracts.expressions import Change, Expression, FailedError
from contracts.readings import Value

MOST_PROFILES = 256
"""How many profiles' expressions are held compiled; those of others are compiled anew."""

_SECOND = 1_000_000_000


class Computed:
    """The computed metrics of a profile, compiled.

    `inputs` are the names of all metrics that they are computed from; `counters`, of these, the ones whose point before
    is needed. An expression that cannot be compiled fails with each reading.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._expressions: list[tuple[str, Expression]] = []
        self._wrong: dict[str, str] = {}
        for name, text in texts.items():
            try:
                self._expressions.append((name, Expression(text)))
            except ValueError as error:
                self._wrong[name] = str(error)
        self.inputs = frozenset[str]().union(*(expression.metrics for _, expression in self._expressions))
        self.counters = frozenset[str]().union(*(expression.counters for _, expression in self._expressions))

    def of(self, metrics: Container[str]) -> frozenset[str]:
        """Name the computed metrics that have one of `metrics` as an input."""
        return frozenset(name for name, one in self._expressions if any(metric in metrics for metric in one.metrics))

    def evaluate(
        self,
        own: Mapping[str, Value],
        newest: Mapping[str, Value],
        previous: Mapping[str, tuple[int, Value]],
        ts: int,
    ) -> tuple[dict[str, Value], dict[str, str]]:
        """Compute what the reading of `ts`, in ns, gives; and say, by metric, why an expression failed.

        `own` are the reading's values; `newest` those of other inputs that are the last at or before `ts`; `previous`
        the counters' last points before `ts`. An expression is evaluated if `own` has one of its inputs, and each
        counter whose change it needs: the change of another one is none of this moment. Where an input is missing, or
        the device sends a metric of that name itself, there is no value and no error. The same arguments give the same.
        """
        values: dict[str, Value] = {}
        errors = dict(self._wrong)
        for name, expression in self._expressions:
            if name in own or own.keys().isdisjoint(expression.metrics):
                continue
            try:
                changes = {metric: _change(metric, own, previous, ts) for metric in expression.counters}
                value = expression.evaluate(
                    {metric: own[metric] if metric in own else newest[metric] for metric in expression.metrics}, changes
                )
            except KeyError:
                continue
            except FailedError as error:
                errors[name] = str(error)
                continue
            if value is not None:
                values[name] = value
        return values, errors


def _change(metric: str, own: Mapping[str, Value], previous: Mapping[str, tuple[int, Value]], ts: int) -> Change:
    """Say how a counter has changed. Raises KeyError if that is not known, FailedError if it is no counter."""
    now = own[metric]
    if type(now) is not float:
        raise FailedError(f"{metric!r} is no number, so that it has no rate or delta")
    at, before = previous[metric]
    if at >= ts or type(before) is not float:
        raise KeyError(metric)
    return Change(before, now, (ts - at) / _SECOND)


NOTHING = Computed({})


def computed(texts: Mapping[str, str]) -> Computed:
    """Give the compiled form of a record's `computed`: the same one for the same texts, however many devices."""
    return _compiled(tuple(texts.items())) if texts else NOTHING


@lru_cache(MOST_PROFILES)
def _compiled(texts: tuple[tuple[str, str], ...]) -> Computed:
    return Computed(dict(texts))
