"""The SQLite time-series store: points and their rollups, written in one transaction. All calls from one thread."""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from contracts.readings import Reading, Value
from contracts.timeseries import ROLLUP_WIDTH, SCHEMA, SCHEMA_VERSION
from processor.known import Known
from processor.windows import NEVER, UNKNOWN, Changes, Series, Stale, Window, aggregate, window_start

_BUSY_S = 1.0
"""How long SQLite itself waits for another writer; after that the store counts as unavailable."""

# Every commit is on disk before the stream is told: in WAL mode that takes synchronous=FULL. A checkpoint each 16 MB
# rather than 4 writes the pages that many commits change less often.
_SETUP = """
PRAGMA synchronous = FULL;
PRAGMA cache_size = -65536;
PRAGMA wal_autocheckpoint = 4096;
PRAGMA journal_size_limit = 67108864;
"""
# No flags are bound as '': Python's sqlite3 looks for an adapter of each None, which costs more than the rest of it.
_POINT = """
INSERT INTO point (series, ts, value, received, flags) VALUES (?, ?, ?, ?, nullif(?, ''))
ON CONFLICT (series, ts) DO UPDATE SET value = excluded.value, received = excluded.received, flags = excluded.flags
"""
_ROLLUP_COLUMNS = "(series, start, count, sum, min, max, first, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_OPEN = f"INSERT OR REPLACE INTO rollup_1m_open {_ROLLUP_COLUMNS}"
_CLOSED = f"INSERT OR REPLACE INTO rollup_1m_closed {_ROLLUP_COLUMNS}"
_NO_OPEN = "DELETE FROM rollup_1m_open WHERE series = ? AND start = ?"
_NO_CLOSED = "DELETE FROM rollup_1m_closed WHERE series = ? AND start = ?"
_CLOSE_OLDER = """
INSERT OR REPLACE INTO rollup_1m_closed (series, start, count, sum, min, max, first, last)
SELECT series, start, count, sum, min, max, first, last FROM rollup_1m_open WHERE series = ? AND start <> ?
"""
_NUMBERS = """
SELECT value FROM point WHERE series = ? AND ts >= ? AND ts < ? AND typeof(value) = 'real' ORDER BY ts
"""

_Row = tuple[int, int, int, float, float, float, float, float]


class StoreUnavailableError(Exception):
    """The store cannot take anything now: locked, full, read-only, broken. The same write may work later."""


class NewerSchemaError(StoreUnavailableError):
    """The file was made by a newer version of this program."""


@dataclass
class Written:
    """What one transaction did: points upserted, windows extended, windows computed anew by cause."""

    points: int = 0
    extended: int = 0
    recomputed: Counter[Stale] = field(default_factory=Counter)


