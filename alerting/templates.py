"""Texts with Jinja2 templates whose work and output are bounded, whoever wrote them. Pure.

What a template may do is told when it is written, not found out when an alert fires: of Jinja2's syntax it has output,
`if`, `for`, comparisons, arithmetic on numbers, attributes and the filters of `_FILTERS`. What is left costs steps, of
which one rendering has `most_steps`, and all text in it is bounded.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError, Undefined, meta, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

_STEPS = "_steps"
_MOST_TEXT = 16_384
"""Most characters that a filter takes or gives."""

_MOST_NUMBER = 1e30
_MOST_DIGITS = 15
_CHARACTERS_A_STEP = 64
_METHODS = frozenset({"items", "keys", "values", "get"})
_PLACEHOLDER = re.compile(r"%(?:%|[-+ 0#]*\d{0,2}(?:\.\d{0,2})?[dsfgexXi])")

_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "e", "escape", "first", "float", "int", "join", "last", "length",
    "list", "lower", "max", "min", "reverse", "sort", "string", "title", "trim", "unique", "upper",
)  # fmt: skip

_BOUNDED = ("format", "replace", "round")
"""Filters that are ours in place of Jinja2's."""

_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem,
    nodes.Slice, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.CondExpr, nodes.If, nodes.For, nodes.Call, nodes.List, nodes.Tuple, nodes.Pair, nodes.Keyword,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos,
)  # fmt: skip


class TemplateFailedError(Exception):
    """A template cannot be rendered with these values; the message is for its author."""


class Templates:
    """Renders templates with the variables `names`; texts are cut at `most_output` characters."""

    def __init__(self, names: Iterable[str], *, most_output: int, most_steps: int, cached: int) -> None:
        self._names, self._most_output, self._most_steps = frozenset(names), most_output, most_steps
        self._environment = _Environment(finalize=_written, autoescape=False)
        self._compiled = lru_cache(cached)(self._environment.from_string)

    def problem(self, text: str) -> str | None:
        """Why `text` cannot be a template, or None if it can."""
        try:
            parsed = self._environment.parse(text)
            unknown = sorted(meta.find_undeclared_variables(parsed) - self._names)
            if unknown:
                return f"there is no {unknown[0]!r}: a template has {', '.join(sorted(self._names))}"
            if problem := next(filter(None, map(_refused, _walk(parsed))), None):
                return problem
            self._environment.from_string(text)
        except TemplateError as error:
            return str(error)
        except (RecursionError, SyntaxError, MemoryError):
            return "is nested too deeply"
        return None

    def render(self, text: str, variables: Mapping[str, Any]) -> str:
        """Give the text, which `problem` has nothing against. Raises TemplateFailedError."""
        if "{" not in text:
            return text[: self._most_output]
        pieces: list[str] = []
        left = self._most_output
        try:
            for piece in self._compiled(text).generate({**variables, _STEPS: _Steps(self._most_steps)}):
                pieces.append(piece[:left])
                left -= len(piece)
                if left <= 0:
                    break
        except Exception as error:  # filters raise whatever they like on values they do not expect
            raise TemplateFailedError(f"{error or type(error).__name__}"[:500]) from error
        return "".join(pieces)


class _Steps:
    """What is left of the work that one rendering may do."""

    __slots__ = ("left",)

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise SecurityError("takes too many steps")


