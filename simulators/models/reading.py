"""The reading of a model's file: every mistake in it is told in one line."""

import tomllib
from collections.abc import Sequence

from pydantic import ValidationError

from simulators.models.checks import problems
from simulators.models.spec import ModelSpec


class SpecError(ValueError):
    """A model cannot be used; the message is one line that names the file and the key."""


def read_spec(text: str, file: str) -> ModelSpec:
    """Read what the file called `file` holds. Raises SpecError, which names it and the key."""
    try:
        spec = ModelSpec.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{file}: {error}") from None
    except ValidationError as error:
        raise SpecError(f"{file}: {_told(error)}") from None
    for problem in problems(spec):
        raise SpecError(f"{file}: {problem}")
    return spec


def _told(error: ValidationError) -> str:
    mistakes: list[tuple[tuple[int | str, ...], str]] = []
    for one in error.errors(include_url=False, include_context=False):
        loc, message = one["loc"], one["msg"].removeprefix("Value error, ")
        if mistakes and loc[-1] == 1 and mistakes[-1] == ((*loc[:-1], 0), message):
            mistakes.pop()  # a single number is both ends of its range, and wrong at both
            loc = loc[:-1]
        mistakes.append((loc, message))
    (loc, message), *more = mistakes
    rest = f" (and {len(more)} more mistakes)" if more else ""
    return f"{_path(loc)}: {message[:1].lower()}{message[1:]}{rest}"


def _path(loc: Sequence[int | str]) -> str:
    parts = list(loc)
    if len(parts) > 2 and parts[0] == "metrics":  # noqa: PLR2004 - pydantic puts the kind behind the metric's name
        del parts[2]
    return ".".join(str(part) for part in parts)
