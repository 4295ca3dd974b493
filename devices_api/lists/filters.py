"""The one language that says which devices are meant. Pure.

`profile eq "pump" and tags.site eq "north" and not (online eq true or exists tags.spare)`; devices_api/README.md has
the fields and operators.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import NoReturn

from contracts.times import parse_time
from devices_api.errors import FilterError
from devices_api.lists.filter_terms import (
    GROUP,
    KEYED,
    ORDERING,
    PARTS,
    SCALARS,
    All,
    Any_,
    Described,
    Field,
    Kind,
    Literal,
    Node,
    Not,
    Operator,
    Term,
)
from devices_api.lists.filter_tokens import Token, error_at, split, unquote

LONGEST = 4096
"""Characters of a filter at most, also of its canonical form."""
MOST_TERMS = 100
DEEPEST = 32
"""Terms of a filter at most, and how many parentheses and nots may be inside each other."""
LONGEST_PATH = 8
"""Keys of an attribute's path at most."""

_KEY = re.compile(r'\.(?:([\w-]+)|("(?:[^"\\]|\\.)*"))', re.DOTALL)
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_EQUALITY = ("eq", "ne", "in")
_COMPARISONS = (*_EQUALITY, *ORDERING, *PARTS)
_ALLOWED: dict[Kind, tuple[str, ...]] = {
    Kind.TEXT: _COMPARISONS,
    Kind.JSON: _COMPARISONS,
    Kind.NUMBER: (*_EQUALITY, *ORDERING),
    Kind.TIME: (*_EQUALITY, *ORDERING),
    Kind.BOOLEAN: _EQUALITY,
    Kind.GROUP: _EQUALITY,
}


@dataclass(frozen=True)
class Filter:
    """Which devices are meant. `str` gives its canonical form: equal filters have the same."""

    root: Node

    def takes(self, device: Described) -> bool:
        """Whether `device` is meant."""
        return self.root.takes(device)

    @property
    def fields(self) -> frozenset[str]:
        """Name the fields that it looks at, without keys."""
        return frozenset(term.field.name for term in _terms(self.root))

    def __str__(self) -> str:
        return str(self.root)


def parse(text: str) -> Filter:
    """Read a filter. Raises FilterError."""
    if len(text) > LONGEST:
        raise FilterError(f"the filter has {len(text)} characters: {LONGEST} are allowed")
    filter_ = Filter(_Parser(text).read())
    if len(str(filter_)) > LONGEST:
        raise FilterError(f"the filter with its times written out has more than {LONGEST} characters")
    return filter_


def parse_field(text: str) -> Field:
    """Read the name of one field, as in `tags."my key"`. Raises FilterError."""
    if len(text) > LONGEST:
        raise FilterError(f"the field has {len(text)} characters: {LONGEST} are allowed")
    return _Parser(text).read_field()


