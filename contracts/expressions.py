"""Expressions of computed metrics and of conditions: CEL over the metrics of one device. Pure.

`voltage * current` - `outdoor.temperature > 30` - `m["wind speed"] / 3.6` - `rate(energy) * 3600` - `on ? power : 0`

A number is a double, as metrics are: `2` is read as `2.0`. `rate` (per second) and `delta` say how a counter has
changed since its point before; one that fell has begun anew at 0.

A condition may ask for what the registry knows of the device, too:
`temperature > 30 && profile == "fridge"` - `tags.site in ["north", "south"]` - `"cellar" in groups` - `device != "f-1"`
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from contracts.cel_source import ATTRIBUTES, COUNTERS, FUNCTIONS, METHODS, place, prepare
from contracts.readings import Value

MOST_CHARACTERS = 1_000
"""Longest expression."""

MOST_TEXT = 1_024
"""Longest text, in characters, that goes into an expression or comes out of one: it bounds what joining texts takes."""

_OPERATORS = ("_+_", "_-_", "_*_", "_/_", "_%_", "-_", "!_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_")
_KNOWN = {*_OPERATORS, "_&&_", "_||_", "_?_:_", "@in", *FUNCTIONS, *METHODS}
_SYNTAX = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*?)(?: expecting .*)?$", re.MULTILINE)
_WRONG = {
    "mismatched input '<EOF>'": "it ends too early",
    "Recursion limit": "it is nested too deeply",
    "Incomplete": "a part is missing",
}
_NO_FUNCTION = re.compile(r"Undefined variable or function: '(\w+)'")


class FailedError(Exception):
    """An expression could not be evaluated with these values; the message says why."""


class Change:
    """How a counter has changed: by `delta`, in `seconds`, which are more than 0."""

    __slots__ = ("delta", "rate")

    def __init__(self, before: float, now: float, seconds: float) -> None:
        self.delta = now - before if now >= before else now
        self.rate = self.delta / seconds


class Attributes(NamedTuple):
    """What the registry knows of a device; `groups` with all those above them."""

    device: str
    profile: str
    tags: Mapping[str, str] = {}
    groups: Sequence[str] = ()

    def get(self, what: str, name: str) -> object:
        """Give one of them; of a tag that the device does not have, the empty text."""
        return self.tags.get(name, "") if what == "tag" else getattr(self, what)


class Expression:
    """A compiled expression.

    `metrics` are the names of all that it needs; `counters`, of these, the ones whose change it needs; `attributes` is
    whether it asks for any, which only one that is made with `attributes` may. Raises ValueError, with the place and
    what is wrong, where `text` is no expression.
    """

    def __init__(self, text: str, *, attributes: bool = False) -> None:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"an expression has at most {MOST_CHARACTERS} characters; this one has {len(text)}")
        source = prepare(text, _literal, attributes=attributes)
        _compile(text)  # what is wrong is told by the place where its writer has it
        self._program = _compile(source.text)
        functions = set(self._program.functions())
        if not functions <= _KNOWN or not set(self._program.variables()) <= source.inputs.keys():
            raise ValueError(f"this is read as {', '.join(sorted(functions - _KNOWN))}, which is not allowed")
        inputs = [(name, what.name, what.what) for name, what in source.inputs.items()]
        self._values = [(name, metric) for name, metric, what in inputs if what == "value"]
        self._changes = [(name, metric, what) for name, metric, what in inputs if what in COUNTERS]
        self._attributes = [(name, of, what) for name, of, what in inputs if what in ATTRIBUTES or what == "tag"]
        self.attributes = bool(self._attributes)
        self.counters = frozenset(metric for _, metric, _ in self._changes)
        self.metrics = self.counters.union(metric for _, metric in self._values)
        if not self.metrics:
            raise ValueError("an expression is of metrics; this one names none")

    def evaluate(
        self, values: Mapping[str, Value], changes: Mapping[str, Change], attributes: Attributes | None = None
    ) -> Value | None:
        """Evaluate with the `values` of `metrics` and the `changes` of `counters`, all of them there.

        `attributes` are there, too, if the expression may ask for them. Gives None where the expression says `null`.
        Raises FailedError.
        """
        variables: dict[str, object] = {}
        for name, metric in self._values:
            value = values[metric]
            if type(value) is str and len(value) > MOST_TEXT:
                raise FailedError(f"{metric!r} is text of more than {MOST_TEXT} characters")
            variables[name] = value
        for name, metric, change in self._changes:
            variables[name] = getattr(changes[metric], change)
        if attributes is not None:
            for name, of, attribute in self._attributes:
                variables[name] = attributes.get(attribute, of)
        try:
            result = self._program.execute(variables)
        except Exception as error:  # whatever it is: it is about this expression and these values
            raise FailedError(_told(error)) from error
        return _result(result)


def _result(result: object) -> Value | None:
    if type(result) is float or type(result) is int:
        if not math.isfinite(result):
            raise FailedError("the result is no finite number: a division by zero, or too large")
        return float(result)
    if type(result) is str:
        if len(result) > MOST_TEXT:
            raise FailedError(f"the result is text of more than {MOST_TEXT} characters")
        return result
    if result is None or type(result) is bool:
        return result
    raise FailedError("the result is no number, boolean or text")


def _compile(text: str) -> Any:  # noqa: ANN401 - a Program, whose module is imported below
    # It takes 0.15 s and 28 MB, which nobody pays without computed metrics.
    import cel  # noqa: PLC0415 - see above

    try:
        return cel.compile(text)
    except ValueError as error:
        found = _SYNTAX.search(str(error))
        if found is None:
            raise ValueError(f"this is no CEL: {str(error)[:200]}") from error
        why = next((ours for theirs, ours in _WRONG.items() if theirs in found[3]), found[3][:200])
        raise ValueError(f"line {found[1]}, column {found[2]}: {why}") from error


def _literal(text: str) -> str:
    value = _compile(text).execute()
    if not isinstance(value, str):
        raise ValueError(f"{place(text, 0)}: this is no text")  # noqa: TRY004 - it is about what somebody wrote
    return value


def _told(error: Exception) -> str:
    """Say what is wrong, without the advice that comes with it."""
    text = str(error)
    if found := _NO_FUNCTION.search(text):
        return f"{found[1]} does not take a value of this type"
    if text.startswith("No such overload"):
        return "an operator does not take values of these types"
    text = text.partition(". ")[0]
    return text.strip().rstrip(".")[:200] or type(error).__name__
