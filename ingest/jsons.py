"""JSON as devices write it: with a byte order mark, with NaN, with numbers that no type holds. Pure."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from contracts.deadletters import Reason
from ingest.outcomes import Decoded, Ignored, ignored, rejected
from ingest.values import MAX_DIGITS, Unusable

BOM = b"\xef\xbb\xbf"
_read: Callable[[bytes], Any] = msgspec.json.Decoder().decode


class UnreadableError(Exception):
    """The payload is no JSON that can be read."""

    def __init__(self, reason: Reason, what: str) -> None:
        super().__init__(what)
        self.reason = reason


def read(payload: bytes) -> Any:  # noqa: ANN401 - it is whatever the JSON holds
    """Read JSON; the last of duplicate keys wins. Numbers that are none become `Unusable`. Raises UnreadableError."""
    try:
        return _read(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_lenient(payload)


def _read_lenient(payload: bytes) -> Any:  # noqa: ANN401 - as above
    """Read JSON that the fast decoder refuses."""
    try:
        text = payload.removeprefix(BOM).decode()
        return json.loads(text, parse_constant=Unusable, parse_float=_float, parse_int=_integer)
    except UnicodeDecodeError as error:
        what = f"the payload is not UTF-8: {error.reason} at byte {error.start}"
        raise UnreadableError(Reason.MALFORMED, what) from error
    except RecursionError as error:
        what = "the payload is nested too deeply to be read"
        raise UnreadableError(Reason.TOO_LARGE, what) from error
    except ValueError as error:
        raise UnreadableError(Reason.MALFORMED, f"the payload is not JSON: {error}") from error


def _float(token: str) -> object:
    number = float(token)
    return Unusable(token) if number in (float("inf"), float("-inf")) else number


def _integer(token: str) -> object:
    return int(token) if len(token) <= MAX_DIGITS else Unusable(f"an integer of {len(token)} digits")


def read_object(payload: bytes) -> dict[str, Any] | Decoded:
    """Read a message that has to be a JSON object; if it is empty or none, give what becomes of it."""
    if not payload:
        return ignored(Ignored.EMPTY)
    try:
        body = read(payload)
    except UnreadableError as error:
        return rejected(error.reason, str(error))
    if not isinstance(body, dict):
        return rejected(Reason.MALFORMED, f"the payload is {kind(body)}, not an object")
    return body


def inner(fields: Mapping[str, object], name: str) -> dict[str, Any]:
    """Give the object under a name; an empty one where there is none, or something else."""
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def kind(value: object) -> str:
    """Name what a JSON value is."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str) and type(value) is not Unusable:
        return "text"
    return {dict: "an object", list: "an array", type(None): "null"}.get(type(value), "a number")
