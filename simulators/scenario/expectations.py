"""What a scenario expects, as it is written: `lost == 0`, `p99_latency < 2 s`, `alerts.overheat.recall == 1`."""

import operator
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from contracts.deadletters import Reason
from simulators.scenario import quantities
from simulators.scenario.quantities import Kind

Measured = Callable[[str], float | None]
"""Gives what was measured under a name, in the base unit of its kind; None: it was not."""

NAMES = {
    "published": Kind.COUNT,
    "acked": Kind.COUNT,
    "stored": Kind.COUNT,
    "lost": Kind.COUNT,
    "duplicated": Kind.COUNT,
    "wrong": Kind.COUNT,
    "misrouted": Kind.COUNT,
    "wrongly_accepted": Kind.COUNT,
    "wrongly_rejected": Kind.COUNT,
    "dead_letters": Kind.COUNT,
    "reconnects": Kind.COUNT,
    "restarts": Kind.COUNT,
    "rate": Kind.RATE,
    "behind": Kind.SECONDS,
}
"""Names without parts. `rate` is messages acknowledged a second, `behind` the longest that one was sent too late."""

LATENCIES = ("latency", "puback", "alert")
"""After `p99_` or `max_`: publish to queryable, publish to PUBACK, and the event's reading to the alert, in seconds."""

OF_ALERTS = {"": Kind.COUNT, "recall": Kind.SHARE, "precision": Kind.SHARE, "missed": Kind.COUNT, "false": Kind.COUNT}
"""After `alerts.RULE`: nothing for how many there were."""

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_WHOLE = re.compile(r"\s*([a-z][a-z0-9_.]*)\s*(==|!=|<=|>=|<|>)(.*)")
_PERCENTILE = re.compile(r"p(?:[0-9]{1,2}|99_9{1,3})|max")
_REASONS = {str(reason) for reason in Reason}
_FORM = "write NAME, one of == != < <= > >=, and a number"


@dataclass(frozen=True, slots=True)
class Expectation:
    """A name, how it compares, and with what, in the base unit of `kind`."""

    text: str
    name: str
    comparison: str
    value: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an expectation. `found` is None where nothing was measured, which is no pass."""

    expectation: Expectation
    found: float | None
    passed: bool

    @property
    def shown(self) -> str:
        """Write what was found for people."""
        return "not measured" if self.found is None else quantities.show(self.found, self.expectation.kind)


def parse(text: str, rules: Collection[str]) -> Expectation:
    """Read an expectation; `rules` are the names that may follow `alerts.`. Raises ValueError with what is allowed."""
    found = _WHOLE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r}: {_FORM}")
    name, comparison, number = found.groups()
    kind = _kind(name, rules)
    if kind is None:
        raise ValueError(f"{text!r}: nothing is called {name!r}; there is {_known(rules)}")
    try:
        return Expectation(text, name, comparison, quantities.parse(number, kind), kind)
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None


def check(expectation: Expectation, measured: Measured) -> Outcome:
    """Compare what was measured with what was expected."""
    found = measured(expectation.name)
    passed = found is not None and _COMPARISONS[expectation.comparison](found, expectation.value)
    return Outcome(expectation, found, passed)


def percentile(name: str) -> tuple[str, float] | None:
    """Take `p99_latency` apart: `latency` and 99.0 (100.0 for `max`); None: the name is no such thing."""
    which, _, what = name.rpartition("_")
    if what not in LATENCIES or not _PERCENTILE.fullmatch(which):
        return None
    return what, 100.0 if which == "max" else float(which[1:].replace("_", "."))


def _kind(name: str, rules: Collection[str]) -> Kind | None:
    first, *more = name.split(".")
    match first, more:
        case _, []:
            return NAMES.get(name) or (Kind.SECONDS if percentile(name) else None)
        case "dead_letters", [reason] if reason in _REASONS:
            return Kind.COUNT
        case "alerts", [rule, *part] if rule in rules and len(part) <= 1:
            return OF_ALERTS.get("".join(part))
    return None


def _known(rules: Collection[str]) -> str:
    forms = [*NAMES, *(f"p99_{what}" for what in LATENCIES), "dead_letters.REASON"]
    for rule in rules:
        forms += [f"alerts.{rule}", *(f"alerts.{rule}.{part}" for part in OF_ALERTS if part)]
    return ", ".join(forms)