class _Environment(SandboxedEnvironment):
    """The sandbox, with filters that are bounded and count, as loops do."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - as Jinja2's
        super().__init__(**options)
        self.globals.clear()
        plain = {name: self.filters[name] for name in _FILTERS} | {
            "format": _format,
            "replace": _replace,
            "round": _round,
        }
        self.filters = {name: _counted(function) for name, function in plain.items()} | {_LOOP: _loop}

    def call_binop(self, _: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 - as Jinja2's
        if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
            raise SecurityError(f"{operator} is only for numbers")
        if operator == "**":
            raise SecurityError("** is not offered")
        result = self.binop_table[operator](left, right)
        if not abs(result) < _MOST_NUMBER:
            raise SecurityError(f"the result of {operator} is too large")
        return result

    def _generate(self, source: nodes.Template, *rest: Any, **named: Any) -> str:  # noqa: ANN401 - as Jinja2's
        for loop in source.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _LOOP, [], [], None, None, lineno=loop.lineno)
        return super()._generate(source, *rest, **named)


_LOOP = "_loop"


@pass_context
def _loop(context: Context, values: Iterable[Any]) -> Iterator[Any]:
    steps = context[_STEPS]
    for value in values:
        steps.take(1)
        yield value


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    kinds = {"jinja_pass_arg": getattr(function, "jinja_pass_arg", None)}
    passed = str(getattr(kinds["jinja_pass_arg"], "name", ""))

    @pass_context
    def counted(context: Context, value: Any, *given: Any, **named: Any) -> Any:  # noqa: ANN401 - a filter of Jinja2
        size = len(value) if hasattr(value, "__len__") else 1
        if size > _MOST_TEXT:
            raise SecurityError("a text or list is too long")
        context[_STEPS].take(1 + size // _CHARACTERS_A_STEP)
        first = {"context": (context,), "eval_context": (context.eval_ctx,), "environment": (context.environment,)}
        result = function(*first.get(passed, ()), value, *given, **named)
        if isinstance(result, Iterator):
            result = list(result)
        if isinstance(result, str):
            if len(result) > _MOST_TEXT:
                raise SecurityError("a text is too long")
            context[_STEPS].take(len(result) // _CHARACTERS_A_STEP)
        return result

    return counted


def _format(text: str, *values: Any) -> str:  # noqa: ANN401 - whatever is written
    if "%" in _PLACEHOLDER.sub("", text):
        raise SecurityError("format knows %d, %s, %f, %g, %e and %x, with at most two digits of width and precision")
    return text % values


def _round(value: float, digits: int = 0) -> float:
    if not isinstance(digits, int) or abs(digits) > _MOST_DIGITS:
        raise SecurityError(f"round takes up to {_MOST_DIGITS} digits")
    return round(float(value), digits)


def _replace(text: object, old: str, new: str) -> str:
    text = str(text)
    if not old or len(text) + text.count(old) * len(new) > _MOST_TEXT:
        raise SecurityError("the text to replace is empty, or the result too long")
    return text.replace(old, new)


def _written(value: Any) -> Any:  # noqa: ANN401 - whatever a template puts out
    """Write what people read: nothing for None, numbers without noise, true and false."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, (str, int, Undefined)):
        return value
    return str(value)[:_MOST_TEXT]


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _refused(node: nodes.Node) -> str | None:
    """Why a template must not have `node`."""
    problem = None
    match node:
        case nodes.Call(node=nodes.Getattr(attr=name)) if name in _METHODS:
            pass
        case nodes.Call():
            problem = f"of functions it has only {', '.join(sorted(_METHODS))} of a mapping"
        case nodes.For(recursive=True):
            problem = "loops must not be recursive"
        case nodes.Filter(name=name) if name not in _FILTERS and name not in _BOUNDED:
            problem = f"there is no filter {name!r}: a template has {', '.join(sorted((*_FILTERS, *_BOUNDED)))}"
        case nodes.Name(name="self" | "super" | "caller"):
            problem = "self, super and caller are not offered"
        case nodes.Mul(left=nodes.Const(value=str())) | nodes.Mul(right=nodes.Const(value=str())):
            problem = "* is only for numbers"
        case nodes.List(items=items) | nodes.Tuple(items=items, ctx="load") if not _constant(items):
            problem = "a list may hold only constants"
        case _ if not isinstance(node, _NODES):
            problem = f"{type(node).__name__.lower()} is not offered"
    return problem


def _constant(items: list[nodes.Expr]) -> bool:
    return all(isinstance(item, nodes.Const) for item in items)
