"""The embedded time-series store, read-only: processor writes the file, and may not have made it yet."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from contracts.readings import Value
from contracts.timeseries import SCHEMA_VERSION, from_sql
from devices_api.errors import TooMuchError, UnavailableError
from devices_api.windows import Aggregate, Part, Piece, combine

NAME = "time-series store"
MAX_METRICS = 10_000
"""Most metrics of one device that `latest` returns."""

_MAX_WAITING = 64
_STEPS_A_CHECK = 1_000_000
_MAX_CHECKS = 300  # SQLite does some 50 to 100 million steps a second: a query ends after a few seconds

_LATEST = """
SELECT s.metric, p.ts, p.value FROM series AS s
JOIN point AS p ON p.series = s.id AND p.ts = (SELECT max(ts) FROM point WHERE series = s.id)
WHERE s.device = ? ORDER BY s.metric LIMIT ?
"""
_SERIES = "SELECT id FROM series WHERE device = ? AND metric = ?"
_POINTS = f"""
SELECT ts, value FROM point WHERE series = ({_SERIES}) AND ts >= ? AND ts < ? ORDER BY ts LIMIT ?
"""  # noqa: S608 - both parts are constants
# With a single min() or max() in it, SQLite takes the plain columns of a group from the row that has it.
_RAW_VALUE = {
    Aggregate.MEAN: "sum(value)",
    Aggregate.SUM: "sum(value)",
    Aggregate.COUNT: "count(*)",
    Aggregate.MIN: "min(value)",
    Aggregate.MAX: "max(value)",
    Aggregate.FIRST: "value, min(ts)",
    Aggregate.LAST: "value, max(ts)",
}
_ROLLUP_VALUE = {
    Aggregate.MEAN: "sum(sum)",
    Aggregate.SUM: "sum(sum)",
    Aggregate.COUNT: "sum(count)",
    Aggregate.MIN: "min(min)",
    Aggregate.MAX: "max(max)",
    Aggregate.FIRST: "first, min(start)",
    Aggregate.LAST: "last, max(start)",
}
_RAW = """
SELECT ts / :width * :width AS w, count(*), {value} FROM point
WHERE series = :series AND ts >= :start AND ts < :end AND typeof(value) = 'real' GROUP BY w ORDER BY w
"""
# The series is a parameter, not a subquery: only so does SQLite look it up inside the view, rather than read all of it.
_ROLLUP = """
SELECT start / :width * :width AS w, sum(count), {value} FROM rollup_1m
WHERE series = :series AND start >= :start AND start < :end GROUP BY w ORDER BY w
"""

T = TypeVar("T")


@dataclass
class _Open:
    """A thread's connection, the file it is to, and how often the running query was looked at."""

    connection: sqlite3.Connection
    file: tuple[int, int]
    checks: int = 0


class TimeSeries:
    """Queries of the store, run by a few threads with a connection each.

    Where the file is not there yet, there is no data yet: the answers are empty. Every query raises UnavailableError
    if the store cannot be read now, and TooMuchError if it takes too long.
    """

    def __init__(self, path: Path, threads: int = 4) -> None:
        self._path = path
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="timeseries")
        self._of_thread = threading.local()
        self._all: set[sqlite3.Connection] = set()
        self._lock = threading.Lock()
        self._waiting = 0
        self._closed = False

    async def has(self, device: str) -> bool:
        """Whether anything of `device` is stored."""
        return await self._run(
            lambda db: db.execute("SELECT 1 FROM series WHERE device = ? LIMIT 1", (device,)).fetchone() is not None,
            nothing=False,
        )

    async def latest(self, device: str) -> dict[str, tuple[int, Value]]:
        """Return the newest `(ts, value)` of each metric of `device`."""
        rows: list[tuple[str, int, float | str]] = await self._run(
            lambda db: db.execute(_LATEST, (device, MAX_METRICS)).fetchall(), nothing=[]
        )
        return {metric: (ts, from_sql(value)) for metric, ts, value in rows}

    async def points(self, device: str, metric: str, start: int, end: int, limit: int) -> list[tuple[int, Value]]:
        """Return the first `limit` points with `start` <= ts < `end`, in order of ts."""
        found: list[tuple[int, float | str]] = await self._run(
            lambda db: db.execute(_POINTS, (device, metric, start, end, limit)).fetchall(), nothing=[]
        )
        return [(ts, from_sql(value)) for ts, value in found]

    async def windows(
        self, device: str, metric: str, aggregate: Aggregate, width: int, pieces: list[Piece]
    ) -> list[tuple[int, float]]:
        """Return `(start, value)` of each window of `width` ns that has a number in `pieces`, all as of one moment."""

        def read(db: sqlite3.Connection) -> list[Part]:
            parts: list[Part] = []
            db.execute("BEGIN")
            try:
                found = db.execute(_SERIES, (device, metric)).fetchone()
                for piece in pieces if found else []:
                    sql = (
                        _ROLLUP.format(value=_ROLLUP_VALUE[aggregate])
                        if piece.source == "rollup_1m"
                        else _RAW.format(value=_RAW_VALUE[aggregate])
                    )
                    about = {"series": found[0], "width": width, "start": piece.start, "end": piece.end}
                    rows = db.execute(sql, about)
                    parts += [Part(row[0], row[1], row[2]) for row in rows]
            finally:
                db.execute("ROLLBACK")
            return parts

        return combine(aggregate, await self._run(read, nothing=[]))

    async def close(self) -> None:
        """Finish the queries that run, and close the file. A second time does nothing."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        for connection in self._all:
            connection.close()
        self._all.clear()

    async def _run(self, query: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        if self._closed or self._waiting >= _MAX_WAITING:
            raise UnavailableError(NAME)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._in_thread, query, nothing)
        finally:
            self._waiting -= 1

    def _in_thread(self, query: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        try:
            opened = self._open()
            if opened is None:
                return nothing
            opened.checks = 0
            return query(opened.connection)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
                raise TooMuchError("the query takes too long: narrow start and end, or widen interval") from error
            raise UnavailableError(NAME) from error

    def _open(self) -> _Open | None:
        """Return this thread's connection to the file that is there now, or None where there is no store yet."""
        opened: _Open | None = getattr(self._of_thread, "opened", None)
        try:
            status = self._path.stat()
        except FileNotFoundError:
            status = None
        if opened is not None and status is not None and opened.file == (status.st_dev, status.st_ino):
            return opened
        self._forget(opened)
        if status is None:
            return None
        opened = _Open(self._connect(), (status.st_dev, status.st_ino))
        (version,) = opened.connection.execute("PRAGMA user_version").fetchone()
        if version != SCHEMA_VERSION:
            self._forget(opened)
            if version == 0:  # processor has just made the file
                return None
            raise UnavailableError(f"{NAME} (schema version {version} is not {SCHEMA_VERSION})")
        opened.connection.set_progress_handler(lambda: self._too_long(opened), _STEPS_A_CHECK)
        self._of_thread.opened = opened
        return opened

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=2,
            check_same_thread=False,  # `close` closes it after the threads have ended
        )
        with self._lock:
            self._all.add(connection)
        connection.execute("PRAGMA query_only = 1")
        return connection

    def _forget(self, opened: _Open | None) -> None:
        self._of_thread.opened = None
        if opened is not None:
            opened.connection.close()
            with self._lock:
                self._all.discard(opened.connection)

    @staticmethod
    def _too_long(opened: _Open) -> int:
        opened.checks += 1
        return int(opened.checks > _MAX_CHECKS)
