"""Which readings that were published show an event, by what a ledger says. Pure."""

import operator
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.durations import parse_duration
from contracts.readings import Value
from simulators.models.model import Event
from simulators.plan.batch import ARRIVAL, Expect
from simulators.truth.alerts import Breach
from simulators.truth.entries import Run
from simulators.truth.reading import Acked, Column, Entered, Entry, Points, Sent

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


@dataclass(frozen=True)
class Condition:
    """Values that are `operator` (`gt`, `ge`, `lt`, `le`) `value` for `lasting` ns; of a boolean, 1 is true."""

    operator: str
    value: float
    lasting: int = 0

    @classmethod
    def of(cls, rule: Mapping[str, Any]) -> "Condition":
        """Read it from what alerting's API takes as a rule. Raises ValueError for kinds that compare something else."""
        if rule.get("kind", "threshold") != "threshold":
            raise ValueError(f"of rules of the kind {rule['kind']!r}, readings alone do not tell when they are bad")
        value = rule["levels"][0]["value"] if rule.get("levels") else rule["value"]
        return cls(rule.get("operator", "gt"), float(value), parse_duration(rule.get("for", "0s")))

    def bad(self, column: Column) -> NDArray[np.bool_]:
        """Tell which of a column's values fulfil it; text and what is missing never do."""
        compare = _OPERATORS[self.operator]
        if isinstance(column, list):
            return np.array([_is_number(one) and bool(compare(one, self.value)) for one in column], dtype=np.bool_)
        return np.asarray(compare(column, self.value), dtype=np.bool_)


class Breaches:
    """Looks for readings that show events, as the entries of a ledger pass by; only what was acknowledged counts.

    `metrics` maps the number of each device to the name under which the events' metric is stored. Without a
    `condition`, every reading of an event shows it.
    """

    def __init__(self, events: Iterable[Event], metrics: Mapping[int, str], condition: Condition | None) -> None:
        self._metrics, self._condition = set(metrics.values()), condition
        self._named = metrics
        self._events: dict[int, list[Event]] = {}
        for event in sorted(events, key=lambda event: event.start):
            self._events.setdefault(event.device, []).append(event)
        self._numbers = np.array(sorted(self._events), dtype=np.int64)
        self._waiting: dict[int, tuple[list[tuple[Event, int]], int]] = {}
        self._found: dict[Event, Breach] = {}

    def __call__(self, event: Event) -> Breach | None:
        """Say what shows `event`."""
        return self._found.get(event)

    def enter(self, entry: Entry) -> None:
        """Look at the next entry."""
        match entry:
            case Entered():
                for points in entry.points:
                    for metric in self._metrics & points.columns.keys():
                        self._look(entry, points, metric)
            case Sent() if self._waiting:
                acked = isinstance(entry, Acked)
                for number, at in zip(entry.numbers.tolist(), entry.ats.tolist(), strict=True):
                    if number in self._waiting:
                        self._moved(number, at, acked=acked)
            case Run():
                self._waiting.clear()  # numbers begin anew

    def _look(self, entry: Entered, points: Points, metric: str) -> None:
        column = points.columns[metric]
        bad = np.ones(len(points.ts), dtype=np.bool_) if self._condition is None else self._condition.bad(column)
        rows = np.nonzero(bad)[0]
        rows = rows[np.isin(points.devices[rows], self._numbers)]
        rows = rows[np.isin(entry.expects[points.messages[rows]], (Expect.STORED, Expect.PARTLY))]
        for row in rows.tolist():
            message, device = int(points.messages[row]), int(points.devices[row])
            ts = int(points.ts[row])
            event = self._at(device, int(entry.intended[message]) if ts == ARRIVAL else ts)
            if event is not None and self._named.get(device) == metric:
                number = entry.first + message
                self._waiting.setdefault(number, ([], int(entry.intended[message])))[0].append((event, ts))

    def _at(self, device: int, ts: int) -> Event | None:
        events = self._events[device]
        last = bisect_right(events, ts, key=lambda event: event.start) - 1
        return events[last] if last >= 0 and ts <= events[last].end else None

    def _moved(self, number: int, at: int, *, acked: bool) -> None:
        shown, sent = self._waiting.pop(number)
        if not acked:
            self._waiting[number] = shown, at
            return
        for event, ts in shown:
            when = sent if ts == ARRIVAL else ts
            known = self._found.get(event, Breach(when, when, sent))
            first = min(known, Breach(when, when, sent), key=lambda breach: breach.first)
            self._found[event] = Breach(first.first, max(known.last, when), first.published)


def _is_number(value: Value | None) -> bool:
    return isinstance(value, float | int)