class TimeSeries:
    """The store in one file. `most_series` bounds what is known in memory.

    `open` and `write` raise StoreUnavailableError if the store cannot take anything now; nothing of the failed write
    is stored then. Memory is trusted only while this connection is the only one that writes: after any failure, and
    after a commit of somebody else, everything is computed from what is stored.
    """

    def __init__(self, path: Path, most_series: int) -> None:
        self._path = path
        self._known = Known(most_series)
        self._db: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._others = 0  # `PRAGMA data_version`: changes with each commit of another connection

    @property
    def series_known(self) -> int:
        """How many series are known in memory."""
        return len(self._known)

    def open(self) -> None:
        """Open the file, or make it. Raises NewerSchemaError if its schema is newer than ours."""
        if self._db is None:
            with self._failing():
                self._db = self._connect()

    def close(self) -> None:
        """Close the file; the next `open` or `write` opens it again."""
        self._known.clear()
        if self._db is not None:
            db, self._db = self._db, None
            db.close()

    def write(self, readings: Sequence[Reading]) -> Written:
        """Store all of `readings` with their rollups, in order, or nothing; they are on disk when this returns."""
        self.open()
        with self._failing():
            db = self._still_there()
            db.execute("BEGIN IMMEDIATE")
            others = _pragma(db, "data_version")
            if others != self._others:
                self._known.clear()
                self._others = others
            self._known.age()
            changes, written = Changes(), Written(points=sum(len(reading.values) for reading in readings))
            # Step 7. write the points
            db.executemany(_POINT, self._rows(db, readings, changes))
            # Step 8. roll up
            db.executemany("DELETE FROM rollup_1m_open WHERE series = ?", [(id_,) for id_, _ in changes.left])
            self._recompute(db, changes, written)
            self._extend(db, changes, written)
            db.execute("COMMIT")
        return written

    def _rows(
        self, db: sqlite3.Connection, readings: Sequence[Reading], changes: Changes
    ) -> Iterator[tuple[int, int, Value, int, str]]:
        """Give the points one by one: in a list of them, the garbage collector would look at each several times."""
        take = changes.take
        for reading in readings:
            device, ts, received = reading.device, reading.ts, reading.received
            start = window_start(ts)
            flags = msgspec.json.encode(reading.flags).decode() if reading.flags else ""
            known = self._known.of(device)
            for metric, value in reading.values.items():
                series = known.get(metric)
                if series is None:
                    series = self._series(db, device, metric)
                take(series, ts, start, value)
                yield series.id, ts, value, received, flags

    def _series(self, db: sqlite3.Connection, device: str, metric: str) -> Series:
        found = db.execute("SELECT id FROM series WHERE device = ? AND metric = ?", (device, metric)).fetchone()
        if found is None:
            made = db.execute("INSERT INTO series (device, metric) VALUES (?, ?)", (device, metric)).lastrowid
            series = Series(int(made or 0), NEVER)
        else:
            series = Series(found[0], UNKNOWN)
        self._known.add(device, metric, series)
        return series

    def _recompute(self, db: sqlite3.Connection, changes: Changes, written: Written) -> None:
        """Compute the stale windows from their points; what is stored of a series is known afterwards."""
        for series in changes.unknown.values():
            (newest,) = db.execute("SELECT max(ts) FROM point WHERE series = ?", (series.id,)).fetchone()
            series.learn(newest, Window(window_start(newest)))
            changes.stale.setdefault((series.id, series.window.start), (series, Stale.UNKNOWN))
            db.execute(_CLOSE_OLDER, (series.id, series.window.start))
            db.execute("DELETE FROM rollup_1m_open WHERE series = ? AND start <> ?", (series.id, series.window.start))
        for (id_, start), (series, cause) in changes.stale.items():
            values = db.execute(_NUMBERS, (id_, start, start + ROLLUP_WIDTH))
            window = aggregate(start, (value for (value,) in values))
            put, remove = _CLOSED, _NO_CLOSED
            if start == series.window.start:
                series.window = window
                put, remove = _OPEN, _NO_OPEN
            if window.count:
                db.execute(put, _row(id_, window))
            else:
                db.execute(remove, (id_, start))
            written.recomputed[cause] += 1

    def _extend(self, db: sqlite3.Connection, changes: Changes, written: Written) -> None:
        """Write the windows that were only extended, and those that a newer one has followed."""
        still_open, closed = changes.settle()
        db.executemany(_CLOSED, [_row(id_, window) for id_, window in closed])
        db.executemany(_OPEN, [_row(id_, window) for id_, window in still_open])
        written.extended = len(still_open)

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_S, check_same_thread=False)
        try:
            _refuse_newer(self._path, db)
            _use_log(self._path, db)
            db.executescript(_SETUP)
            if _pragma(db, "user_version") != SCHEMA_VERSION:
                db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            self._file = self._identity()
            self._others = 0
        except BaseException:
            db.close()
            raise
        return db

    def _still_there(self) -> sqlite3.Connection:
        """Give the connection, if its file is still the one at the path: what a deleted file takes is lost."""
        if self._db is None or self._identity() != self._file:
            raise StoreUnavailableError(f"{self._path}: the file was removed or replaced while it was in use")
        return self._db

    def _identity(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_dev, status.st_ino

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Undo and forget everything on any error; raise StoreUnavailableError for those that are the store's."""
        try:
            yield
        except BaseException as error:
            self.close()
            if _is_the_stores(error):
                raise StoreUnavailableError(f"{self._path}: {error or type(error).__name__}") from error
            raise


def _is_the_stores(error: BaseException) -> bool:
    """Whether an error says something about the store, rather than about what is to be written."""
    about_data = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.NotSupportedError)
    return isinstance(error, (sqlite3.DatabaseError, OSError, MemoryError)) and not isinstance(error, about_data)


def check(path: Path) -> None:
    """Raise NewerSchemaError if there is a store at `path` that only a newer version of this program knows."""
    if not path.is_file():
        return
    with contextlib.suppress(sqlite3.Error):  # whatever else is wrong shows when the store is opened
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        with contextlib.closing(db):
            _refuse_newer(path, db)


def _refuse_newer(path: Path, db: sqlite3.Connection) -> None:
    version = _pragma(db, "user_version")
    if version > SCHEMA_VERSION:
        raise NewerSchemaError(f"{path} has schema version {version}; this program knows {SCHEMA_VERSION} at most")


def _use_log(path: Path, db: sqlite3.Connection) -> None:
    """Set write-ahead logging: readers in other processes never block the writer, nor it them."""
    if db.execute("PRAGMA journal_mode = wal").fetchone()[0] != "wal":
        raise StoreUnavailableError(f"{path}: its file system cannot hold a write-ahead log")


def _pragma(db: sqlite3.Connection, name: str) -> int:
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def _row(series: int, window: Window) -> _Row:
    return series, window.start, window.count, window.sum, window.min, window.max, window.first, window.last
