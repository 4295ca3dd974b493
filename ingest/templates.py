"""Templates of Home Assistant discovery: the small part of them that only says where in a payload a value is. Pure.

`value`, `value_json.a.b`, `value_json['a'][0]`, and after it the filters `float`, `int`, `round`, `default` and
`is_defined`. A template is another program's code and comes from anybody who may publish: what is more than this is
never run.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ingest.limits import Limits
from ingest.values import from_text

MAX_TEMPLATE = 1_000
"""Longest template in characters."""

_MOST_DIGITS = 15
_LIMITS = Limits()
_LITERAL = r"(?:'[^'\\]*'|\"[^\"\\]*\"|-?[0-9]{1,15}(?:\.[0-9]{1,15})?|[Tt]rue|[Ff]alse|[Nn]one)"
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[\s*(?:'([^'\\]*)'|\"([^\"\\]*)\"|([0-9]{1,6}))\s*\]")
_FILTER = re.compile(
    rf"\s*\|\s*(float|int|round|default|d|is_defined)\b(?:\s*\(\s*(?:default\s*=\s*)?({_LITERAL})?(?:\s*,\s*({_LITERAL}))?\s*\))?"
)
_BEGIN = re.compile(r"\{\{-?\s*(value_json|value)\b")
_END = re.compile(r"\s*-?\}\}")


class Missing:
    """A value that the payload does not have."""


MISSING = Missing()


class Template:
    """Where in a payload a value is. `json`: whether the payload has to be JSON."""

    def __init__(self, steps: list[str | int], filters: list[Callable[[Any], Any]], *, json: bool) -> None:
        self._steps, self._filters, self.json = steps, filters, json

    def value(self, body: object) -> object:
        """Give the value out of the payload, as JSON or as text; MISSING if it is not there or not as it should be.

        What Home Assistant would show for a number that cannot be read, the argument of `float` or `int`, is MISSING
        too: nobody has measured it.
        """
        found: Any = body
        for step in self._steps:
            inside = isinstance(found, dict) and step in found
            if not inside and not (isinstance(found, list) and isinstance(step, int) and step < len(found)):
                found = MISSING
                break
            found = found[step]
        for change in self._filters:
            found = change(found)
        return found


@lru_cache(maxsize=4_096)
def parse(text: str) -> Template | None:
    """Read a template; None if it is more than this module takes."""
    text = text.strip()
    begin = _BEGIN.match(text)
    if begin is None or len(text) > MAX_TEMPLATE:
        return None
    at, steps, filters = begin.end(), [], []
    json = begin[1] == "value_json"
    while json and (step := _STEP.match(text, at)):
        steps.append(int(step[4]) if step[4] else next(part for part in step.groups()[:3] if part is not None))
        at = step.end()
    while found := _FILTER.match(text, at):
        filters.append(_filter(found[1], _literal(found[2]), _literal(found[3])))
        at = found.end()
    end = _END.match(text, at)
    return Template(steps, filters, json=json) if end is not None and end.end() == len(text) else None


def _literal(text: str | None) -> object:
    if not text:
        return MISSING
    if text[0] in "'\"":
        return text[1:-1]
    words: dict[str, object] = {"true": True, "false": False, "none": None}
    return words[text.lower()] if text.lower() in words else float(text) if "." in text else int(text)


def _filter(name: str, first: object, second: object) -> Callable[[Any], Any]:
    if name == "float":
        return _number
    if name == "is_defined":
        return lambda value: value
    if name == "int":
        return lambda value: MISSING if (number := _number(value)) is MISSING else float(int(number))
    if name == "round":
        digits = first if type(first) is int and abs(first) <= _MOST_DIGITS else 0
        return lambda value: MISSING if (number := _number(value)) is MISSING else round(number, digits)
    otherwise = "" if first is MISSING else first
    return lambda value: otherwise if value is MISSING or (second is True and not value) else value


def _number(value: object) -> Any:  # noqa: ANN401 - a float, or MISSING
    if isinstance(value, bool | int | float):
        return float(value) if abs(value) < 1 << 62 else MISSING
    number = from_text(value.strip(), _LIMITS) if isinstance(value, str) else None
    return number if isinstance(number, float) else MISSING
