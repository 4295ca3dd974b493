"""What came of one try to deliver a notification. Pure."""

from enum import StrEnum

import msgspec


class Result(StrEnum):
    """How it ended."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """It may go better the next time."""
    MISCONFIGURED = "misconfigured"
    """It will not go better until somebody changes the receiver: its key is not accepted, or its path not there."""
    REJECTED = "rejected"
    """The receiver is there, and does not want this notification."""
    REFUSED = "refused"
    """We did not try: the receiver is at an address that is not allowed, or is not there any more."""


class Outcome(msgspec.Struct, frozen=True):
    """A result; the receiver's `status`, if it gave a number; and in words without secrets what was wrong.

    `retry_after`: for how many seconds the receiver asks to be left alone.
    """

    result: Result
    problem: str = ""
    status: int | None = None
    retry_after: float = 0.0


DELIVERED = Outcome(Result.DELIVERED)

_ABOUT_THE_MESSAGE = frozenset({400, 413, 414, 415, 422, 431})
_PASSING = frozenset({408, 425, 429})
_MOST_PATIENCE_S = 3600.0


def of_status(status: int, retry_after: str = "") -> Outcome:
    """Judge an answer by its HTTP status; `retry_after` is that header, of which only a number of seconds is heeded."""
    if 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls successful
        return Outcome(Result.DELIVERED, status=status)
    if status in _ABOUT_THE_MESSAGE:
        result = Result.REJECTED
    elif 300 <= status < 500 and status not in _PASSING:  # noqa: PLR2004 - redirects, which are not followed, and 4xx
        result = Result.MISCONFIGURED
    else:
        result = Result.FAILED
    patience = min(float(retry_after), _MOST_PATIENCE_S) if retry_after.isascii() and retry_after.isdigit() else 0.0
    return Outcome(result, f"status {status}", status, patience)
