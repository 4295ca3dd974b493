"""Randomness as a pure function, for many devices in one go: the same key gives the same numbers everywhere.

All of it is integer arithmetic modulo 2^64 and one multiplication by a constant, which every platform and version of
numpy rounds alike. The mixing is that of SplitMix64.
"""

from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
UInt64s = NDArray[np.uint64]
Float64s = NDArray[np.float64]

_MASK = (1 << 64) - 1
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11, _S16 = (np.uint64(bits) for bits in (30, 27, 31, 11, 16))
_LOW = np.uint64(0xFFFF)
_NORMAL = 1 / (65536 * (1 / 3) ** 0.5)
"""The sum of four uniform numbers below 65536 has a standard deviation of 65536 · √(4/12)."""


@lru_cache(maxsize=4096)
def stream(name: str) -> int:
    """Give the number of the stream called `name`: each use of randomness has its own, whatever else there is."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def keys(seed: int, devices: Int64s) -> UInt64s:
    """Give the key of each device under `seed`, for `uniform_of` and `normal_of`."""
    start = np.uint64((seed * 0xD1342543DE82EF95 + 1) & _MASK)
    return _mixed(_mixed(devices.astype(np.uint64) * _GAMMA + start))


def uniform_of(key: UInt64s, number: int, counters: Int64s | int) -> Float64s:
    """Give a number in [0, 1) for each key and counter in stream `number`; keys and counters are broadcast."""
    return (_bits(key, number, counters) >> _S11).astype(np.float64) * 2.0**-53


def normal_of(key: UInt64s, number: int, counters: Int64s | int) -> Float64s:
    """Give numbers of mean 0 and standard deviation 1, in a bell of four uniform ones: never beyond ±3.5."""
    bits = _bits(key, number, counters)
    total = bits & _LOW
    for _ in range(3):
        bits = bits >> _S16
        total = total + (bits & _LOW)
    return (total.astype(np.float64) - 131070.0) * _NORMAL


def uniform(seed: int, number: int, devices: Int64s, counters: Int64s | int) -> Float64s:
    """Give a number in [0, 1) for each device and counter, which depends on all four arguments and nothing else."""
    return uniform_of(keys(seed, devices), number, counters)


def normal(seed: int, number: int, devices: Int64s, counters: Int64s | int) -> Float64s:
    """As `uniform`, in a bell of mean 0 and standard deviation 1."""
    return normal_of(keys(seed, devices), number, counters)


def _bits(key: UInt64s, number: int, counters: Int64s | int) -> UInt64s:
    base = key ^ np.uint64(number & _MASK)
    if isinstance(counters, int):
        return _mixed(base + np.uint64(counters * int(_GAMMA) & _MASK))
    return _mixed(base + counters.astype(np.uint64) * _GAMMA)


def _mixed(z: UInt64s) -> UInt64s:
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return z ^ (z >> _S31)
