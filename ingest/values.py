"""Values: what becomes of each thing that a payload can hold. Nothing here raises for any payload."""

import re
from collections.abc import Mapping

from contracts.deadletters import Reason
from contracts.readings import Value
from ingest.limits import Limits
from ingest.outcomes import Problems

LARGEST_INTEGER = 1 << 53
"""Integers up to this one are exact as float64; larger ones become text."""

MAX_DIGITS = 300
"""Longest integer that is taken, as text."""

_SHOWN = 64
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_STARTS_NUMBER = frozenset("+-.0123456789")
READING_BYTES = 4 << 20
"""Largest reading, names and texts counted at four bytes a character: what the stream takes in one batch."""

_NO_VALUE = frozenset({"nan", "none", "unknown", "unavailable", "???"})
_LONGEST_NO_VALUE = max(map(len, _NO_VALUE))


class Unusable(str):
    """A JSON token that is no value: NaN, an infinity, a number too large for any type."""

    __slots__ = ()


class Text(str):
    """Text of which the convention says that it is text: it stays that, also where it looks like a number."""

    __slots__ = ()


def settle(values: dict[str, Value], longest: int) -> bool:
    """Finish, in place, what nearly all messages hold: numbers and booleans, ASCII names of up to `longest` characters.

    False if there is anything else; then `flatten` has to look at them, whether or not some were finished.
    """
    for name, value in values.items():
        kind = type(value)
        if kind is int:
            if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:  # type: ignore[operator]  # it is an int
                return False
            values[name] = float(value)
        elif kind is not float and kind is not bool:
            return False
        if not (0 < len(name) <= longest and name.isascii()):
            return False
    return True


class Flattener:
    """Turns one object into metrics: nested names are joined with a dot, arrays count from 1."""

    def __init__(self, limits: Limits, problems: Problems) -> None:
        self._limits, self._problems = limits, problems
        self.values: dict[str, Value] = {}
        self.spelled: dict[str, str] = {}  # numbers that stood in text, by metric: a profile may say that it is text
        self.no_values = 0
        self._left_out = 0
        self._bytes = 0  # of names and texts, which flattening may multiply

    def flatten(self, fields: Mapping[str, object]) -> dict[str, Value]:
        """Give the metrics of `fields`; what is wrong goes to the problems, and what is no value is counted."""
        for name, value in fields.items():
            self._add(name, value, 1)
        if self._bytes > READING_BYTES:
            size, self.values = self._bytes, {}
            self._problems.add(Reason.TOO_LARGE, f"with its names it is {size} bytes; {READING_BYTES} are allowed")
        if self._left_out:
            self._problems.add(
                Reason.TOO_LARGE, f"{self._left_out} values beyond the first {self._limits.metrics} of one reading"
            )
        return self.values

    def _add(self, name: str, value: object, depth: int) -> None:
        if isinstance(value, dict | list) and value:
            # A name that is too long already would only be copied for each value in it.
            if name and (problem := name_problem(name, self._limits)) is not None:
                self._problems.add(*problem)
                return
            if depth >= self._limits.depth:
                self._problems.add(Reason.TOO_LARGE, f"{shown(name)} is nested deeper than {self._limits.depth}")
                return
            items = value.items() if isinstance(value, dict) else enumerate(value, start=1)
            for key, inner in items:
                self._add(f"{name}.{key}", inner, depth + 1)
        elif (problem := name_problem(name, self._limits)) is not None:
            self._problems.add(*problem)
        elif (scalar := self._scalar(name, value)) is None:
            return
        elif len(self.values) >= self._limits.metrics and name not in self.values:
            self._left_out += 1
        else:
            self.values[name] = scalar
            if isinstance(value, str) and isinstance(scalar, float):
                self.spelled[name] = value
            self._bytes += 4 * (len(name) + (len(scalar) if isinstance(scalar, str) else 2))

    def _scalar(self, name: str, value: object) -> Value | None:
        """Give a value as it is stored; None if it is none, which has been noted."""
        found = scalar(value, self._limits)
        if found is None:
            self.no_values += 1
        elif isinstance(found, Refused):
            self._problems.add(found.reason, f"{shown(name)} {found.why}")
        else:
            return found
        return None


class Refused:
    """A value that cannot be stored; `why` completes a sentence that begins with its name."""

    __slots__ = ("reason", "why")

    def __init__(self, reason: Reason, why: str) -> None:
        self.reason, self.why = reason, why


def scalar(value: object, limits: Limits) -> Value | Refused | None:
    """Give one value as it is stored: a number, boolean or text. None where it says that there is no value."""
    kind = type(value)
    if kind is str and isinstance(value, str):
        return from_text(value, limits)
    if kind is Unusable:
        return Refused(Reason.BAD_VALUE, f"is {str(value)[:_SHOWN]}, which is no number")
    if isinstance(value, Text):
        return _text_problem(value, limits) or str(value)
    if kind is bool and isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _from_integer(value)
    return value if isinstance(value, float) else None  # null, or an empty object or array


def _from_integer(value: int) -> Value | Refused:
    if -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        return float(value)
    if value.bit_length() > MAX_DIGITS * 3:
        return Refused(Reason.BAD_VALUE, f"is an integer of more than {MAX_DIGITS} digits")
    return str(value)


def from_text(text: str, limits: Limits) -> Value | Refused | None:
    """Text that is wholly a number is one, unless that rounds an integer; some words say that there is no value."""
    if (problem := _text_problem(text, limits)) is not None:
        return problem
    if text[:1] in _STARTS_NUMBER and len(text) <= MAX_DIGITS and _NUMBER.fullmatch(text):
        number = float(text)
        rounded = abs(number) >= LARGEST_INTEGER and _INTEGER.fullmatch(text) is not None
        return text if rounded or number in (float("inf"), float("-inf")) else number
    return None if len(text) <= _LONGEST_NO_VALUE and text.lower() in _NO_VALUE else text


def _text_problem(text: str, limits: Limits) -> Refused | None:
    if len(text) * 4 <= limits.text_bytes and text.isascii():
        return None
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return Refused(Reason.BAD_VALUE, "is text with half a surrogate pair, which UTF-8 cannot hold")
    if size > limits.text_bytes:
        return Refused(Reason.TOO_LARGE, f"is text of {size} bytes; {limits.text_bytes} are allowed")
    return None


def name_problem(name: str, limits: Limits) -> tuple[Reason, str] | None:
    """Why `name` cannot name a metric, or None."""
    if not name:
        return Reason.BAD_VALUE, "a value has an empty name"
    if name.isascii() and len(name) <= limits.name_bytes:
        return None
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return Reason.BAD_VALUE, f"the name {shown(name)} has half a surrogate pair, which UTF-8 cannot hold"
    if size > limits.name_bytes:
        return Reason.TOO_LARGE, f"the name {shown(name)} is {size} bytes long; {limits.name_bytes} are allowed"
    return None


def shown(name: str) -> str:
    """Quote a name for a detail, cut to a length that can be read."""
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
