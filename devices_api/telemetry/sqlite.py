"""The embedded time-series store, read-only: processor writes the file, and may not have made it yet."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from contracts.readings import Value
from contracts.sqlite_layout import SCHEMA_VERSION
from devices_api.errors import TooMuchError, UnavailableError
from devices_api.telemetry import sqlite_reads
from devices_api.telemetry.timeseries import NAME, PAGE, Kept, Newest, Pages
from devices_api.telemetry.windows import Answer, Query, plan, source

_MAX_WAITING = 64
_STEPS_A_CHECK = 1_000_000
_MAX_CHECKS = 300  # SQLite does some 50 to 100 million steps a second: a query ends after a few seconds

T = TypeVar("T")


@dataclass
class _Open:
    """A thread's connection, the file it is to, and how often the running query was looked at."""

    connection: sqlite3.Connection
    file: tuple[int, int]
    checks: int = 0


class SqliteTimeSeries:
    """Queries of the store in one file, as timeseries.TimeSeries has them: a few threads, with a connection each.

    Each query sees one moment of the store, and blocks nobody who writes to it.
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
        return await self._run(lambda db: sqlite_reads.has(db, device), nothing=False)

    async def latest(self, device: str) -> dict[str, tuple[int, Value]]:
        """Return the newest `(ts, value)` of each metric of `device`."""
        return await self._run(lambda db: sqlite_reads.latest(db, device), nothing={})

    async def latest_of(self, devices: Sequence[str], metrics: Collection[str] = ()) -> Mapping[str, Newest]:
        """Return what `latest` does of many devices."""
        return await self._run(lambda db: sqlite_reads.latest_of(db, devices, metrics), nothing={})

    async def points(self, device: str, metric: str, start: int, end: int, limit: int) -> list[tuple[int, Value]]:
        """Return the first `limit` points with `start` <= ts < `end`, in order of ts."""
        return await self._run(lambda db: sqlite_reads.points(db, device, metric, start, end, limit), nothing=[])

    async def kept(self, device: str, metric: str, ts: int) -> list[Kept] | None:
        """Return what is kept about the points of a metric at `ts`."""
        return await self._run(lambda db: sqlite_reads.kept(db, device, metric, ts), nothing=[])

    async def windows(self, query: Query) -> Answer:
        """Return the value of each window that holds a point."""
        pieces = plan(query.start, query.end, query.grid, None)
        return await self._run(lambda db: sqlite_reads.windows(db, query), nothing=Answer([], source(pieces)))

    async def windows_of(self, queries: Sequence[Query]) -> list[Answer]:
        """Return the answer of each query, all as of one moment."""
        nothing = [Answer([], source(plan(query.start, query.end, query.grid, None))) for query in queries]
        return await self._run(lambda db: [sqlite_reads.windows(db, query) for query in queries], nothing=nothing)

    async def scan(self, device: str, metric: str, start: int, end: int) -> Pages:
        """Give points in order of ts. No transaction is open between two pages, however long they are apart."""
        nothing: tuple[list[tuple[int, Value]], int] = ([], end)
        while start < end:
            read = partial(sqlite_reads.page, device=device, metric=metric, start=start, end=end, limit=PAGE)
            found, start = await self._run(read, nothing)
            if found:
                yield found

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
            opened.connection.execute("BEGIN")
            try:
                return query(opened.connection)
            finally:
                opened.connection.execute("ROLLBACK")
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
        connection.create_aggregate("merged_m2", 3, sqlite_reads.MergedM2)  # type: ignore[arg-type]  # floats, too
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
