"""Looks for the highest rate that holds: doubling, then halving the gap, then once more to be sure. Pure."""

from collections.abc import Awaitable, Callable
from math import floor, log10
from typing import Generic, NamedTuple, Protocol, TypeVar


class Judged(Protocol):
    """What a step came to."""

    @property
    def troubles(self) -> list[str]:
        """Say why the rate does not hold; empty if it does."""


Step = TypeVar("Step", bound=Judged)


class Found(NamedTuple, Generic[Step]):
    """What a search came to: `best` is the confirming step at the highest rate that held, None if none did."""

    best: Step | None
    rate: float
    """Of `best`, or 0."""
    capped: bool
    """Whether `best` is the highest rate that was to be tried, so that more might hold."""


async def search(run: Callable[[float], Awaitable[Step]], low: float, high: float, within: float = 0.1) -> Found[Step]:
    """Find the highest rate from `low` to `high` for which `run` has no troubles, to `within` of it.

    A rate is believed once it has held twice. One that does not hold a second time counts as too high.
    """
    held: list[float] = []
    failed: float | None = None
    while True:
        rate = _next(held, failed, low, high, within)
        confirming = rate is None
        if rate is None:
            if not held:
                return Found(None, 0.0, capped=False)
            rate = held[-1]
        step = await run(rate)
        if step.troubles:
            failed = rate
            held = [lower for lower in held if lower < rate]
        elif confirming:
            return Found(step, rate, capped=failed is None)
        else:
            held.append(rate)


def _next(held: list[float], failed: float | None, low: float, high: float, within: float) -> float | None:
    """Give the rate to try next; None where none is left between what holds and what does not."""
    if not held:
        return low if failed is None else None
    best = held[-1]
    if failed is None:
        return min(2 * best, high) if best < high else None
    if failed <= best * (1 + within):
        return None
    middle = _round((best + failed) / 2)
    return middle if best < middle < failed else None


def _round(rate: float) -> float:
    """Keep two digits, and a half of the third: rates that people can compare."""
    unit: float = 10.0 ** (floor(log10(rate)) - 1) / 2
    return round(rate / unit) * unit
