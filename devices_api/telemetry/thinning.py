"""Fewer points that look the same: what a chart needs of a long series. Pure."""

import math
from collections.abc import Sequence

from contracts.readings import Value

LEAST = 3
"""Fewest points that a series can be thinned to: the first, the last, and one between them."""


def thinned(values: Sequence[tuple[int, Value]], most: int) -> list[int]:
    """Return the places of at most `most` of `values`, in order; the first and the last are among them.

    `values` are in order of ts. Numbers are chosen by Largest Triangle Three Buckets, which keeps peaks. Where one of
    the values is no number, or not finite, every n-th is chosen.
    """
    count = len(values)
    if count <= most:
        return list(range(count))
    if any(value.__class__ not in (float, int) or not math.isfinite(value) for _, value in values):
        return [at * (count - 1) // (most - 1) for at in range(most)]
    import numpy as np  # noqa: PLC0415 - it and the next take a tenth of a second, which most starts do without
    from tsdownsample import LTTBDownsampler  # noqa: PLC0415 - as above

    begin = values[0][0]
    times = np.fromiter((ts - begin for ts, _ in values), np.int64, count)
    numbers = np.fromiter((value for _, value in values), np.float64, count)
    return [int(at) for at in LTTBDownsampler().downsample(times, numbers, n_out=most)]  # type: ignore[no-untyped-call]  # it has no annotations
