"""Query parameters: read once, here. One that cannot be read is answered with 400 and what is accepted."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator, WithJsonSchema
from starlette.requests import HTTPConnection

from contracts.deadletters import Reason
from contracts.problems import Problem
from devices_api.letters.selection import Selection
from devices_api.lists.filters import LONGEST, Filter, parse
from devices_api.telemetry.intervals import checked
from devices_api.times import parse_time

MAX_PAGE = 1000
MAX_PROFILES = 100  # each may be as large as a request's body
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


def storable_address(connection: HTTPConnection) -> None:
    """Refuse an address that holds the character 0: nothing is named with it, and PostgreSQL takes it in no text."""
    if "\0" in connection.scope["path"] or b"%00" in connection.scope["query_string"]:
        raise bad("bad-text", "the address may not hold the character U+0000")


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
ProfilesLimit = Annotated[
    int, _limit(MAX_PROFILES), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_PROFILES, "default": 50})
]
SweepLimit = Annotated[
    int, _limit(MAX_PAGE), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 1000})
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
    BeforeValidator(lambda text: read("bad-interval", checked, str(text))),
    WithJsonSchema({"type": "string", "pattern": "^([0-9]{1,6}[smhd]|1w|1mo|auto)$"}),
]


def _filter(
    text: Annotated[
        str | None,
        Query(
            alias="filter",
            max_length=LONGEST,
            description="Which devices are meant",
            examples=['profile eq "pump" and online eq false'],
        ),
    ] = None,
) -> Filter | None:
    return None if text is None else read("bad-filter", parse, text)


FilterParam = Annotated[Filter | None, Depends(_filter)]


def _zone(text: object) -> str:
    try:
        return ZoneInfo(str(text)).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise bad("bad-zone", f"{text!r} is no time zone of the IANA database, such as Europe/Paris") from error


ZoneParam = Annotated[
    str | None,
    BeforeValidator(lambda text: None if text is None else _zone(text)),
    WithJsonSchema({"type": "string", "examples": ["Europe/Paris", "UTC"]}),
    Query(description="Whose days, weeks and months 1d, 1w and 1mo are; those of the device's own zone if not given"),
]


_SELECTING = ("reason", "device", "start", "end", "route", "decoder")
_PAGING = ("limit", "cursor")


def _selection(
    request: Request,
    reason: Annotated[Reason | None, Query(description="Why they were rejected")] = None,
    device: Annotated[str | None, Query(description="Which device they are of")] = None,
    start: Annotated[TimeParam | None, Query(description="Received at this time or later")] = None,
    end: Annotated[TimeParam | None, Query(description="Received before this time")] = None,
    route: Annotated[str | None, Query(description="The row of the routing table that they fell under")] = None,
    decoder: Annotated[str | None, Query(description="What read them")] = None,
) -> Selection:
    # What is not understood cannot be passed over: a filter that is misspelt, or in the body, selects too much.
    if unknown := set(request.query_params) - {*_SELECTING, *_PAGING}:
        raise bad("unknown-parameter", f"there is no {min(unknown)!r}; filters are {', '.join(_SELECTING)}")
    if "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0":
        raise bad("body-not-read", f"filters are part of the address, as in ?reason=malformed: {', '.join(_SELECTING)}")
    if start is not None and end is not None and start >= end:
        raise bad("bad-time", "start has to be before end")
    return Selection(reason, device, start, end, route, decoder)


Selected = Annotated[Selection, Depends(_selection)]
