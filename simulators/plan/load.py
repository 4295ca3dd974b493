"""When messages are due: an open loop on absolute times, whose rate follows the phases of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi

import numpy as np

from simulators.models.model import Int64s

SECOND = 1_000_000_000
_STEPS = 64
"""A wave is taken as this many straight pieces a period."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a run: its length, and the factor of all rates, from `start` to `end` in a straight line.

    With `wave`, the factor goes up and down by so much, once in `period` seconds; it is never below 0. Only the last
    phase may last for ever (`seconds` is None).
    """

    seconds: float | None
    start: float = 1.0
    end: float = 1.0
    wave: float = 0.0
    period: float = 60.0


class Load:
    """How many messages of rate 1 are due until a moment, and when each is: `count` and its inverse, `due`."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        edges, factors = [0.0], []
        self.last = phases[-1].end
        for phase in phases:
            if phase.seconds is None:
                break
            pieces = max(1, int(_STEPS * phase.seconds / phase.period)) if phase.wave else 1
            for piece in range(pieces):
                length = phase.seconds / pieces
                factors.append((_factor(phase, piece * length), _factor(phase, (piece + 1) * length)))
                edges.append(edges[-1] + length)
        self.endless = phases[-1].seconds is None
        self.seconds = edges[-1]
        """How long all phases together are, without one that has no end."""
        self._edges = np.array(edges)
        self._low, self._high = (np.array([pair[side] for pair in factors]) for side in (0, 1))
        areas = (self._low + self._high) / 2 * np.diff(self._edges)
        self._counts = np.concatenate([[0.0], np.cumsum(areas)])

    def count(self, seconds: float) -> float:
        """Give the integral of the factor from 0 to `seconds`."""
        if seconds >= self.seconds:
            return float(self._counts[-1]) + (self.last * (seconds - self.seconds) if self.endless else 0.0)
        piece = int(np.searchsorted(self._edges, seconds, side="right")) - 1
        into = seconds - self._edges[piece]
        slope = (self._high[piece] - self._low[piece]) / (self._edges[piece + 1] - self._edges[piece])
        return float(self._counts[piece] + into * (self._low[piece] + slope * into / 2))

    def due(self, counts: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Int64s:
        """Give the ns from 0 at which each of `counts`, which is reached, is reached."""
        beyond = counts > self._counts[-1]
        piece = np.clip(np.searchsorted(self._counts, counts, side="right") - 1, 0, max(0, len(self._low) - 1))
        if len(self._low):
            low, high = self._low[piece], self._high[piece]
            lengths = self._edges[piece + 1] - self._edges[piece]
            slope, rest = (high - low) / lengths, counts - self._counts[piece]
            root = np.sqrt(np.maximum(0.0, low * low + 2 * slope * rest))
            into = np.divide(2 * rest, low + root, out=np.zeros_like(rest), where=low + root > 0)
            seconds = self._edges[piece] + np.minimum(into, lengths)
        else:
            seconds = np.zeros_like(counts)
        if self.endless and self.last > 0:
            seconds = np.where(beyond, self.seconds + (counts - self._counts[-1]) / self.last, seconds)
        return np.asarray(np.round(seconds * SECOND), dtype=np.int64)


def _factor(phase: Phase, at: float) -> float:
    straight = phase.start + (phase.end - phase.start) * (at / phase.seconds if phase.seconds else 0.0)
    return max(0.0, straight - phase.wave * cos(2 * pi * at / phase.period) if phase.wave else straight)
