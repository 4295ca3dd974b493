"""The text of an expression over metrics, made ready for a CEL interpreter. Pure.

What may take long or much memory is refused here, by a list of what is allowed: there are no comprehensions, no regular
expressions, and no maps. Metrics become variables, whatever characters their names are of.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, NoReturn

FUNCTIONS = ("double", "int", "size", "string")
METHODS = ("contains", "endsWith", "size", "startsWith")
COUNTERS: dict[str, Literal["rate", "delta"]] = {"rate": "rate", "delta": "delta"}
MOST_ADDITIONS = 100
"""Most signs + in an expression: what joins texts may take time that grows with the square of their number."""
ATTRIBUTES: dict[str, Literal["device", "profile", "groups"]] = {
    "device": "device",
    "profile": "profile",
    "groups": "groups",
}
KEYWORDS = ("true", "false", "null", "in")

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<double>(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)
    | (?P<hex>0[xX][0-9a-fA-F]+)
    | (?P<int>[0-9]+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]])
    """,
    re.VERBOSE,
)


class Input(NamedTuple):
    """What a variable stands for.

    The `value` of the metric `name`, or how it has changed since its point before; the value of the tag `name`; or,
    without a name, the device's id, its profile or the list of its groups.
    """

    name: str
    what: Literal["value", "rate", "delta", "tag", "device", "profile", "groups"]


@dataclass
class Source:
    """An expression for the interpreter: `text`, in which each of `inputs` is the variable of that name."""

    text: str = ""
    inputs: dict[str, Input] = field(default_factory=dict)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def prepare(text: str, literal: Callable[[str], str], *, attributes: bool = False) -> Source:
    """Make `text` ready. Raises ValueError, with the place and what is wrong, at what is not allowed.

    `literal` reads a text literal, quotes and escapes included. That `text` is CEL at all is left to the interpreter.
    With `attributes`, `device`, `profile`, `groups` and `tags.NAME` are the device's own, and metrics of such names are
    written m["NAME"].
    """
    return _Reader(text, literal, attributes=attributes).read()


def place(text: str, at: int) -> str:
    """Say where in `text` the character `at` is."""
    before = text[:at]
    return f"line {before.count(chr(10)) + 1}, column {at - before.rfind(chr(10))}"


class _Reader:
    """Reads token after token, and writes each as the interpreter is to see it."""

    def __init__(self, text: str, literal: Callable[[str], str], *, attributes: bool) -> None:
        self._text, self._literal, self._attributes = text, literal, attributes
        self._tokens = self._split()
        plus = [token for token in self._tokens if token.text == "+"]
        if len(plus) > MOST_ADDITIONS:
            self._refuse(plus[MOST_ADDITIONS], f"an expression has at most {MOST_ADDITIONS} signs +")
        self._next = 0
        self._names: dict[Input, str] = {}
        self._out: list[str] = []

    def read(self) -> Source:
        while (token := self._peek()).kind != "end":
            self._next += 1
            match token.kind:
                case "name" if token.text not in KEYWORDS:
                    self._name(token)
                case "text":
                    self._out.append(_quoted(self._decode(token)))
                case "int":  # a metric's numbers are doubles, and CEL mixes no types; but % is of integers alone
                    self._out.append(token.text if self._out[-1:] == ["%"] else f"{token.text}.0")
                case _ if token.text == ".":
                    self._method()
                case _ if token.text == "[" and self._after_value():
                    self._refuse(token, 'a value has no parts; a metric with another kind of name is m["NAME"]')
                case _:
                    self._out.append(token.text)
        return Source(" ".join(self._out), {name: what for what, name in self._names.items()})

    def _name(self, first: _Token) -> None:
        """Read a metric, a call of a function, or a call of a metric's method."""
        if first.text in COUNTERS and self._peek().text == "(":
            self._counter(first)
            return
        if first.text in FUNCTIONS and self._peek().text == "(":
            self._out.append(first.text)
            return
        if self._peek().text == "(":
            self._refuse(first, f"there is no function {first.text!r}; there are {_listed((*FUNCTIONS, *COUNTERS))}")
        self._variable(self._attribute(first) or Input(self._metric(first), "value"))

    def _attribute(self, first: _Token) -> Input | None:
        """Read the rest of an attribute of the device, if `first` begins one."""
        if not self._attributes:
            return None
        if first.text == "tags" and self._peek().text == "[":
            return Input(
                self._quoted_name('between tags[ and ] stands the name of a tag, in quotes: tags["site"]'), "tag"
            )
        if first.text == "tags" and self._peek().text == "." and self._peek(1).kind == "name":
            self._next += 2
            return Input(self._peek(-1).text, "tag")
        if first.text == "tags":
            self._refuse(first, 'a tag is written tags.site or tags["site"]; a metric of this name is m["tags"]')
        what = ATTRIBUTES.get(first.text)
        return None if what is None else Input("", what)

    def _quoted_name(self, otherwise: str) -> str:
        """Read `["NAME"]`, of which `[` comes next."""
        quoted, closing = self._peek(1), self._peek(2)
        if quoted.kind != "text" or closing.text != "]":
            self._refuse(quoted, otherwise)
        self._next += 3
        return self._decode(quoted)

    def _metric(self, first: _Token) -> str:
        """Read the rest of a metric's name, of which `first` has been read."""
        if first.text == "m" and self._peek().text == "[":
            return self._quoted_name('between m[ and ] stands the name of a metric, in quotes: m["outdoor humidity"]')
        parts = [first.text]
        while self._peek().text == "." and self._peek(1).kind == "name" and self._peek(2).text != "(":
            parts.append(self._peek(1).text)
            self._next += 2
        return ".".join(parts)

    def _counter(self, function: _Token) -> None:
        self._next += 1
        first = self._peek()
        if first.kind == "name" and first.text not in KEYWORDS:
            self._next += 1
            metric = self._metric(first)
            if self._peek().text == ")":
                self._next += 1
                self._variable(Input(metric, COUNTERS[function.text]))
                return
        self._refuse(first, f"{function.text} takes the name of one metric, as in {function.text}(energy)")

    def _method(self) -> None:
        method = self._peek()
        if method.text not in METHODS or self._peek(1).text != "(":
            self._refuse(method, f"there is no method {method.text!r}; there are {_listed(METHODS)}")
        self._next += 1
        self._out += [".", method.text]

    def _variable(self, what: Input) -> None:
        self._out.append(self._names.setdefault(what, f"v{len(self._names)}"))

    def _after_value(self) -> bool:
        last = self._out[-1] if self._out else ""
        return last in (")", "]") or (last not in KEYWORDS and (last[:1].isalnum() or last[-1:] == '"'))

    def _decode(self, token: _Token) -> str:
        try:
            return self._literal(token.text)
        except ValueError:
            self._refuse(token, "this text has an escape that CEL does not know")

    def _peek(self, ahead: int = 0) -> _Token:
        at = self._next + ahead
        return self._tokens[at] if at < len(self._tokens) else _Token("end", "", len(self._text))

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self._text):
            match = _TOKEN.match(self._text, at)
            if match is None:
                self._refuse(_Token("", "", at), f"{self._text[at]!r} cannot stand here")
            if match.lastgroup != "space":
                tokens.append(_Token(str(match.lastgroup), match[0], at))
            at = match.end()
        return tokens

    def _refuse(self, token: _Token, why: str) -> NoReturn:
        raise ValueError(f"{place(self._text, token.at)}: {why}")


def _quoted(text: str) -> str:
    """Write a text literal in which nothing can be taken for its end."""
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in text) + '"'


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(sorted(names))
