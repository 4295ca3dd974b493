"""What has to be stored, by brute force from the distinct points, and how to tell whether it is."""

import math
from collections.abc import Mapping

from contracts.readings import Value
from contracts.timeseries import ROLLUPS, Days, Kind, Tier, start_of

Name = tuple[str, str, str, Kind]
"""Profile, device, metric and kind."""
Aggregates = tuple[int, float | None, float | None, float | None, float | None, Value | None, Value]
"""Count, sum, m2, min, max, first, last."""
Rollups = dict[tuple[Tier, Name, int], Aggregates]
Points = Mapping[tuple[Name, int], Value]


def rollups_of(points: Points, days: Days) -> Rollups:
    """Compute every window of every tier."""
    windows: dict[tuple[Tier, Name, int], list[Value]] = {}
    for (name, ts), value in sorted(points.items(), key=lambda item: item[0][1]):
        for tier in ROLLUPS:
            windows.setdefault((tier, name, start_of(tier, ts, days)), []).append(value)
    return {key: _aggregates(key[1][3], values) for key, values in windows.items()}


def _aggregates(kind: Kind, values: list[Value]) -> Aggregates:
    if kind is not float:
        return len(values), None, None, None, None, None, values[-1]
    numbers = [float(value) for value in values]
    total = math.fsum(numbers)
    mean = total / len(numbers)
    m2 = math.fsum((number - mean) ** 2 for number in numbers)
    return len(numbers), total, m2, min(numbers), max(numbers), numbers[0], numbers[-1]


def differences(found: Rollups, wanted: Rollups) -> list[str]:
    """Tell what is not as it should be: count, min, max, first and last exactly, sum and m2 up to rounding."""
    wrong = [f"missing: {key}" for key in wanted.keys() - found.keys()]
    wrong += [f"too much: {key} {found[key]}" for key in found.keys() - wanted.keys()]
    for key in wanted.keys() & found.keys():
        want, have = wanted[key], found[key]
        exact = (want[0], *want[3:]) == (have[0], *have[3:])
        if not exact or not _near(want, have):
            wrong.append(f"{key}: {have}, not {want}")
    return wrong


def _near(want: Aggregates, have: Aggregates) -> bool:
    if want[1] is None or want[2] is None:
        return have[1] is None and have[2] is None
    if have[1] is None or have[2] is None:
        return False
    # What summing n numbers in any order may be off by, in units of the largest.
    largest = max(abs(want[3] or 0.0), abs(want[4] or 0.0))
    off = 4e-16 * want[0] * want[0] * largest + 1e-300
    return abs(have[1] - want[1]) <= off and abs(have[2] - want[2]) <= 1e-12 * want[2] + 8 * off * largest + 1e-300
