"""Versions over HTTP: `ETag: "N"` in answers, and `If-Match` in requests that change something."""

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Header, Response

from contracts.problems import Problem
from contracts.requests import bad
from contracts.versions import Match, StaleError

_TAG = re.compile(r'(W/)?"([^"]*)"')
_ANY = range(1, 1 << 31)
_LONGEST = 256


def tagged(response: Response, version: int) -> None:
    """Name the version that an answer shows."""
    response.headers["ETag"] = f'"{version}"'


def stale(error: StaleError) -> Problem:
    """Build the answer to a change of another version than that which is there."""
    now = f'it is at "{error.version}" now' if error.version else "there is none now"
    detail = f"If-Match names another version: {now}. Read it again, and decide anew."
    return Problem(HTTPStatus.PRECONDITION_FAILED, "stale", "It has been changed meanwhile", detail)


def _if_match(
    given: Annotated[
        str | None,
        Header(alias="If-Match", description="ETags of the versions that it is for, or *", examples=['"3"']),
    ] = None,
) -> Match:
    text = (given or "").strip()
    if not text:
        return None
    if text == "*":
        return _ANY
    tags = [_TAG.fullmatch(part.strip()) for part in text[:_LONGEST].split(",")]
    if len(text) > _LONGEST or None in tags:
        raise bad("bad-if-match", f'If-Match is {text[:64]!r}: it has to be * or ETags, as in "3"')
    # One that is weak matches nothing, and one that is no number was never given out.
    return frozenset(int(tag[2]) for tag in tags if tag and not tag[1] and re.fullmatch(r"[0-9]{1,9}", tag[2]))


IfMatch = Annotated[Match, Depends(_if_match)]
"""The versions that the change is for; anything where the request does not say."""
