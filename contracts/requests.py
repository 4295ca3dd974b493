"""Parameters of requests: read once, here. One that cannot be read is answered with 400 and what is accepted."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema
from starlette.requests import HTTPConnection

from contracts.problems import Problem
from contracts.times import parse_time

MAX_PAGE = 1000

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


def storable_address(connection: HTTPConnection) -> None:
    """Refuse an address that holds the character 0: nothing is named with it, and PostgreSQL takes it in no text."""
    if "\0" in connection.scope["path"] or b"%00" in connection.scope["query_string"]:
        raise bad("bad-text", "the address may not hold the character U+0000")


def storable(text: str) -> str:
    """Return `text`. Raises ValueError if it holds the character 0, which PostgreSQL keeps in no text."""
    if "\0" in text:
        raise ValueError("it may not hold the character U+0000")
    return text


def page_limit(maximum: int) -> BeforeValidator:
    """Build what reads a `limit` of 1 to `maximum`."""

    def check(value: object) -> int:
        text = str(value)
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= maximum):  # noqa: PLR2004 - more digits than any maximum has
            raise bad("bad-limit", f"limit is {text!r}: it has to be a whole number from 1 to {maximum}")
        return int(text)

    return BeforeValidator(check)


PageLimit = Annotated[
    int, page_limit(MAX_PAGE), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100})
]
Cursor = Annotated[str | None, Query(description="`next` of the page before; opaque")]
TimeParam = Annotated[
    int,
    BeforeValidator(lambda text: read("bad-time", parse_time, str(text))),
    WithJsonSchema({"type": "string", "examples": ["2026-01-01T00:00:00Z", "1767225600"]}),
]
