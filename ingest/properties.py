"""The properties of MQTT 5, and the lengths of both versions. Pure."""

from collections.abc import Callable, Iterator
from itertools import islice

CONTENT_TYPE, SUBSCRIPTION_ID, SERVER_KEEP_ALIVE, REASON, USER_PROPERTY, SHARED_AVAILABLE = 3, 11, 19, 31, 38, 42

Value = int | str | bytes | tuple[str, str]

_ONE_BYTE = 0x80  # lengths below it are one byte
_LONGEST_LENGTH = 4
_MOST_KEPT = 32
_MOST_READ = 256  # a message may be all properties, and reading a million of them would hold up the others
_NAME_CHARACTERS, _VALUE_CHARACTERS = 256, 1_024


class BrokenStreamError(Exception):
    """What came is no MQTT, or not its version: nothing after it can be read."""


def read_length(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Read a length; returns it and where it ends, or zeros if it is not whole. Raises BrokenStreamError."""
    length = 0
    for turn in range(_LONGEST_LENGTH):
        if position + turn >= end:
            return 0, 0
        byte = data[position + turn]
        length |= (byte & 0x7F) << 7 * turn
        if byte < _ONE_BYTE:
            return length, position + turn + 1
    raise BrokenStreamError("a length of more than four bytes")


def span(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Tell where the properties lie that begin at `position` with their length: from where to where, within `end`."""
    size, start = read_length(data, position, end)
    return (start, min(start + size, end)) if start else (end, end)


def read_properties(data: bytes, position: int, end: int) -> Iterator[tuple[int, Value]]:
    """Read properties, without their length, up to the first that is not whole or not known."""
    while position < end and (read := _READERS.get(data[position])) is not None:
        kind = data[position]
        try:
            value, position = read(data, position + 1)
        except (IndexError, BrokenStreamError):
            return
        if position > end:
            return
        yield kind, value


def of_message(data: bytes, position: int, end: int) -> dict[str, str] | None:
    """Read the properties of a message: its content type and the user's, by name; None where there are none.

    Of each name the first counts. Number and length are bounded: what is beyond that is left out.
    """
    named: dict[str, str] = {}
    for kind, value in islice(read_properties(data, position, end), _MOST_READ):
        if len(named) >= _MOST_KEPT:
            break
        if kind == CONTENT_TYPE and isinstance(value, str):
            named["content-type"] = value[:_VALUE_CHARACTERS]
        elif kind == USER_PROPERTY and isinstance(value, tuple):
            named.setdefault(value[0][:_NAME_CHARACTERS], value[1][:_VALUE_CHARACTERS])
    return named or None


def _number(size: int) -> Callable[[bytes, int], tuple[int, int]]:
    return lambda data, position: (int.from_bytes(data[position : position + size]), position + size)


def _bytes(data: bytes, position: int) -> tuple[bytes, int]:
    end = position + 2 + int.from_bytes(data[position : position + 2])
    return data[position + 2 : end], end


def _text(data: bytes, position: int) -> tuple[str, int]:
    text, end = _bytes(data, position)
    return text.decode(errors="replace"), end


def _pair(data: bytes, position: int) -> tuple[tuple[str, str], int]:
    name, position = _text(data, position)
    value, position = _text(data, position)
    return (name, value), position


def _length(data: bytes, position: int) -> tuple[int, int]:
    length, end = read_length(data, position, len(data))
    return length, end or len(data) + 1


_READERS: dict[int, Callable[[bytes, int], tuple[Value, int]]] = {
    **dict.fromkeys((1, 23, 25, 36, 37, 40, 41, SHARED_AVAILABLE), _number(1)),
    **dict.fromkeys((SERVER_KEEP_ALIVE, 33, 34, 35), _number(2)),
    **dict.fromkeys((2, 17, 24, 39), _number(4)),
    **dict.fromkeys((CONTENT_TYPE, 8, 18, 21, 26, 28, REASON), _text),
    **dict.fromkeys((9, 22), _bytes),
    SUBSCRIPTION_ID: _length,
    USER_PROPERTY: _pair,
}
