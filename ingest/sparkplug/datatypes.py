"""Sparkplug B values: what a metric's value field means under its datatype. Pure."""

import base64
import json
import struct
from math import isfinite
from typing import Any

from contracts.deadletters import Reason
from ingest.values import Text, Unusable, shown

BOOLEAN, STRING, DATASET, TEMPLATE = 11, 12, 16, 19
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}
_ARRAYS = {22: "b", 23: "h", 24: "i", 25: "q", 26: "B", 27: "H", 28: "I", 29: "Q", 30: "f", 31: "d", 34: "q"}
_BOOLEANS, _STRINGS = 32, 33
_COUNT = 4  # bytes, before the bits of a BooleanArray
_PLAIN = 128
"""An integer below it is itself, whatever the width and the sign of its type."""


class BadValueError(ValueError):
    """The value cannot be read; `reason` is why, and the message completes a sentence that begins with its name."""

    def __init__(self, why: str, reason: Reason = Reason.BAD_VALUE) -> None:
        super().__init__(why)
        self.reason = reason


class UntypedError(Exception):
    """The value has another meaning under another datatype, and nobody has said which it is."""


class Raw(Text):
    """Binary that is kept as it came, in text; `encoding` says how."""

    __slots__ = ("encoding",)
    encoding: str

    @classmethod
    def of(cls, text: str, encoding: str) -> "Raw":
        """Make one."""
        raw = cls(text)
        raw.encoding = encoding
        return raw


def text_of(data: bytes) -> str:
    """Read text. Raises BadValueError."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadValueError("is not UTF-8", Reason.MALFORMED) from error


def value_of(metric: Any, datatype: int | None, most: int, *, big_endian: bool = False) -> object:  # noqa: ANN401, PLR0911 - its class is made at run time; one return a field
    """Give a value as Findings takes it, None where there is none; an array, of at most `most`, is a list.

    `metric` may be anything with a `value`, except that templates are left to the caller. `datatype` is None where
    nobody said it. Raises BadValueError, or UntypedError.
    """
    field = metric.WhichOneof("value")
    if field is None or getattr(metric, "is_null", False):
        return None
    value = getattr(metric, field)
    match field:
        case "int_value" | "long_value":
            return _integer(value, datatype)
        case "float_value" | "double_value":
            return _finite(value)
        case "string_value":
            return Text(text_of(value))
        case "bytes_value":
            return _bytes(value, datatype, most, ">" if big_endian else "<")
        case "dataset_value":
            return Raw.of(json.dumps(_dataset(value, most), ensure_ascii=False), "dataset")
        case "boolean_value":
            return bool(value)
        case _:
            raise BadValueError("is of a kind that makes no reading")


def _finite(value: float) -> float | Unusable:
    return value if isfinite(value) else Unusable(value)


def _integer(value: int, datatype: int | None) -> int | bool:
    if datatype is None and value >= _PLAIN:
        raise UntypedError
    if datatype == BOOLEAN:
        return value != 0
    width = _SIGNED.get(datatype or 0)
    if width is None:
        return value
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def _bytes(data: bytes, datatype: int | None, most: int, order: str) -> object:
    if datatype is None:
        raise UntypedError
    if datatype in _ARRAYS:
        code = _ARRAYS[datatype]
        size = struct.calcsize(order + code)
        if len(data) % size:
            raise BadValueError(f"is an array of {size}-byte elements in {len(data)} bytes", Reason.MALFORMED)
        _fits(len(data) // size, most)
        found = struct.unpack(f"{order}{len(data) // size}{code}", data)
        return [_finite(value) for value in found] if code in "fd" else list(found)
    if datatype == _BOOLEANS:
        return _booleans(data, most, order)
    if datatype == _STRINGS:
        if data and not data.endswith(b"\0"):
            raise BadValueError("is an array of strings, the last of which does not end", Reason.MALFORMED)
        _fits(data.count(b"\0"), most)
        return [Text(text_of(part)) for part in data.split(b"\0")[:-1]]
    return Raw.of(base64.b64encode(data).decode(), "base64")


def _booleans(data: bytes, most: int, order: str) -> list[bool]:
    if len(data) < _COUNT:
        raise BadValueError("is an array of booleans without its count", Reason.MALFORMED)
    (count,) = struct.unpack_from(f"{order}I", data)
    if count > 8 * (len(data) - _COUNT):
        raise BadValueError(f"says that it has {count} booleans, and has fewer", Reason.MALFORMED)
    _fits(count, most)
    return [bool(data[_COUNT + at // 8] << at % 8 & 0x80) for at in range(count)]


def _fits(count: int, most: int) -> None:
    if count > most:
        raise BadValueError(f"is an array of {count} values; {most} are allowed", Reason.TOO_LARGE)


def _dataset(dataset: Any, most: int) -> dict[str, Any]:  # noqa: ANN401 - as value_of
    _fits(sum(len(row.elements) for row in dataset.rows), most)
    types = list(dataset.types)
    return {
        "columns": [text_of(column) for column in dataset.columns],
        "types": types,
        "rows": [
            [_element(element, types[at] if at < len(types) else 0) for at, element in enumerate(row.elements)]
            for row in dataset.rows
        ],
    }


def _element(element: Any, datatype: int) -> object:  # noqa: ANN401 - as value_of
    value = value_of(element, datatype, 0)
    return None if isinstance(value, Unusable) else value


def named(name: str, error: BadValueError) -> str:
    """Say of a value, by its name, what is wrong with it."""
    return f"{shown(name)} {error}"
