"""Query parameters: read once, here. One that cannot be read is answered with 400 and what is accepted."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator, WithJsonSchema

from contracts.deadletters import Reason
from contracts.requests import MAX_PAGE, TimeParam, bad, page_limit, read
from devices_api.letters.selection import Selection
from devices_api.lists.filters import LONGEST, Filter, parse
from devices_api.telemetry.intervals import checked

MAX_PROFILES = 100  # each may be as large as a request's body
MAX_POINTS = 10_000

ProfilesLimit = Annotated[
    int,
    page_limit(MAX_PROFILES),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_PROFILES, "default": 50}),
]
SweepLimit = Annotated[
    int, page_limit(MAX_PAGE), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 1000})
]
PointsLimit = Annotated[
    int | None, page_limit(MAX_POINTS), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_POINTS})
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
