"""Several series in one order of time."""

from collections.abc import AsyncIterator, Sequence
from heapq import heappop, heappush
from typing import TypeVar

T = TypeVar("T")


async def in_order(series: Sequence[AsyncIterator[tuple[int, T]]]) -> AsyncIterator[tuple[int, T]]:
    """Give the items of all `series`, each in order of its times, in the order of all their times.

    Of each it asks for one item ahead. At one time, items of an earlier series come first.
    """
    heap: list[tuple[int, int, T]] = []

    async def push(number: int) -> None:
        async for ts, item in series[number]:
            heappush(heap, (ts, number, item))
            return

    for number in range(len(series)):
        await push(number)
    while heap:
        ts, number, item = heappop(heap)
        yield ts, item
        await push(number)
