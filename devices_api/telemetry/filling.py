"""What stands for windows without a point. Pure."""

from collections.abc import Iterable
from enum import StrEnum

from contracts.readings import Value


class Fill(StrEnum):
    """What a window without a point is given, other than a number."""

    NONE = "none"
    """It is left out."""
    NULL = "null"
    PREVIOUS = "previous"
    """The value of the window before it that has one; null before the first."""
    LINEAR = "linear"
    """What lies on the line between the windows around it that have numbers; null before the first, after the last."""


Known = tuple[int, Value]
Filled = list[tuple[int, Value | None]]


def filled(windows: Iterable[Known], starts: Iterable[int], fill: Fill | float) -> Filled:
    """Give each window of `starts` a value. `windows` are those that have one, in order, and are all in `starts`."""
    known = list(windows)
    if fill is Fill.NONE:
        return list(known)
    if fill is Fill.LINEAR:
        return _linear(known, starts)
    found = dict(known)
    missing: Value | None = None if isinstance(fill, Fill) else fill
    answer: Filled = []
    for start in starts:
        value = found.get(start, missing)
        if fill is Fill.PREVIOUS:
            missing = value
        answer.append((start, value))
    return answer


def _linear(known: list[Known], starts: Iterable[int]) -> Filled:
    answer: Filled = []
    following = 0
    for start in starts:
        if following < len(known) and known[following][0] == start:
            answer.append(known[following])
            following += 1
        elif 0 < following < len(known):
            answer.append((start, _between(known[following - 1], known[following], start)))
        else:
            answer.append((start, None))
    return answer


def _between(before: Known, after: Known, at: int) -> float | None:
    (start, low), (end, high) = before, after
    if not (isinstance(low, (int, float)) and isinstance(high, (int, float))) or bool in (type(low), type(high)):
        return None
    share = (at - start) / (end - start)
    return low * (1 - share) + high * share  # not low + (high - low) * share, which may be too large for a float
