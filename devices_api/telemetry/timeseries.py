"""What is asked of a time-series store, whichever it is; sqlite.py, influx.py and victoria.py each answer it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from contracts.readings import Value
from devices_api.telemetry.windows import Answer, Query

NAME = "time-series store"
MAX_METRICS = 10_000
"""Most metrics of one device that `latest` returns."""
MAX_LATEST = 50_000
"""Most values that `latest_of` returns."""
PAGE = 10_000
"""Most points that `scan` gives at once."""

Pages = AsyncGenerator[list[tuple[int, Value]], None]
"""Points, page by page."""
Newest = Mapping[str, tuple[int, Value]]
"""The newest `(ts, value)` by metric."""
TOO_MANY_LATEST = f"the devices have more than {MAX_LATEST} metrics: name metrics, or fewer devices"


class Kept(NamedTuple):
    """What is kept about a point: its value, when ingest received it in ns since 1970 UTC, and the reading's flags."""

    profile: str
    value: Value
    received: int
    flags: dict[str, str]


class TimeSeries(Protocol):
    """Queries of a store. A metric may have several series, of other profiles or kinds: they are joined.

    What is not there has no data: the answers are empty. Every query raises UnavailableError if the store cannot be
    read now, and TooMuchError if it takes too long or the answer is too large.
    """

    async def has(self, device: str) -> bool:
        """Whether anything of `device` is stored."""

    async def latest(self, device: str) -> dict[str, tuple[int, Value]]:
        """Return the newest `(ts, value)` of each metric of `device`."""

    async def latest_of(self, devices: Sequence[str], metrics: Collection[str] = ()) -> Mapping[str, Newest]:
        """Return what `latest` does of those of `devices` that have data; with `metrics`, of these alone."""

    async def points(self, device: str, metric: str, start: int, end: int, limit: int) -> list[tuple[int, Value]]:
        """Return the first `limit` points with `start` <= ts < `end`, in order of ts; of one ts, one."""

    async def kept(self, device: str, metric: str, ts: int) -> list[Kept] | None:
        """Return what is kept about a metric's points at `ts`, one for each series; None if the store keeps nothing."""

    async def windows(self, query: Query) -> Answer:
        """Return the value of each window that holds a point, all as of one moment."""

    async def windows_of(self, queries: Sequence[Query]) -> list[Answer]:
        """Return the answer of each query."""

    def scan(self, device: str, metric: str, start: int, end: int) -> Pages:
        """Give the points with `start` <= ts < `end` in order of ts, at most PAGE at once.

        Each page is as of the moment at which it is read, and nothing is held between two. Close it if you leave early.
        """

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


async def scanned(
    points: Callable[[str, str, int, int, int], Awaitable[list[tuple[int, Value]]]],
    device: str,
    metric: str,
    start: int,
    end: int,
) -> Pages:
    """Give what `scan` does, with a query of `points` for each page."""
    while start < end:
        found = await points(device, metric, start, end, PAGE)
        if found:
            yield found
        if len(found) < PAGE:
            return
        start = found[-1][0] + 1
