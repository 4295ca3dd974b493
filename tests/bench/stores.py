"""The stores that the benchmark knows: how processor is told of each, and what is in it afterwards."""

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Look(Protocol):
    """Somebody else who reads the store while processor writes."""

    def newest(self) -> dict[str, int]:
        """Give the time of the newest reading of each device, or of those that have changed since the last look."""


@dataclass(frozen=True)
class Store:
    """A store for one run, in a directory of that run.

    `env` gives processor's variables. `points` counts the points that are stored, and `size` the bytes that they take
    on disk, after processor has ended. `look` reads while it runs.
    """

    env: Callable[[Path], dict[str, str]]
    points: Callable[[Path], int]
    size: Callable[[Path], int]
    look: Callable[[Path], Look]


def _sqlite(directory: Path) -> Path:
    return directory / "timeseries.sqlite3"


def _sqlite_points(directory: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{_sqlite(directory)}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM point").fetchone()[0])


class SqliteLook:
    """Reads the embedded store, if it is there."""

    def __init__(self, directory: Path) -> None:
        self._path, self._version = _sqlite(directory), 0
        self._db: sqlite3.Connection | None = None

    def newest(self) -> dict[str, int]:
        """Ask SQLite, after each commit."""
        try:
            if self._db is None:
                self._db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return {}
            query = "SELECT device, newest FROM series JOIN open ON series = id WHERE metric = 'metric-0'"
            found = dict(self._db.execute(query).fetchall())
        except sqlite3.OperationalError:  # it is being made
            return {}
        self._version = version
        return found


STORES = {
    "sqlite": Store(
        env=lambda directory: {"PROCESSOR_STORE": str(_sqlite(directory))},
        points=_sqlite_points,
        size=lambda directory: sum(path.stat().st_size for path in directory.glob("timeseries.sqlite3*")),
        look=SqliteLook,
    )
}
