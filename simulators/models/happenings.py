"""Events: when they happen to which device, and how far each has got."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.models.model import Event
from simulators.models.moments import Moments
from simulators.models.noise import Float64s, Int64s, UInt64s, keys, stream, uniform_of
from simulators.models.spec import EventSpec

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: its multiples spread evenly, also those of every second or third device."""

_MOST = 200_000


class Turns(NamedTuple):
    """Turns of an event: whether it happens, and from when to when (ns since 1970)."""

    happens: NDArray[np.bool_]
    start: Int64s
    end: Int64s


class Happening:
    """One kind of event. Each device has a turn in each `every`, and those of a fleet are spread evenly over it."""

    def __init__(self, name: str, spec: EventSpec, decimals: int) -> None:
        self.name, self.spec, self._decimals = name, spec, decimals
        self._vary = spec.every - spec.length[1] if spec.vary is None else spec.vary
        self._streams = [stream(f"events.{name}.{use}") for use in ("chance", "vary", "length", "peak")]

    def height(self, seed: int, moments: Moments) -> Float64s | None:
        """Tell how far into the event each device is, from 0 (not) to 1 (at its peak); None if none is in it."""
        turn = (moments.ts - self._phase(seed, moments.devices)) // self.spec.every
        found = self._turns(seed, moments.devices, moments.key, turn)
        inside = found.happens & (found.start < moments.ts) & (moments.ts < found.end)
        if not inside.any():
            return None
        near = np.minimum(moments.ts - found.start, found.end - moments.ts)
        up = np.minimum(1.0, near / self.spec.ramp) if self.spec.ramp else np.ones(len(near))
        return np.where(inside, up, 0.0)

    def peak(self, seed: int, moments: Moments) -> Float64s:
        """Give the peak of the turn that each device is in."""
        turn = (moments.ts - self._phase(seed, moments.devices)) // self.spec.every
        return self._peak(moments.key, turn)

    def between(self, seed: int, devices: Int64s, start: int, end: int) -> Iterator[Event]:
        """Give every event that lies wholly in `start`..`end`, in no order."""
        turns = (end - start) // self.spec.every + 2
        width = max(1, _MOST // max(1, turns))
        for first in range(0, len(devices), width) if turns > 0 else ():
            some = devices[first : first + width, None]
            key = keys(seed, some)
            turn = (start - self._phase(seed, some)) // self.spec.every + np.arange(turns, dtype=np.int64)
            found, peaks = self._turns(seed, some, key, turn), self._peak(key, turn)
            for row, column in np.argwhere(found.happens & (start <= found.start) & (found.end <= end)).tolist():
                yield Event(
                    self.name,
                    int(some[row, 0]),
                    self.spec.metric,
                    int(found.start[row, column]),
                    int(found.end[row, column]),
                    float(peaks[row, column]),
                )

    def _phase(self, seed: int, devices: Int64s) -> Int64s:
        turned = devices.astype(np.uint64) * _GOLDEN + np.uint64(stream(f"{seed}/{self.name}"))
        return ((turned >> np.uint64(11)).astype(np.float64) * 2.0**-53 * self.spec.every).astype(np.int64)

    def _turns(self, seed: int, devices: Int64s, key: UInt64s, turn: Int64s) -> Turns:
        chance, vary, length, _ = self._streams
        low, high = self.spec.length
        start = turn * self.spec.every + self._phase(seed, devices)
        if self._vary:
            start = start + (uniform_of(key, vary, turn) * self._vary).astype(np.int64)
        lasts = low if low == high else low + (uniform_of(key, length, turn) * (high - low)).astype(np.int64)
        happens = uniform_of(key, chance, turn) < self.spec.chance
        return Turns(happens, start, start + lasts)

    def _peak(self, key: UInt64s, turn: Int64s) -> Float64s:
        low, high = self.spec.peak or (1.0, 1.0)
        return np.round(low + (high - low) * uniform_of(key, self._streams[3], turn), self._decimals)
