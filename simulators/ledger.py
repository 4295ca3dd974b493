"""The record of what was sent: a SQLite file that one process writes while others read it.

An entry is queued before its message is published, and reaches the file within `BATCH_S` or so. Entries reach it in
order. A crash of the process loses at most the entries of that time; what it never does is claim an acknowledgement
that did not come. (Power cuts are another matter: commits are not fsynced.)
"""

import atexit
import contextlib
import sqlite3
import threading
from collections import deque
from pathlib import Path

import msgspec

from contracts.logs import Log

BATCH_S = 0.02
MAX_QUEUED = 100_000
_CLOSE_S = 30.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (
    id      INTEGER PRIMARY KEY,
    began   INTEGER NOT NULL,
    about   TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS message (
    id        INTEGER PRIMARY KEY,
    run       INTEGER NOT NULL,
    device    TEXT NOT NULL,
    ts        INTEGER NOT NULL,
    "values"  TEXT,
    fault     TEXT NOT NULL,
    payload   BLOB,
    published INTEGER NOT NULL,
    acked     INTEGER
);
CREATE INDEX IF NOT EXISTS by_device ON message (run, device, ts);
"""
_INSERT = (
    'INSERT INTO message (id, run, device, ts, "values", fault, payload, published) VALUES (?, ?, ?, ?, ?, ?, ?, ?)'
)
_ACK = "UPDATE message SET acked = ? WHERE id = ?"

_Row = tuple[int, int, str, int, str | None, str, bytes | None, int]
_Ack = tuple[int, int]


class LedgerError(Exception):
    """The ledger cannot be written or read: nothing that is sent now could be proved."""


class About(msgspec.Struct, frozen=True):
    """What a run was told to do, for whoever reads its ledger."""

    seed: int
    devices: int
    first: int
    rate: float
    seconds: float
    malformed: float


class Ledger:
    """Writes one run. Call it from one thread; a thread of its own does the writing.

    Raises LedgerError if the file cannot be opened or is no ledger.
    """

    def __init__(self, path: Path, about: About, began: int, log: Log) -> None:
        self.path, self._log = path, log
        self._rows: deque[_Row] = deque()
        self._acks: deque[_Ack] = deque()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._error: Exception | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(_open_to_write(path)) as database:
                database.executescript(_SCHEMA)
                insert = "INSERT INTO run (began, about) VALUES (?, ?)"
                self.run = database.execute(insert, (began, msgspec.json.encode(about).decode())).lastrowid or 0
                self._next: int = 1 + database.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()[0]
                database.commit()
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"cannot use {path} as ledger: {error}") from error
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # also a program that forgets to close it loses nothing

    @property
    def queued(self) -> int:
        """How many entries wait to be written."""
        return len(self._rows) + len(self._acks)

    @property
    def room(self) -> bool:
        """Whether a message may be recorded now; acknowledgements are always taken, since each had its message."""
        return len(self._rows) < MAX_QUEUED

    def record(
        self, device: str, ts: int, values: bytes | None, published: int, fault: tuple[str, bytes] | None
    ) -> int:
        """Enter a message that is about to be published at `published` (ns); returns its number.

        A good message has its `values` as JSON; a malformed one its kind and payload. Raises LedgerError if the
        file could not be written.
        """
        if self._error is not None:
            raise LedgerError(f"cannot write {self.path}: {self._error}") from self._error
        kind, body = fault or ("", None)
        number, self._next = self._next, self._next + 1
        text = values.decode() if values is not None else None
        self._rows.append((number, self.run, device, ts, text, kind, body, published))
        self._wanted.set()
        return number

    def acked(self, number: int, at: int) -> None:
        """Enter that the broker acknowledged message `number` at `at` (ns)."""
        self._acks.append((at, number))
        self._wanted.set()

    def close(self) -> None:
        """Write what is queued and release the file. A second time does nothing."""
        self._closing.set()
        self._wanted.set()
        self._thread.join(_CLOSE_S)
        atexit.unregister(self.close)

    def _write(self) -> None:
        try:
            with contextlib.closing(_open_to_write(self.path)) as database:
                while not self._closing.is_set():
                    self._wanted.wait()
                    self._closing.wait(BATCH_S)  # let a batch gather
                    self._wanted.clear()
                    self._commit(database)
                self._commit(database)
        except Exception as error:  # noqa: BLE001 - the next `record` raises it where it is handled
            self._error = error
            self._log.error("ledger.write_failed", path=str(self.path), error=repr(error))

    def _commit(self, database: sqlite3.Connection) -> None:
        # Acks first: every message that has one by now is among the rows taken after it.
        acks = [self._acks.popleft() for _ in range(len(self._acks))]
        rows = [self._rows.popleft() for _ in range(len(self._rows))]
        if rows or acks:
            with database:
                database.executemany(_INSERT, rows)
                database.executemany(_ACK, acks)


def _open_to_write(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=10.0)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    return database
