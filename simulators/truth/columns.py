"""Columns of a ledger's frames as bytes, small before they are compressed. Pure."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.readings import Value
from simulators.models.model import Int64s

_WIDTHS: tuple[tuple[bytes, type[np.signedinteger], int], ...] = (
    (b"1", np.int8, 1 << 7),
    (b"2", np.int16, 1 << 15),
    (b"4", np.int32, 1 << 31),
)
_SCALE = 1000.0
"""Numbers with up to three decimals, as nearly all sensors have, are kept as integers."""

_FEW = 32
"""Of fewer values, the work would cost more than it saves."""

_FLOAT = 0xCB
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Value | None]).decode


def pack_ints(numbers: Int64s) -> bytes:
    """Write integers by what each is more than the one before."""
    if not len(numbers):
        return b""
    steps = np.diff(numbers)
    first = int(numbers[0]).to_bytes(8, "little", signed=True)
    if len(steps):
        low, high = int(steps.min()), int(steps.max())
        if low == high == 0:
            return b"0" + len(numbers).to_bytes(4, "little") + first
        for tag, width, bound in _WIDTHS:
            if -bound <= low and high < bound:
                return tag + first + steps.astype(width).tobytes()
    return b"8" + first + steps.tobytes()


def unpack_ints(data: bytes) -> Int64s:
    """Read what `pack_ints` wrote."""
    if not data:
        return np.empty(0, dtype=np.int64)
    if data[:1] == b"0":
        return np.full(int.from_bytes(data[1:5], "little"), int.from_bytes(data[5:], "little", signed=True))
    width = {tag: kind for tag, kind, _ in _WIDTHS}.get(data[:1], np.int64)
    steps = np.frombuffer(data, dtype=width, offset=9)
    found = np.empty(len(steps) + 1, dtype=np.int64)
    found[0] = int.from_bytes(data[1:9], "little", signed=True)
    with np.errstate(over="ignore"):
        np.cumsum(steps, out=found[1:])
        found[1:] += found[0]
    return found


def pack_values(values: Sequence[Value | None]) -> bytes:
    """Write values: numbers by themselves in few bytes, everything else as MessagePack."""
    data = _encode(values)
    count = len(values)
    head = 3 if count < 1 << 16 else 5  # MessagePack's heads of arrays
    if count < _FEW or len(data) != head + 9 * count:
        return b"m" + data
    cells = np.frombuffer(data, dtype=np.uint8, offset=head).reshape(count, 9)
    if not (cells[:, 0] == _FLOAT).all():
        return b"m" + data
    numbers = np.ascontiguousarray(cells[:, 1:]).view(">f8").reshape(count).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.rint(numbers * _SCALE)
        if (np.abs(scaled) < 1 << 31).all():
            whole = scaled.astype(np.int32)
            if (_bits(whole / _SCALE) == _bits(numbers)).all():
                return b"i" + _by_byte(whole.view(np.uint8), 4)
    return b"f" + _by_byte(numbers.view(np.uint8), 8)


def unpack_values(data: bytes) -> list[Value | None] | NDArray[np.float64]:
    """Read what `pack_values` wrote: numbers as an array, anything else as a list."""
    if data[:1] == b"m":
        return _decode(data[1:])
    size = 4 if data[:1] == b"i" else 8
    cells = np.ascontiguousarray(np.frombuffer(data, dtype=np.uint8, offset=1).reshape(size, -1).T)
    if size == 4:  # noqa: PLR2004 - as above
        return np.asarray(cells.view(np.int32).reshape(-1) / _SCALE)
    return cells.view(np.float64).reshape(-1)


def _bits(numbers: NDArray[np.float64]) -> Int64s:
    return numbers.view(np.int64)  # which tells -0.0 from 0.0


def _by_byte(cells: NDArray[np.uint8], size: int) -> bytes:
    """Put the first bytes of all numbers first, then the second ones: like lies beside like."""
    return np.ascontiguousarray(cells.reshape(-1, size).T).tobytes()
