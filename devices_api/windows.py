"""Aggregates over windows: which part of a query the rollups answer, which the raw points, and how parts combine.

Windows are aligned to the epoch and named by their start. A query is over exactly start <= ts < end: where that cuts
a window, only the points inside count.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from contracts.timeseries import ROLLUP_WIDTH

MAX_WINDOWS = 10_000

Source = Literal["rollup_1m", "raw"]


class Aggregate(StrEnum):
    """What can be asked of a window's numbers; text and booleans take no part."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True)
class Piece:
    """A part of a query, `start` <= ts < `end` in ns, that one table answers."""

    source: Source
    start: int
    end: int


@dataclass(frozen=True)
class Part:
    """What one piece gives for the window at `start`: `value` over `count` numbers (the sum, for a mean)."""

    start: int
    count: int
    value: float


def count_windows(start: int, end: int, width: int) -> int:
    """Count the windows that start <= ts < end touches."""
    return (end - 1) // width - start // width + 1


def plan(start: int, end: int, width: int) -> list[Piece]:
    """Split a query into pieces, in time order: rollups for whole minutes where windows are made of them."""
    first = -(-start // ROLLUP_WIDTH) * ROLLUP_WIDTH
    last = end // ROLLUP_WIDTH * ROLLUP_WIDTH
    if width % ROLLUP_WIDTH or first >= last:
        return [Piece("raw", start, end)]
    pieces = [Piece("raw", start, first), Piece("rollup_1m", first, last), Piece("raw", last, end)]
    return [piece for piece in pieces if piece.start < piece.end]


def source(pieces: Iterable[Piece]) -> Source:
    """Name what answers a query for the most part."""
    return "rollup_1m" if any(piece.source == "rollup_1m" for piece in pieces) else "raw"


def combine(aggregate: Aggregate, parts: Iterable[Part]) -> list[tuple[int, float]]:
    """Join parts, given in time order, into one value for each window that holds a number."""
    windows: dict[int, Part] = {}
    for part in parts:
        before = windows.get(part.start)
        windows[part.start] = part if before is None else _join(aggregate, before, part)
    if aggregate is Aggregate.MEAN:
        return [(part.start, part.value / part.count) for part in windows.values()]
    return [(part.start, part.value) for part in windows.values()]


def _join(aggregate: Aggregate, before: Part, after: Part) -> Part:
    match aggregate:
        case Aggregate.MIN:
            value = min(before.value, after.value)
        case Aggregate.MAX:
            value = max(before.value, after.value)
        case Aggregate.FIRST:
            value = before.value
        case Aggregate.LAST:
            value = after.value
        case _:
            value = before.value + after.value
    return Part(before.start, before.count + after.count, value)
