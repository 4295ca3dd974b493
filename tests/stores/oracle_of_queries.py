"""What a query has to be answered with, by brute force."""

import statistics
from typing import Any

from contracts.readings import Value
from devices_api.telemetry.windows import OF_ANY_KIND, Aggregate, Grid


def slowly(points: dict[int, Value], aggregate: Aggregate, grid: Grid, start: int, end: int) -> list[tuple[int, Value]]:
    """Say what an aggregate is, in as many words."""
    windows: dict[int, list[Value]] = {}
    for ts in sorted(points):
        if start <= ts < end:
            windows.setdefault(grid.of(ts)[0], []).append(points[ts])
    what: dict[Aggregate, Any] = {
        Aggregate.MEAN: statistics.fmean,
        Aggregate.MIN: min,
        Aggregate.MAX: max,
        Aggregate.SUM: sum,
        Aggregate.COUNT: len,
        Aggregate.FIRST: lambda v: v[0],
        Aggregate.LAST: lambda v: v[-1],
        Aggregate.STDDEV: statistics.pstdev,
    }
    answer = []
    for at, found in windows.items():
        kinds = (float, bool, str) if aggregate in OF_ANY_KIND else (float,)
        of_kind = next((v for kind in kinds if (v := [one for one in found if one.__class__ is kind])), None)
        if of_kind is not None:
            answer.append((at, what[aggregate](of_kind)))
    return answer
