"""Matchers over labels, in the syntax of Alertmanager: `name="value"`, `!=`, `=~` and `!~`. Pure.

Regular expressions run in the engine that pydantic brings along (Rust's `regex`): its time is linear in the text
whatever the pattern, and a pattern that would compile to something large is refused. It knows no look-around and
no back-references.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import SchemaError, SchemaValidator, core_schema

MOST_TEXT = 4096
"""Characters of one matcher."""

MOST = 50
"""Matchers in one list."""

_SYNTAX = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(?:\"((?:[^\"\\]|\\[\"\\n])*)\"|([^\"\s][^\"]*)|)")
_ESCAPED = re.compile(r"\\(.)")


class Matcher:
    """One condition on a label; a label that is not there is as one that is empty."""

    __slots__ = ("_holds", "name", "operator", "value")

    def __init__(self, name: str, operator: str, value: str) -> None:
        """Build one from its parts. Raises ValueError where the value is no regular expression."""
        self.name, self.operator, self.value = name, operator, value
        self._holds = _pattern(value) if operator in ("=~", "!~") else value.__eq__

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` meet it."""
        return self._holds(labels.get(self.name, "")) is (self.operator[0] == "=")

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{value}"'


def parse_matcher(text: str) -> Matcher:
    """Read a matcher. Raises ValueError with a sentence for its author."""
    found = _SYNTAX.fullmatch(text.rstrip()) if len(text) <= MOST_TEXT else None
    if found is None:
        raise ValueError(f'{text[:100]!r} is no matcher: write name="value", or !=, =~, !~ in place of =')
    name, operator, quoted, bare = found.groups()
    value = _ESCAPED.sub(_unescaped, quoted) if quoted is not None else (bare or "")
    return Matcher(name, operator, value)


def match_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether `labels` meet all of `matchers`."""
    return all(matcher.matches(labels) for matcher in matchers)


def compiled(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Read several matchers."""
    return tuple(parse_matcher(text) for text in texts)


MatcherText = Annotated[str, AfterValidator(lambda text: str(parse_matcher(text)))]
Matchers = Annotated[list[MatcherText], Field(max_length=MOST)]


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> Callable[[str], bool]:
    """Build the test that a whole text meets `pattern`."""
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern))  # alone: it may not close what is put around it
        whole = SchemaValidator(core_schema.str_schema(pattern=rf"\A(?s:{pattern})\z", regex_engine="rust-regex"))
    except SchemaError as error:
        reason = str(error).strip().rpartition("\n")[2].removeprefix("error: ").strip()
        raise ValueError(f"{pattern[:100]!r} is no regular expression that is allowed here: {reason}") from None
    return whole.isinstance_python
