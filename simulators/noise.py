"""Randomness as a pure function: the same key gives the same numbers, in every process and version."""

import struct
from hashlib import blake2b

_MASK = (1 << 64) - 1
_KEY = struct.Struct("<4Q")
_NUMBERS = struct.Struct("<8H")


def uniforms(seed: int, stream: int, index: int, at: int) -> tuple[float, ...]:
    """Eight numbers in [0, 1), in steps of 1/65536, that depend on all four integers and nothing else."""
    key = _KEY.pack(seed & _MASK, stream & _MASK, index & _MASK, at & _MASK)
    return tuple(n / 65536 for n in _NUMBERS.unpack(blake2b(key, digest_size=16).digest()))
