"""The stores that the benchmark knows: how processor is told of each, and what is in it afterwards."""

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Store:
    """A store for one run, in a directory of that run.

    `env` gives processor's variables. `points` counts the points that are stored, and `size` the bytes that they take
    on disk, after processor has ended.
    """

    env: Callable[[Path], dict[str, str]]
    points: Callable[[Path], int]
    size: Callable[[Path], int]


def _sqlite(directory: Path) -> Path:
    return directory / "timeseries.sqlite3"


def _sqlite_points(directory: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{_sqlite(directory)}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM point").fetchone()[0])


STORES = {
    "sqlite": Store(
        env=lambda directory: {"PROCESSOR_STORE": str(_sqlite(directory))},
        points=_sqlite_points,
        size=lambda directory: sum(path.stat().st_size for path in directory.glob("timeseries.sqlite3*")),
    )
}
