"""Cursors of paged lists: opaque to callers, and of one kind of list each."""

import base64
import binascii

import msgspec

BAD_CURSOR = "this cursor is none that this list has given out; ask again without one"


def encode_cursor(kind: str, position: str | int) -> str:
    """Write where the next page of a `kind` list begins."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode((kind, position))).decode().rstrip("=")


def text_position(kind: str, cursor: str) -> str:
    """Read a cursor whose position is text. Raises ValueError if it is not from such a list."""
    position = _decode(kind, cursor)
    if not isinstance(position, str) or "\0" in position:  # which PostgreSQL takes in no text
        raise ValueError(BAD_CURSOR)
    return position


def number_position(kind: str, cursor: str) -> int:
    """Read a cursor whose position is a number from 0 to 2^63 - 1. Raises ValueError as above."""
    position = _decode(kind, cursor)
    if isinstance(position, str) or not 0 <= position < 1 << 63:
        raise ValueError(BAD_CURSOR)
    return position


def _decode(kind: str, cursor: str) -> str | int:
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found, position = msgspec.msgpack.decode(data, type=tuple[str, str | int])
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(BAD_CURSOR) from error
    if found != kind:
        raise ValueError(BAD_CURSOR)
    return position
