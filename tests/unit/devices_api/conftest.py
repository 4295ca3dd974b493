"""A registry and a time-series store of a test's own, in its directory."""

import sqlite3
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from contracts.readings import Value
from contracts.timeseries import ROLLUP_WIDTH, SCHEMA, SCHEMA_VERSION
from devices_api import database
from devices_api.repository import Repository


async def open_registry(file: Path) -> Repository:
    """Open the registry in `file`, made anew if there is none."""
    engine = database.connect(f"sqlite+aiosqlite:///{file}")
    await database.migrate(engine)
    return Repository(engine)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Repository]:
    repository = await open_registry(tmp_path / "registry" / "devices.sqlite3")
    yield repository
    await repository.close()


class StoreFile:
    """The time-series store as processor would leave it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, device: str, metric: str, points: Iterable[tuple[int, Value]]) -> None:
        """Write the points of one series, and its rollups, reckoned the slow way."""
        database = sqlite3.connect(self.path)
        database.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}"
        )
        with database:
            series = database.execute(
                "INSERT INTO series (device, metric) VALUES (?, ?) RETURNING id", (device, metric)
            ).fetchone()[0]
            rows = sorted(dict(points).items())
            database.executemany(
                "INSERT INTO point (series, ts, value, received) VALUES (?, ?, ?, 0)",
                [(series, ts, value) for ts, value in rows],
            )
            minutes: dict[int, list[float]] = {}
            for ts, value in rows:
                if isinstance(value, float):
                    minutes.setdefault(ts // ROLLUP_WIDTH * ROLLUP_WIDTH, []).append(value)
            database.executemany(
                "INSERT INTO rollup_1m_closed VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(series, at, len(v), sum(v), min(v), max(v), v[0], v[-1]) for at, v in minutes.items()],
            )
        database.close()


@pytest.fixture
def store(tmp_path: Path) -> StoreFile:
    """Give a store that is not there until something is written."""
    return StoreFile(tmp_path / "timeseries.sqlite3")
