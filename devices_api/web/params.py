"""Query parameters: read once, here. One that cannot be read is answered with 400 and what is accepted."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema

from contracts.problems import Problem
from devices_api.times import parse_interval, parse_time

MAX_PAGE = 1000
MAX_POINTS = 10_000

T = TypeVar("T")


def bad(slug: str, detail: str) -> Problem:
    """Build the answer to a query that cannot be understood."""
    return Problem(HTTPStatus.BAD_REQUEST, slug, "The query is not valid", detail)


def read(slug: str, parse: Callable[[str], T], text: str) -> T:
    """Parse `text`; what is wrong with it becomes the answer."""
    try:
        return parse(text)
    except ValueError as error:
        raise bad(slug, str(error)) from error


def _limit(maximum: int) -> BeforeValidator:
    def check(value: object) -> int:
        text = str(value)
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= maximum):  # noqa: PLR2004 - more digits than any maximum has
            raise bad("bad-limit", f"limit is {text!r}: it has to be a whole number from 1 to {maximum}")
        return int(text)

    return BeforeValidator(check)


PageLimit = Annotated[
    int, _limit(MAX_PAGE), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100})
]
PointsLimit = Annotated[
    int | None, _limit(MAX_POINTS), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_POINTS})
]
Cursor = Annotated[str | None, Query(description="`next` of the page before; opaque")]
TimeParam = Annotated[
    int,
    BeforeValidator(lambda text: read("bad-time", parse_time, str(text))),
    WithJsonSchema({"type": "string", "examples": ["2026-01-01T00:00:00Z", "1767225600"]}),
]
Interval = Annotated[
    str,
    BeforeValidator(lambda text: str(text) if read("bad-interval", parse_interval, str(text)) else ""),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,6}[smhd]$"}),
]
