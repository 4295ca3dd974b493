"""The stores that the benchmarks know: how processor is told of each, and what is in it afterwards."""

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from contracts.devices import DEFAULT_PROFILE
from contracts.influxql import identifier
from contracts.line_layout import TAG, measurement_of
from contracts.timeseries import Tier
from contracts.victoria_layout import TICK, device_of, name_of
from processor.influx_client import InfluxClient
from processor.victoria_client import Access, VictoriaClient
from tests.bench.telemetry import METRIC
from tests.stores.influx_server import BUCKET, TOKEN, influxdb_engine, influxdb_process
from tests.stores.victoria_server import now, url_of, victoria_server_at

ORG = "bench"
TIMEOUT_S = 60.0
COLD_S, PACKED_S = 1, 30.0
"""InfluxDB packs what it has after so many seconds without a write, which is waited for so long."""
MEASUREMENT = identifier(measurement_of(DEFAULT_PROFILE, Tier.RAW))
FIRST = METRIC + "0"

_DAY_MS = 86_400_000


class Look(Protocol):
    """Somebody else who reads the store while processor writes."""

    def newest(self) -> dict[str, int]:
        """Give the time of the newest reading of each device, or of those that have changed since the last look."""


class Running(Protocol):
    """A store that is there for one run: `env` gives processor's variables."""

    env: dict[str, str]

    def points(self) -> int:
        """Count the distinct points that are stored."""

    def size(self) -> int:
        """Give the bytes that they and their windows take on disk, after processor has ended."""

    def look(self) -> Look:
        """Read it while processor runs."""


@dataclass(frozen=True)
class Store:
    """A store: `run` has one, empty, in a directory until the end of the block.

    `program` is the server that it needs, or empty. `points` is how many a run of the benchmark writes unless told.
    """

    run: Callable[[Path], AbstractContextManager[Running]]
    points: int
    program: str = ""

    @property
    def installed(self) -> bool:
        """Whether it can be run."""
        return not self.program or shutil.which(self.program) is not None


class Sqlite:
    """The embedded store."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "timeseries.sqlite3"
        self.env = {"PROCESSOR_STORE": str(self._path)}

    def points(self) -> int:
        """Count rows."""
        with contextlib.closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM point").fetchone()[0])

    def size(self) -> int:
        """Add up its files."""
        return sum(path.stat().st_size for path in self._path.parent.glob(f"{self._path.name}*"))

    def look(self) -> Look:
        """Read the file."""
        return SqliteLook(self._path)


class SqliteLook:
    """Reads the embedded store, if it is there."""

    def __init__(self, path: Path) -> None:
        self._path, self._version = path, 0
        self._db: sqlite3.Connection | None = None

    def newest(self) -> dict[str, int]:
        """Ask SQLite, after each commit."""
        try:
            if self._db is None:
                self._db = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
            (version,) = self._db.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return {}
            query = "SELECT device, newest FROM series JOIN open ON series = id WHERE metric = ?"
            found = dict(self._db.execute(query, (FIRST,)).fetchall())
        except sqlite3.OperationalError:  # it is being made
            return {}
        self._version = version
        return found


class Influx:
    """InfluxDB, in a directory of its own."""

    def __init__(self, directory: Path, url: str) -> None:
        self._directory = directory
        self.access = (url, TOKEN, ORG, BUCKET, TIMEOUT_S)
        self._client = InfluxClient(*self.access)
        self.env = {"PROCESSOR_STORE": f"influxdb+{url}/{BUCKET}?org={ORG}", "PROCESSOR_STORE_TOKEN": TOKEN}

    def points(self) -> int:
        """Have it count each field; a point is there once, however often it was written."""
        found = self._client.query(f"SELECT count(*) FROM {MEASUREMENT}")  # noqa: S608 - quoted
        return sum(int(count or 0) for result in found for table in result.series for count in table.values[0][1:])

    def size(self) -> int:
        """Add up its files when it has packed them."""
        deadline = time.monotonic() + PACKED_S
        while size_of(self._directory / "wal") and time.monotonic() < deadline:
            time.sleep(COLD_S / 4)
        return size_of(self._directory / "data") + size_of(self._directory / "wal")

    def look(self) -> Look:
        """Read as anybody else would."""
        return self

    def newest(self) -> dict[str, int]:
        """Ask for the newest points."""
        query = f"SELECT last({identifier(FIRST)}) FROM {MEASUREMENT} GROUP BY {TAG}"  # noqa: S608 - quoted
        found = self._client.query(query)
        return {table.tags[TAG]: int(table.values[0][0] or 0) for result in found for table in result.series}


class Victoria:
    """VictoriaMetrics, in a directory of its own."""

    def __init__(self, directory: Path, url: str) -> None:
        self._directory, self._url = directory, url
        self._client = self.client()
        self.env = {"PROCESSOR_STORE": f"victoria+{url}"}

    def client(self) -> VictoriaClient:
        """Give a connection of one's own."""
        return VictoriaClient(self._url, Access(), TIMEOUT_S)

    def points(self) -> int:
        """Read all, since it keeps what is written twice: it would count it twice."""
        selector = f'{{__name__=~"{name_of(DEFAULT_PROFILE, METRIC, float)}[0-9]+"}}'
        series = self._client.export([selector], 0, now() // TICK + _DAY_MS)
        return sum(len({at for at, _ in samples}) for _, samples in series)

    def size(self) -> int:
        """Add up its files, with its index: the last commit has written all of them."""
        return size_of(self._directory)

    def look(self) -> Look:
        """Read as anybody else would."""
        return self

    def newest(self) -> dict[str, int]:
        """Ask for the newest points. Their times are in ms, so these are the ends of theirs."""
        name = name_of(DEFAULT_PROFILE, FIRST, float)
        found = self._client.query(f'tlast_over_time({{__name__="{name}"}}[1h])', now() // TICK)
        return {device_of(labels): round(at * 1000) * TICK + TICK - 1 for labels, at in found}


def size_of(directory: Path) -> int:
    """Add up what the files in a directory take on disk, not what is reserved and empty.

    A file that goes meanwhile counts nothing.
    """
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                total += path.stat().st_blocks * 512
    return total


@contextlib.contextmanager
def _influx(directory: Path) -> Iterator[Influx]:
    at = directory / "influx"
    at.mkdir()
    with influxdb_engine(at, f"{COLD_S}s") as engine, influxdb_process(engine) as url:
        yield Influx(at, url)


@contextlib.contextmanager
def _victoria(directory: Path) -> Iterator[Victoria]:
    with victoria_server_at(directory) as server:
        yield Victoria(directory / "victoria", url_of(server))


STORES = {
    "sqlite": Store(lambda directory: contextlib.nullcontext(Sqlite(directory)), 2_000_000),
    "influxdb": Store(_influx, 100_000, "influxd"),
    "victoria": Store(_victoria, 100_000, "victoria-metrics"),
}
