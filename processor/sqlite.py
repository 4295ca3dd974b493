"""The embedded store, one SQLite file: points and their windows are written in one transaction."""

import contextlib
import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from contracts.deletions import Deletion
from contracts.readings import Value
from contracts.sqlite_layout import (
    AGGREGATES,
    DROPPED,
    FROM_EARLIER,
    OPEN_COLUMNS,
    SCHEMA,
    SCHEMA_VERSION,
    SPANS,
    partition_name,
    partition_schema,
    to_kind,
    views,
)
from contracts.timeseries import DAY, KIND_NAMES, KINDS, MINUTE, ROLLUPS, WIDTHS, Kind, Tier, days_of
from processor.series import NEVER, Series
from processor.store import NewerSchemaError, Refusal, Span, StoreUnavailableError, Taken
from processor.windows import Window

_BUSY_S = 1.0
"""How long SQLite itself waits for another writer; after that the store counts as unavailable."""

# Every commit is on disk before the stream is told: in WAL mode that takes synchronous=FULL. A checkpoint each 16 MB
# rather than 4 writes the pages that many commits change less often. Pages of 8 kB instead of 4, which only a new file
# can get: there are half as many to split, and to write again with each commit.
_PAGE_BYTES = 8192
_SETUP = f"""
PRAGMA synchronous = FULL;
PRAGMA cache_size = -65536;
PRAGMA wal_autocheckpoint = {(16 << 20) // _PAGE_BYTES};
PRAGMA journal_size_limit = 67108864;
"""
_AROUND = 2 * DAY
"""So long after what was dropped, the hour or day of a point may be made of what was."""
_SERIES = f"""
SELECT id, newest, zone, {", ".join(OPEN_COLUMNS)} FROM series LEFT JOIN open ON series = id
WHERE device = ? AND metric = ? AND kind = ? AND profile = ?
"""
_OPEN = f"""
INSERT OR REPLACE INTO open (series, newest, zone, {", ".join(OPEN_COLUMNS)})
VALUES ({", ".join("?" * (3 + len(OPEN_COLUMNS)))})
"""
# No flags are bound as '': Python's sqlite3 looks for an adapter of each None, which costs more than the rest of it.
_POINT = """
INSERT INTO {} (minute, series, ts, value, received, flags) VALUES (?, ?, ?, ?, ?, nullif(?, ''))
ON CONFLICT DO UPDATE SET value = excluded.value, received = excluded.received, flags = excluded.flags
"""
_CLOSED = f"INSERT OR REPLACE INTO {{}} (series, {', '.join(AGGREGATES)}) VALUES ({', '.join('?' * 9)})"
_DROP = "INSERT INTO dropped VALUES (?, ?) ON CONFLICT DO UPDATE SET before = max(before, excluded.before)"
_SERIES_OF = "SELECT profile, metric, kind FROM series WHERE device = ?"
# The minutes, or starts, that any series has something at: found by one seek each, however long the range is.
_THERE = """
WITH RECURSIVE there (at) AS (
    SELECT min({key}) FROM {name} WHERE {key} >= :first
    UNION ALL SELECT (SELECT min({key}) FROM {name} WHERE {key} > at) FROM there WHERE at < :last
)
"""
_REMOVE_POINTS = f"""{_THERE}
DELETE FROM {{name}} WHERE minute IN (SELECT at FROM there) AND series = :series AND ts >= :start AND ts < :end
"""
_REMOVE_WINDOWS = f"""{_THERE}
DELETE FROM {{name}} WHERE start IN (SELECT at FROM there) AND series = :series AND start < :last
"""
_DAYS = f"""{_THERE}
SELECT {", ".join(AGGREGATES)} FROM there CROSS JOIN {{name}} ON start = at AND series = :series WHERE start < :last
"""
_METRICS = "SELECT metric, kind FROM series WHERE device = ? AND profile = ?"
_POINTS = """
WITH RECURSIVE wanted (at) AS (VALUES (?) UNION ALL SELECT at + 1 FROM wanted WHERE at + 1 < ?)
SELECT ts, value FROM wanted CROSS JOIN {} ON minute = at AND series = ? WHERE ts >= ? AND ts < ? ORDER BY ts
"""
_WINDOWS = f"""
WITH RECURSIVE wanted (at) AS (VALUES (?) UNION ALL SELECT at + ? FROM wanted WHERE at + ? < ?)
SELECT {", ".join(AGGREGATES)} FROM wanted CROSS JOIN {{}} ON start = at AND series = ?
"""
_NEWEST = "SELECT ts FROM {} WHERE series = ? ORDER BY minute DESC, ts DESC LIMIT 1"


