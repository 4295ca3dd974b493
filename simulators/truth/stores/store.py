"""What a place where points are looked up promises."""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from simulators.models.model import Int64s
from simulators.truth.reading import Column


class StoreError(Exception):
    """It cannot be asked, so nothing can be said about what it holds."""


class Found(NamedTuple):
    """Points of one metric, in any order; a metric may come in several parts."""

    metric: str
    ts: Int64s
    values: Column


class Store(Protocol):
    """Points by device. Every method raises StoreError."""

    name: str
    resolution: int
    """Times are stored less `ts % resolution`."""
    digits: int
    """Numbers have so many digits; 17: all of them."""

    def points(self, device: str, start: int, end: int) -> AsyncIterator[Found]:
        """Give every point of `device` with `start` <= ts < `end` (ns); nothing if it is unknown."""

    async def devices(self) -> set[str]:
        """Name devices of which there may be points, as far as that can be told."""

    async def close(self) -> None:
        """Release everything."""
