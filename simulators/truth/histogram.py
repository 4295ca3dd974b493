"""Latencies counted in buckets whose width is a fixed share of their value, as in an HDR histogram. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulators.models.model import Int64s

_UNIT = 1_000
"""Values are counted in µs."""

_LONGEST = 42
"""Bits of the longest that is told apart, 51 days."""

PRECISE, COARSE = 11, 7
"""Bits of a value that are kept: to within a thousandth, and to within a sixtieth."""


class Histogram:
    """Counts durations; its size does not depend on how many. Percentiles are of the highest value in their bucket."""

    def __init__(self, bits: int = PRECISE) -> None:
        self._bits, self._half = bits, 1 << (bits - 1)
        self._counts = np.zeros((_LONGEST - bits + 2) * self._half, dtype=np.int64)
        self.count = 0
        self.most = 0.0
        """The longest, in seconds, exactly."""

    def add(self, durations: Int64s) -> None:
        """Count durations in ns; what is below 0, as when a clock was set back, counts as 0."""
        if not len(durations):
            return
        values = np.clip(durations // _UNIT, 0, (1 << _LONGEST) - 1)
        shifts = np.maximum(np.frexp(values.astype(np.float64))[1] - self._bits, 0)
        places = shifts * self._half + (values >> shifts)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self.count += len(durations)
        self.most = max(self.most, float(durations.max()) / 1e9)

    def merge(self, other: "Histogram") -> None:
        """Count what `other`, of the same bits, has counted."""
        self._counts += other._counts  # noqa: SLF001 - of the same class
        self.count += other.count
        self.most = max(self.most, other.most)

    def percentiles(self, percents: Sequence[float]) -> list[float]:
        """Give the durations in seconds below or at which so many of a hundred are; zeros where nothing was counted."""
        if not self.count:
            return [0.0] * len(percents)
        ranks = np.maximum(1, np.ceil(np.array(percents) / 100 * self.count - 1e-9))
        places = np.searchsorted(np.cumsum(self._counts), ranks)
        highest = self._highest(places)
        return [min(self.most, float(value)) for value in highest]

    def curve(self) -> list[tuple[float, float]]:
        """Give percentiles with their durations, ten between each of 0, 90, 99, 99.9 … as far as the counts reach."""
        percents = [0.0]
        tail = 100.0
        while tail * self.count / 100 >= 1:
            percents += [100 - tail * (1 - 0.09 * step) for step in range(1, 11)]
            tail /= 10
        return list(zip([round(p, 6) for p in percents], self.percentiles(percents), strict=True))

    def _highest(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        shifts = np.maximum(places // self._half - 1, 0)
        highest = ((places - shifts * self._half + 1) << shifts) - 1
        return np.asarray(highest * (_UNIT / 1e9), dtype=np.float64)