class SqliteStore:
    """The store in one file, for processor.store.Store. `token` tells this process from others that write to it."""

    def __init__(self, path: Path, token: int) -> None:
        self._path, self._token = path, token
        self._db: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._written = False  # a write was begun on this connection
        self._profiles: dict[str, int] = {}
        self._partitions: dict[tuple[Tier, int, int], str] = {}
        self._dropped: dict[int, int] = {}  # by profile

    def open(self) -> None:
        """Open the file, or make it. Raises NewerSchemaError if its schema is newer than ours."""
        if self._db is None:
            with self._failing():
                self._db = self._connect()

    def close(self) -> None:
        """Close the file."""
        self._written = False
        self._profiles.clear()
        self._partitions.clear()
        if self._db is not None:
            db, self._db = self._db, None
            db.close()

    def abort(self) -> None:
        """Undo: the connection is closed, and the next write begins with another one."""
        self.close()

    def begin(self, epochs: Mapping[int, int]) -> bool:
        """Begin; False if another process has written to one of these partitions, or the file may be another one."""
        self.open()
        with self._failing():
            db = self._still_there()
            db.execute("BEGIN IMMEDIATE")
            last = dict(db.execute("SELECT partition, token FROM writer"))
            others = [partition for partition in epochs if last.get(partition) != self._token]
            if others:
                rows = [(partition, self._token) for partition in others]
                db.executemany("INSERT OR REPLACE INTO writer (partition, token) VALUES (?, ?)", rows)
                self._read_catalog(db)
            known, self._written = self._written, True
            return known and not others

    def learn(self, series: Series) -> None:
        """Find the series, or make it. What is committed of it is true: points and windows were written together."""
        with self._failing():
            db = self._opened
            name = (series.device, series.metric, KIND_NAMES[series.kind], series.profile)
            series.place = self._profile(db, series.profile)
            row = db.execute(_SERIES, name).fetchone()
            if row is None:
                made = db.execute("INSERT INTO series (device, metric, kind, profile) VALUES (?, ?, ?, ?)", name)
                series.id = made.lastrowid or 0
                return
            series.id, newest, zone = row[:3]
            if newest is not None:
                minute, hour, day = (_window(row[at : at + 8], series.kind) for at in (3, 11, 19))
                series.days = days_of(zone)
                series.learn(newest, minute, hour, day, series.days.of(newest)[1])

    def find(self, profile: str, device: str, metrics: Collection[str]) -> Collection[tuple[str, Kind]]:
        """Return which series of these metrics there are."""
        with self._failing():
            found = self._opened.execute(_METRICS, (device, profile)).fetchall()
        return [(metric, KINDS[kind]) for metric, kind in found if metric in metrics]

    def put(self, taken: Sequence[Taken]) -> list[Refusal]:
        """Write points; refused are those around which points have been dropped."""
        refusals: list[Refusal] = []
        tables: dict[tuple[int, int], list[tuple[int, int, int, Value, int, str]]] = {}
        for at, (reading, series) in enumerate(taken):
            ts, received = reading.ts, reading.received
            if self._dropped and ts < self._dropped.get(series[0].place, 0):
                refusals.append(Refusal(at, "points of that time have been dropped: its windows would lose them"))
                continue
            flags = msgspec.json.encode(reading.flags).decode() if reading.flags else ""
            minute = ts // MINUTE
            rows = tables.setdefault((series[0].place, ts // DAY), [])
            rows += [
                (minute, one.id, ts, value, received, flags)
                for one, value in zip(series, reading.values.values(), strict=True)
            ]
        with self._failing():
            for (profile, day), rows in tables.items():
                self._opened.executemany(_POINT.format(self._partition(Tier.RAW, profile, day * DAY)), rows)
        return refusals

    def points(self, spans: Sequence[Span]) -> list[list[tuple[int, Value]]]:
        """Return the points of each span."""
        with self._failing():
            return [self._points_of(span) for span in spans]

    def windows(self, tier: Tier, spans: Sequence[Span]) -> list[list[Window]]:
        """Return the closed windows of each span."""
        with self._failing():
            return [self._windows_of(tier, span) for span in spans]

    def newest(self, series: Sequence[Series]) -> list[int]:
        """Return the times of the newest points."""
        with self._failing():
            return [self._newest_of(one) for one in series]

    def put_windows(
        self,
        tier: Tier,
        windows: Sequence[tuple[Series, Window]],
        *,
        anew: bool,  # noqa: ARG002 - what was written before is replaced
    ) -> None:
        """Write closed windows."""
        tables: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
        span = SPANS[tier]
        for series, window in windows:
            rows = tables.setdefault((series.place, window.start // span), [])
            rows.append((series.id, *_row(window, series.kind)))
        with self._failing():
            for (profile, number), rows in tables.items():
                self._opened.executemany(_CLOSED.format(self._partition(tier, profile, number * span)), rows)

    def put_open(self, series: Sequence[Series]) -> None:
        """Write open windows."""
        rows = [_open_row(one) for one in series]
        with self._failing():
            self._opened.executemany(_OPEN, rows)

    def refuses(self, deletion: Deletion) -> str | None:  # noqa: ARG002 - as Store has it
        """Refuse nothing."""
        return None

    def series_of(self, device: str, metrics: Collection[str]) -> Collection[tuple[str, str, Kind]]:
        """Return all series of a device."""
        with self._failing():
            found = self._opened.execute(_SERIES_OF, (device,)).fetchall()
        return [(profile, metric, KINDS[kind]) for profile, metric, kind in found if not metrics or metric in metrics]

    def remove(self, tier: Tier, spans: Sequence[Span]) -> int:
        """Remove points or closed windows."""
        width = SPANS[tier]
        with self._failing():
            before = self._opened.total_changes
            for series, start, end in spans:
                for (of, place, begin), name in self._partitions.items():
                    if of is tier and place == series.place and start < begin + width and begin < end:
                        bounds = max(start, begin), min(end, begin + width)
                        self._opened.execute(*_removal(tier, name, series, *bounds))
            return self._opened.total_changes - before

    def reopen(self, series: Sequence[Series]) -> None:
        """Move windows from the closed ones to the open ones."""
        for tier in ROLLUPS:
            starts = [(one, one.open(tier).start) for one in series if one.newest != NEVER]
            self.remove(tier, [Span(one, start, start + 1) for one, start in starts])
        with self._failing():
            self._opened.executemany("DELETE FROM open WHERE series = ?", [(one.id,) for one in series])
        self.put_open([one for one in series if one.newest != NEVER])

    def commit(self) -> None:
        """Commit."""
        with self._failing():
            self._opened.execute("COMMIT")

    def drop(self, profile: str, tier: Tier, before: int) -> int:
        """Drop the partitions that ended before `before`."""
        self.open()
        with self._failing():
            db = self._still_there()
            db.execute("BEGIN IMMEDIATE")
            self._read_catalog(db)
            old = [
                (key, name)
                for key, name in self._partitions.items()
                if key[:2] == (tier, self._profiles.get(profile)) and key[2] + SPANS[tier] <= before
            ]
            for key, name in old:
                db.execute(f"DROP TABLE {name}")
                db.execute("DELETE FROM partition WHERE name = ?", (name,))
                if tier is Tier.RAW:
                    db.execute(_DROP, (key[1], key[2] + DAY))
            if old:
                self._read_catalog(db)
                self._make_view(db, tier)
            db.execute("COMMIT")
        return len(old)

    @property
    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreUnavailableError(f"{self._path}: is not open")
        return self._db

    def _points_of(self, span: Span) -> list[tuple[int, Value]]:
        series, start, end = span
        found: list[tuple[int, Value]] = []
        for day in range(start // DAY, -(-end // DAY)):
            name = self._partitions.get((Tier.RAW, series.place, day * DAY))
            if name is not None:
                first, last = max(start, day * DAY) // MINUTE, -(-min(end, (day + 1) * DAY) // MINUTE)
                found += self._opened.execute(_POINTS.format(name), (first, last, series.id, start, end))
        return [(ts, to_kind(series.kind, value)) for ts, value in found]

    def _windows_of(self, tier: Tier, span: Span) -> list[Window]:
        series, start, end = span
        most = SPANS[tier]
        found: list[Window] = []
        while start < end:
            number = start // most
            until = min(end, (number + 1) * most)
            name = self._partitions.get((tier, series.place, number * most))
            if name is not None:
                rows = self._opened.execute(*_selection(tier, name, series, start, until))
                found += [_window(row, series.kind) for row in rows]
            start = until
        return found

    def _newest_of(self, series: Series) -> int:
        names = sorted((key, name) for key, name in self._partitions.items() if key[:2] == (Tier.RAW, series.place))
        for _, name in reversed(names):
            row = self._opened.execute(_NEWEST.format(name), (series.id,)).fetchone()
            if row is not None:
                return int(row[0])
        return NEVER

    def _profile(self, db: sqlite3.Connection, name: str) -> int:
        id_ = self._profiles.get(name)
        if id_ is None:
            db.execute("INSERT OR IGNORE INTO profile (name) VALUES (?)", (name,))
            (id_,) = db.execute("SELECT id FROM profile WHERE name = ?", (name,)).fetchone()
            self._profiles[name] = id_
        return id_

    def _partition(self, tier: Tier, profile: int, start: int) -> str:
        """Give the name of a partition, and make it if there is none."""
        key = (tier, profile, start)
        name = self._partitions.get(key)
        if name is None:
            name = partition_name(*key)
            self._opened.execute(partition_schema(tier, name))
            self._opened.execute("INSERT OR IGNORE INTO partition VALUES (?, ?, ?, ?)", (*key, name))
            self._partitions[key] = name
            self._make_view(self._opened, tier)
        return name

    def _make_view(self, db: sqlite3.Connection, tier: Tier) -> None:
        names = db.execute("SELECT name FROM partition WHERE tier = ? ORDER BY start DESC", (tier,)).fetchall()
        for statement in views(tier, [name for (name,) in names]):
            db.execute(statement)

    def _read_catalog(self, db: sqlite3.Connection) -> None:
        self._profiles = dict(db.execute("SELECT name, id FROM profile"))
        self._dropped = {profile: at + _AROUND for profile, at in db.execute("SELECT profile, before FROM dropped")}
        rows = db.execute("SELECT tier, profile, start, name FROM partition")
        self._partitions = {(Tier(tier), profile, start): name for tier, profile, start, name in rows}

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_S, check_same_thread=False)
        try:
            _refuse_newer(self._path, db)
            db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            _use_log(self._path, db)
            db.executescript(_SETUP)
            version = _pragma(db, "user_version")
            if version != SCHEMA_VERSION:
                earlier = FROM_EARLIER if version else ""
                db.executescript(f"BEGIN IMMEDIATE; {earlier} {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION};")
                for tier in Tier:
                    self._make_view(db, tier)
                db.execute("COMMIT")
            db.execute(DROPPED)
            self._read_catalog(db)
            self._file = self._identity()
        except BaseException:
            db.close()
            raise
        return db

    def _still_there(self) -> sqlite3.Connection:
        """Give the connection, if its file is still the one at the path: what a deleted file takes is lost."""
        if self._identity() != self._file:
            raise StoreUnavailableError(f"{self._path}: the file was removed or replaced while it was in use")
        return self._opened

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


def check(path: Path) -> None:
    """Raise NewerSchemaError if there is a store at `path` that only a newer version of this program knows."""
    if not path.is_file():
        return
    with contextlib.suppress(sqlite3.Error):  # whatever else is wrong shows when the store is opened
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        with contextlib.closing(db):
            _refuse_newer(path, db)


def _row(window: Window, kind: Kind) -> tuple[Any, ...]:
    """Give the columns of a window; what is too large for a float is NULL, and so is what a kind does not have."""
    if kind is not float:
        return window.start, window.count, None, None, None, None, None, window.last
    return window.start, window.count, *window.sums(), window.min, window.max, window.first, window.last


def _selection(
    tier: Tier, name: str, series: Series, start: int, end: int
) -> tuple[str, dict[str, int] | tuple[int, ...]]:
    """Give the statement that reads the windows that begin in a span, and its parameters."""
    if tier is Tier.D1:  # days begin at any minute
        return _DAYS.format(key="start", name=name), {"first": start, "last": end, "series": series.id}
    width = WIDTHS[tier]
    return _WINDOWS.format(name), (start, width, width, end, series.id)


def _removal(tier: Tier, name: str, series: Series, start: int, end: int) -> tuple[str, dict[str, int]]:
    """Give the statement that removes what of a partition is in a span, and its parameters."""
    about = {"series": series.id, "start": start, "end": end}
    if tier is Tier.RAW:
        times = {"first": start // MINUTE, "last": -(-end // MINUTE)}
        return _REMOVE_POINTS.format(key="minute", name=name), about | times
    return _REMOVE_WINDOWS.format(key="start", name=name), about | {"first": start, "last": end}


def _open_row(series: Series) -> tuple[Any, ...]:
    minute, hour, day = series.minute, series.hour, series.day
    about = series.id, series.newest, series.days.zone
    if series.kind is float and math.isfinite(minute.sum + minute.m2 + hour.sum + hour.m2 + day.sum + day.m2):
        # What `_row` would give, without three calls a series: each commit writes all the series that it has touched.
        return (
            *about,
            minute.start, minute.count, minute.sum, minute.m2, minute.min, minute.max, minute.first, minute.last,
            hour.start, hour.count, hour.sum, hour.m2, hour.min, hour.max, hour.first, hour.last,
            day.start, day.count, day.sum, day.m2, day.min, day.max, day.first, day.last,
        )  # fmt: skip
    return *about, *_row(minute, series.kind), *_row(hour, series.kind), *_row(day, series.kind)


def _window(row: Sequence[Any], kind: Kind) -> Window:
    window = Window(row[0])
    window.count = row[1]
    window.last = to_kind(kind, row[7])
    if kind is float:
        window.sum = math.inf if row[2] is None else row[2]
        window.m2 = math.inf if row[3] is None else row[3]
        window.min, window.max, window.first = row[4:7]
    return window


def _is_the_stores(error: BaseException) -> bool:
    """Whether an error says something about the store, rather than about what is to be written."""
    about_data = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.NotSupportedError)
    return isinstance(error, (sqlite3.DatabaseError, OSError, MemoryError)) and not isinstance(error, about_data)


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
