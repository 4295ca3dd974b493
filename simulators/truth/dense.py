"""An array in a file, of any length, of which a few pieces are in memory: something about each message of a ledger."""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from simulators.models.model import Int64s

PIECE = 1 << 20
_MOST_PIECES = 4


class Dense:
    """An array whose elements are 0 until they are set."""

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._file = path.open("w+b")
        self._pieces: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._count = 0

    def close(self) -> None:
        """Release the file."""
        self._pieces.clear()
        self._file.close()

    def put(self, numbers: Int64s, values: NDArray[Any] | int) -> None:
        """Set the elements with these numbers."""
        for piece, within, places in self._places(numbers):
            piece[within] = values if isinstance(values, int) else values[places]

    def mark(self, numbers: Int64s, bits: int) -> None:
        """Set bits of the elements with these numbers."""
        for piece, within, _ in self._places(numbers):
            piece[within] |= self._dtype.type(bits)

    def get(self, start: int, end: int) -> NDArray[Any]:
        """Give a copy of the elements from `start` until before `end`."""
        found = np.empty(max(0, end - start), dtype=self._dtype)
        at = start
        while at < end:
            number, offset = divmod(at, PIECE)
            some = min(end - at, PIECE - offset)
            found[at - start : at - start + some] = self._piece(number)[offset : offset + some]
            at += some
        return found

    def _places(self, numbers: Int64s) -> Iterator[tuple[NDArray[Any], Int64s, slice | NDArray[np.intp]]]:
        if not len(numbers):
            return
        first, last = int(numbers.min()) // PIECE, int(numbers.max()) // PIECE
        if first == last:
            yield self._piece(first), numbers - first * PIECE, slice(None)
            return
        which = numbers // PIECE
        for number in np.unique(which).tolist():
            places = np.flatnonzero(which == number)
            yield self._piece(number), numbers[places] - number * PIECE, places

    def _piece(self, number: int) -> NDArray[Any]:
        piece = self._pieces.get(number)
        if piece is None:
            if number >= self._count:
                self._count = number + 1
                self._file.truncate(self._count * PIECE * self._dtype.itemsize)
            offset = number * PIECE * self._dtype.itemsize
            piece = np.memmap(self._file, self._dtype, "r+", offset, (PIECE,))
            self._pieces[number] = piece
            if len(self._pieces) > _MOST_PIECES:
                self._pieces.popitem(last=False)
        else:
            self._pieces.move_to_end(number)
        return piece
