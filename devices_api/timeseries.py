"""What is asked of a time-series store, whichever it is; sqlite.py, influx.py and victoria.py each answer it."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from contracts.readings import Value
from devices_api.windows import Answer, Query

NAME = "time-series store"
MAX_METRICS = 10_000
"""Most metrics of one device that `latest` returns."""


class TimeSeries(Protocol):
    """Queries of a store. A metric may have several series, of other profiles or kinds: they are joined.

    What is not there has no data: the answers are empty. Every query raises UnavailableError if the store cannot be
    read now, and TooMuchError if it takes too long or the answer is too large.
    """

    async def has(self, device: str) -> bool:
        """Whether anything of `device` is stored."""

    async def latest(self, device: str) -> dict[str, tuple[int, Value]]:
        """Return the newest `(ts, value)` of each metric of `device`."""

    async def points(self, device: str, metric: str, start: int, end: int, limit: int) -> list[tuple[int, Value]]:
        """Return the first `limit` points with `start` <= ts < `end`, in order of ts; of one ts, one."""

    async def windows(self, query: Query) -> Answer:
        """Return the value of each window that holds a point, all as of one moment."""

    async def close(self) -> None:
        """Finish the queries that run, and let go of everything. A second time does nothing."""


class Found(NamedTuple):
    """A point that was found. Of two with one ts the one that sorts first counts."""

    ts: int
    rank: int
    age: int
    """0 for the series with the metric's newest point, 1 for the one before it, and so on."""
    value: Value


def joined(found: Iterable[Found], limit: int) -> list[tuple[int, Value]]:
    """Join the points of several series: the first `limit` in order of ts, of each ts the one that counts."""
    points: dict[int, Value] = {}
    for point in sorted(found, key=lambda point: point[:3]):
        if point.ts not in points and len(points) == limit:
            break
        points.setdefault(point.ts, point.value)
    return list(points.items())
