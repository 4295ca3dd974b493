"""Reading scenarios: the shipped ones by their names, others by their paths."""

import tomllib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from contracts.settings import said
from simulators.scenario.spec import Scenario

LARGEST = 1 << 20
"""Bytes of the largest scenario."""


class ScenarioError(ValueError):
    """A scenario that cannot be run; each line of the message names the file, the key and what is allowed."""


def shipped() -> dict[str, Path]:
    """Give the scenarios that come with this package, by name."""
    found = Path(str(resources.files("simulators.scenario"))).glob("*.toml")
    return {path.stem: path for path in sorted(found)}


def locate(name: str) -> Path:
    """Find a scenario by its path, or a shipped one by its name. Raises ScenarioError."""
    path = Path(name)
    if path.is_file():
        return path
    if name in shipped():
        return shipped()[name]
    raise ScenarioError(f"{name}: there is no such file; shipped are {', '.join(shipped())}")


def read(path: Path) -> Scenario:
    """Read a file. Raises ScenarioError."""
    try:
        if path.stat().st_size > LARGEST:
            raise ScenarioError(f"{path.name}: is larger than {LARGEST} bytes")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path.name}: {error}") from None
    return build(table, path.name)


def build(table: dict[str, Any], source: str) -> Scenario:
    """Check what was read from `source`. Raises ScenarioError."""
    try:
        return Scenario.model_validate(table)
    except ValidationError as error:
        lines = [f"{source}: {_explain(problem)}" for problem in error.errors(include_url=False)]
        raise ScenarioError("\n".join(lines)) from None


def _explain(problem: ErrorDetails) -> str:
    """Name the key, counted from 1 where there are several, and say what is allowed."""
    where = _key(problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            return f"{where}: there is no such key; there are {', '.join(_allowed(problem['loc']))}"
        case "missing":
            return f"{where}: is missing"
        case "value_error":
            message = said(problem["msg"])
            return f"{where}: {message}" if where else message
    return f"{where}: is {problem['input']!r}; {problem['msg'][:1].lower()}{problem['msg'][1:]}"


def _key(loc: Sequence[int | str]) -> str:
    """Write `("fleet", 1, "rate")` as `fleet 2, rate`; a union's branches say nothing to a person."""
    parts: list[str] = []
    for step in loc:
        if isinstance(step, int) and parts:
            parts[-1] += f" {step + 1}"
        elif not any(mark in str(step) for mark in "[]("):
            parts.append(str(step))
    return ", ".join(parts)


def _allowed(loc: Sequence[int | str]) -> list[str]:
    """Give the keys that are allowed beside the one at `loc`."""
    model: type[BaseModel] = Scenario
    choices: list[type[BaseModel]] = []
    for step in loc[:-1]:
        if isinstance(step, str) and step in model.model_fields:
            choices = list(_inner(model.model_fields[step].annotation))
        elif isinstance(step, str):  # the kind of a fault
            choices = [one for one in choices if step in get_args(one.model_fields["kind"].annotation)]
        model = choices[0] if choices else model
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - whatever pydantic was given
    """Give the models in `list[Model]`, `Model | None` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _inner(part)
