"""Overpressure of pumps: when, how high, and the ground truth for whoever checks alerts.

Time is cut into slots of ten seconds. In each slot every fourth pump has one excursion, so any 20 s hold several whole
ones in a fleet of 50 (16 pumps), and each has ended before its slot has. Times are ns since 1970 UTC.
"""

from dataclasses import dataclass

from simulators.noise import uniforms

SECOND = 1_000_000_000
SLOT = 10 * SECOND
EVERY = 4
"""One pump in so many has an excursion in a slot."""

RAMP = 400_000_000
PLATEAU = 5 * SECOND
LENGTH = PLATEAU + 2 * RAMP
LOWEST_PEAK, HIGHEST_PEAK = 9.5, 11.0
"""bar"""

_STREAM = 4
_TURN = 5


@dataclass(frozen=True)
class Excursion:
    """Pressure of pump `index` leaves normal at `start`, is at `peak` bar for 5 s, and is normal again at `end`."""

    index: int
    start: int
    end: int
    peak: float


def excursion_in(seed: int, index: int, ordinal: int, slot: int) -> Excursion | None:
    """Give the excursion of one pump in a slot, if it has one there. `ordinal` counts pumps only."""
    if (ordinal + slot + int(uniforms(seed, _TURN, 0, 0)[0] * EVERY)) % EVERY:
        return None
    where, height, *_ = uniforms(seed, _STREAM, index, slot)
    start = slot * SLOT + int(where * (SLOT - LENGTH))
    return Excursion(index, start, start + LENGTH, LOWEST_PEAK + (HIGHEST_PEAK - LOWEST_PEAK) * height)


def excursion_at(seed: int, index: int, ordinal: int, ts: int) -> tuple[float, float]:
    """How far into an excursion a pump is, from 0 (not) to 1 (at its peak), and that peak in bar."""
    found = excursion_in(seed, index, ordinal, ts // SLOT)
    if found is None or not found.start < ts < found.end:
        return 0.0, 0.0
    return min(1.0, (ts - found.start) / RAMP, (found.end - ts) / RAMP), found.peak


def ground_truth(pumps: list[tuple[int, int, int]], start: int, end: int) -> list[Excursion]:
    """Every excursion that lies wholly in `start`..`end`, by start; `pumps` are seed, index and ordinal of each."""
    slots = range(start // SLOT, end // SLOT + 1)
    found = (excursion_in(*pump, slot) for slot in slots for pump in pumps)
    return sorted((e for e in found if e and start <= e.start and e.end <= end), key=lambda e: (e.start, e.index))