def _terms(node: Node) -> Iterator[Term]:
    match node:
        case Term():
            yield node
        case Not():
            yield from _terms(node.part)
        case All() | Any_():
            for part in node.parts:
                yield from _terms(part)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(split(text))
        self._next = 0
        self._depth = 0
        self._terms = 0

    def read(self) -> Node:
        node = self._any()
        if self._here.kind != "end":
            self._expected("`and`, `or` or the end")
        return node

    def read_field(self) -> Field:
        field = self._field()
        if self._here.kind != "end":
            self._expected("the end")
        return field

    @property
    def _here(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._here
        self._next += 1
        return token

    def _took(self, word: str) -> bool:
        if self._here.word != word:
            return False
        self._next += 1
        return True

    def _expected(self, what: str) -> NoReturn:
        here = self._here
        raise error_at(here.at, f"expected {what}, found {here.text if here.kind != 'end' else 'the end'}")

    def _any(self) -> Node:
        parts = [self._all()]
        while self._took("or"):
            parts.append(self._all())
        if len(parts) == 1:
            return parts[0]
        flat: list[Term | Not | All] = []
        for part in parts:
            flat += part.parts if isinstance(part, Any_) else [part]
        return Any_(tuple(flat))

    def _all(self) -> Node:
        parts = [self._not()]
        while self._took("and"):
            parts.append(self._not())
        if len(parts) == 1:
            return parts[0]
        flat: list[Term | Not | Any_] = []
        for part in parts:
            flat += part.parts if isinstance(part, All) else [part]
        return All(tuple(flat))

    def _not(self) -> Node:
        at = self._here.at
        negated, opened = self._took("not"), False
        if not negated and not (opened := self._took("(")):
            return self._term()
        self._depth += 1
        if self._depth > DEEPEST:
            raise error_at(at, f"more than {DEEPEST} parentheses and nots are inside each other")
        node = _negation(self._not()) if negated else self._any()
        if opened and not self._took(")"):
            self._expected("`)`")
        self._depth -= 1
        return node

    def _term(self) -> Node:
        at = self._here.at
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise error_at(at, f"the filter has more than {MOST_TERMS} terms")
        if self._took("exists"):
            return Term(self._field(), Operator.EXISTS)
        field = self._field()
        if self._took("exists"):
            return Term(field, Operator.EXISTS)
        word = self._here.word
        allowed = _ALLOWED[field.kind]
        if word not in allowed:
            self._expected(f"an operator that {field} has ({', '.join(allowed)}, exists)")
        self._next += 1
        if word == "in":
            return Term(field, Operator.AMONG, self._list(field))
        if field.name == "deleted" and word in ("eq", "ne") and self._here.word in ("true", "false"):
            deleted = Term(field, Operator.EXISTS)  # a time, but what people ask is whether there is one
            return deleted if (self._take().word == "true") is (word == "eq") else Not(deleted)
        value = self._value(field, word)
        if word in ("eq", "ne"):
            same = Term(field, Operator.EXISTS) if value is None else Term(field, Operator.AMONG, (value,))
            return Not(same) if (word == "ne") is (value is not None) else same
        return Term(field, Operator(word), () if value is None else (value,))

    def _field(self) -> Field:
        token = self._here
        name = token.text.partition(".")[0] if token.kind == "word" else ""
        if token.text in SCALARS or token.text == GROUP:
            self._next += 1
            return Field(token.text)
        if name not in KEYED:
            self._expected(f"a field ({', '.join((*SCALARS, GROUP, *(f'{keyed}.KEY' for keyed in KEYED)))})")
        keys = tuple(bare or unquote(quoted, token.at) for bare, quoted in _KEY.findall(token.text.removeprefix(name)))
        longest = LONGEST_PATH if KEYED[name] is Kind.JSON else 1
        if not 1 <= len(keys) <= longest:
            hint = (
                f"up to {longest} keys, as in {name}.a.b" if longest > 1 else f'one key, as in {name}.a or {name}."a.b"'
            )
            self._expected(f"{name} with {hint}")
        self._next += 1
        return Field(name, keys)

    def _list(self, field: Field) -> tuple[Literal, ...]:
        if not self._took("("):
            self._expected("`(`")
        values: dict[tuple[type, Literal], Literal] = {}
        while True:
            value = self._value(field, "in")
            if value is not None:
                values[type(value), value] = value
            if self._took(")"):
                return tuple(values.values())
            if not self._took(","):
                self._expected("`,` or `)`")

    def _value(self, field: Field, operator: str) -> Literal | None:
        """Read what `field` is compared with; None for a null, which `eq` and `ne` have alone."""
        expected = _EXPECTED[field.kind] if operator not in PARTS else "a text in double quotes"
        if operator in ORDERING and field.kind is Kind.JSON:
            expected = "a text in double quotes or a number"
        token = self._here
        value: Literal | None
        kinds: tuple[Kind, ...]
        if token.kind == "text":
            value, kinds = unquote(token.text, token.at), (Kind.TEXT, Kind.GROUP, Kind.JSON, Kind.TIME)
        elif token.kind == "number":
            value, kinds = float(token.text), (Kind.NUMBER, Kind.JSON)
            if not isfinite(value):
                raise error_at(token.at, f"{token.text} is too large for a number")
        elif token.word in _CONSTANTS:
            value, kinds = _CONSTANTS[token.word], (Kind.BOOLEAN, Kind.JSON)
        else:
            self._expected(expected)
        if value is None:
            fits = operator in ("eq", "ne")
        else:
            typed = operator not in PARTS or isinstance(value, str)
            fits = field.kind in kinds and typed and not (operator in ORDERING and isinstance(value, bool))
        if not fits:
            self._expected(f"{expected} for {field}")
        self._next += 1
        if field.kind is Kind.TIME and isinstance(value, str):
            return _time(value, token.at)
        return value


_EXPECTED = {
    Kind.TEXT: "a text in double quotes",
    Kind.GROUP: "a group's id in double quotes",
    Kind.NUMBER: "a number",
    Kind.BOOLEAN: "true or false",
    Kind.TIME: "a time in double quotes",
    Kind.JSON: "a text in double quotes, a number, true or false",
}


def _negation(node: Node) -> Node:
    return node.part if isinstance(node, Not) else Not(node)


def _time(text: str, at: int) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise error_at(at, str(error)) from error
