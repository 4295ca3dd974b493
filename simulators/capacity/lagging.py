"""How late points were, told from nothing but how many there were at some moments. Pure."""

from collections.abc import Sequence

import numpy as np

Counts = Sequence[tuple[float, float]]
"""Moments in seconds, and how many there were by then: neither ever falls."""


def latencies(due: Counts, stored: Counts, percents: Sequence[float]) -> list[float]:
    """Give percentiles of how long points took from when they were due, in s, if they were stored in order.

    Between two moments of `due` points are due evenly; those of `stored` are there only when they were seen. What
    `stored` never reaches has taken at least until its last moment, and counts as that. Empty without anything due.
    """
    if not due or not due[-1][1] or not stored:
        return []
    due_at, due_count = np.array([row[0] for row in due]), np.array([row[1] for row in due])
    seen_at, seen_count = np.array([row[0] for row in stored]), np.array([row[1] for row in stored])
    numbers = np.linspace(due_count[-1] / 1000, due_count[-1], 1000)
    was_due = np.interp(numbers, due_count, due_at)
    place = np.minimum(np.searchsorted(seen_count, numbers - 1e-6), len(seen_at) - 1)
    took = np.maximum(0.0, seen_at[place] - was_due)
    return [float(value) for value in np.percentile(took, percents)]
