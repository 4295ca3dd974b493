"""Values as two arrays, by which they are compared: their kind, and 64 bits."""

import struct
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from contracts.readings import Value
from simulators.truth.reading import Column

NUMBER, BOOLEAN, TEXT, NOTHING = range(4)

Kinds = NDArray[np.uint8]
Bits = NDArray[np.uint64]

_KINDS: dict[type, int] = {float: NUMBER, int: NUMBER, bool: BOOLEAN, str: TEXT, type(None): NOTHING}
_MOST_TEXTS = 100_000


class Coder:
    """Turns values into kinds and bits, and back, for people. Of a text the bits are a hash, the same in every run.

    The last 100,000 or so different texts are remembered.
    """

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}
        self._texts: dict[int, str] = {}

    def coded(self, values: Column) -> tuple[Kinds, Bits]:
        """Give kind and bits of each value."""
        if isinstance(values, np.ndarray):
            return np.zeros(len(values), dtype=np.uint8), (values + 0.0).view(np.uint64)  # 0.0 and -0.0 are equal
        kinds = np.fromiter((_KINDS[value.__class__] for value in values), dtype=np.uint8, count=len(values))
        return kinds, np.array([self._of(value) for value in values], dtype=np.uint64)

    def shown(self, kind: int, bits: int) -> Value:
        """Give the value back."""
        if kind == TEXT:
            return self._texts.get(bits, f"a text whose hash is {bits:016x}")
        number: float = struct.unpack("<d", int(bits).to_bytes(8, "little"))[0]
        return bool(number) if kind == BOOLEAN else number

    def _of(self, value: Value | None) -> int:
        if isinstance(value, str):
            return self._bits.get(value) or self._hash(value)
        return int.from_bytes(struct.pack("<d", (value or 0.0) + 0.0), "little")

    def _hash(self, text: str) -> int:
        if len(self._bits) >= _MOST_TEXTS:
            self._bits.clear()
            self._texts.clear()
        bits = int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")
        self._bits[text], self._texts[bits] = bits, text
        return bits
