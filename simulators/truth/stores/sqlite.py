"""The embedded store, read as the file that it is."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from contracts.readings import Value
from contracts.sqlite_layout import SPANS, to_kind
from contracts.timeseries import KINDS, MINUTE, Tier
from simulators.truth.stores.store import Found, StoreError

_SERIES = "SELECT id, metric, kind, profile FROM series WHERE device = ?"
_PARTITIONS = """
SELECT partition.name, profile.name FROM partition JOIN profile ON partition.profile = profile.id
WHERE tier = ? AND start > ? AND start < ?
"""
_POINTS = """
WITH RECURSIVE there (at) AS (
    SELECT min(minute) FROM {name} WHERE minute >= :first
    UNION ALL SELECT (SELECT min(minute) FROM {name} WHERE minute > at) FROM there WHERE at < :last
)
SELECT {name}.series, ts, {name}.value FROM there CROSS JOIN json_each(:series) AS wanted
CROSS JOIN {name} ON minute = at AND {name}.series = wanted.value WHERE ts >= :start AND ts < :end
"""


class SqliteFile:
    """The store at `path`, in which every point is as it was written."""

    resolution, digits = 1, 17

    def __init__(self, path: Path) -> None:
        self.name, self._path = f"the store in {path}", path

    async def points(self, device: str, start: int, end: int) -> AsyncIterator[Found]:
        """Give every point of `device` with `start` <= ts < `end` (ns)."""
        for found in await asyncio.to_thread(self._read, device, start, end):
            yield found

    async def devices(self) -> set[str]:
        """Name all of which something is stored."""
        return await asyncio.to_thread(self._devices)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _devices(self) -> set[str]:
        try:
            with closing(self._opened()) as db:
                return {device for (device,) in db.execute("SELECT DISTINCT device FROM series")}
        except sqlite3.Error as error:
            raise StoreError(f"{self.name} cannot be read: {error}") from error

    def _read(self, device: str, start: int, end: int) -> list[Found]:
        try:
            with closing(self._opened()) as db:
                db.execute("BEGIN")
                return list(_points(db, device, start, end))
        except sqlite3.Error as error:
            raise StoreError(f"{self.name} cannot be read: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10.0)


def _points(db: sqlite3.Connection, device: str, start: int, end: int) -> Iterator[Found]:
    series = {one: (metric, kind, profile) for one, metric, kind, profile in db.execute(_SERIES, (device,))}
    rows: dict[int, list[tuple[int, Value]]] = {one: [] for one in series}
    for name, profile in db.execute(_PARTITIONS, (Tier.RAW, start - SPANS[Tier.RAW], end)).fetchall():
        mine = [one for one, (_, _, of) in series.items() if of == profile]
        if mine:
            given = {"first": start // MINUTE, "last": end // MINUTE, "start": start, "end": end, "series": str(mine)}
            for one, ts, value in db.execute(_POINTS.format(name=name), given):
                rows[one].append((ts, value))
    for one, points in rows.items():
        metric, kind, _ = series[one]
        if points:
            yield _found(metric, kind, points)


def _found(metric: str, kind: str, points: Sequence[tuple[int, Value]]) -> Found:
    ts = np.array([ts for ts, _ in points], dtype=np.int64)
    if KINDS[kind] is float:
        return Found(metric, ts, np.array([value for _, value in points], dtype=np.float64))
    return Found(metric, ts, [to_kind(KINDS[kind], value) for _, value in points])
