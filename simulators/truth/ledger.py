"""Writes a ledger: the record of what was sent, which one process adds to while others read it.

A crash of the process loses at most the entries of the last 20 ms or so; what the file never does is claim an
acknowledgement that did not come. (Power cuts are another matter: nothing is fsynced.)
"""

import atexit
import fcntl
import threading
from collections import deque
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contracts.logs import Log
from simulators.models.model import Int64s
from simulators.plan.batch import Batch
from simulators.truth.entries import Event, Run, batch_frame, event_frame, moments_frame, run_frame
from simulators.truth.frames import MAGIC, Frames, Kind
from simulators.truth.keeping import LedgerError

BATCH_S = 0.02
MAX_QUEUED = 100_000
_CLOSE_S = 30.0
_TOGETHER = 256
"""Entries among which those of one kind share a frame."""


class _Moment(NamedTuple):
    kind: Kind
    numbers: Int64s
    at: int


class LedgerFile:
    """Adds one run to the file at `path`. Call it from one thread; a thread of its own does the writing.

    Raises LedgerError if the file cannot be opened, is no ledger, or is being written by somebody else.
    """

    def __init__(self, path: Path, run: Run, log: Log) -> None:
        self.path, self._log = path, log
        self._entries: deque[Batch | _Moment | Event] = deque()
        self._taken = self._written = 0
        self._closing = threading.Event()
        self._error: Exception | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _opened(path)
            _write_all(self._file, run_frame(run))
        except OSError as error:
            raise LedgerError(f"cannot use {path} as ledger: {error}") from error
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # also a program that forgets to close it loses nothing

    @property
    def queued(self) -> int:
        """How many messages wait to be entered."""
        return self._taken - self._written

    @property
    def room(self) -> bool:
        """Whether another batch may be recorded now; the rest is always taken, since each message had its batch.

        Also once it cannot be written: whoever waits for room is to hear of that by `batch`.
        """
        return self._error is not None or self._taken - self._written < MAX_QUEUED

    @property
    def failure(self) -> str:
        """Say why the file lacks entries, once it has been closed: what it lacks cannot be proved."""
        if self._error is not None:
            return f"cannot write {self.path}: {self._error}"
        late = self._closing.is_set() and self._thread.is_alive()
        return f"cannot write {self.path}: it took more than {_CLOSE_S:.0f} s to complete it" if late else ""

    def batch(self, batch: Batch) -> None:
        """Enter messages, before any of them is published; they must not change any more."""
        if self._error is not None:
            raise LedgerError(self.failure) from self._error
        self._taken += len(batch)
        self._entries.append(batch)

    def sent(self, numbers: Sequence[int], at: int) -> None:
        """Enter that messages were handed to the operating system at `at` (ns since 1970)."""
        if self._error is None:
            self._entries.append(_Moment(Kind.SENT, np.array(numbers, dtype=np.int64), at))

    def acked(self, numbers: Sequence[int], at: int) -> None:
        """Enter the broker's acknowledgements."""
        if self._error is None:
            self._entries.append(_Moment(Kind.ACKED, np.array(numbers, dtype=np.int64), at))

    def event(self, kind: str, about: str, at: int) -> None:
        """Enter something that happened."""
        if self._error is None:
            self._entries.append(Event(at, kind, about))

    def close(self) -> None:
        """Write what is queued and release the file. A second time does nothing."""
        self._closing.set()
        self._thread.join(_CLOSE_S)
        atexit.unregister(self.close)

    def _write(self) -> None:
        try:
            with self._file:
                while not self._closing.wait(BATCH_S):
                    self._write_queued()
                self._write_queued()
        except Exception as error:  # noqa: BLE001 - the next `batch` raises it where it is handled
            self._error = error
            self._entries.clear()
            self._log.error("ledger.write_failed", path=str(self.path), error=repr(error))

    def _write_queued(self) -> None:
        while self._entries:
            self._write_some(min(len(self._entries), _TOGETHER))

    def _write_some(self, count: int) -> None:
        moments: dict[Kind, list[tuple[Int64s, int]]] = {Kind.SENT: [], Kind.ACKED: []}
        for _ in range(count):
            entry = self._entries.popleft()
            if isinstance(entry, Batch):
                _write_all(self._file, batch_frame(entry))
                self._written += len(entry)
            elif isinstance(entry, _Moment):
                moments[entry.kind].append((entry.numbers, entry.at))
            else:
                _write_all(self._file, event_frame(entry))
        # After every batch that came before them, and some that came after; what was sent before what was acknowledged.
        for kind, entries in moments.items():
            if entries:
                _write_all(self._file, moments_frame(kind, entries))


def _write_all(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def clear(path: Path) -> None:
    """Forget what the ledger at `path` holds, if there is one. Raises LedgerError while somebody writes it."""
    if path.exists():
        with _locked(path) as file:
            file.truncate(0)


def _opened(path: Path) -> FileIO:
    """Open a file to add to it, at the end of its last whole frame."""
    file = _locked(path)
    try:
        if path.stat().st_size == 0:
            file.write(MAGIC)
        else:
            frames = Frames(path)
            for _ in frames:
                pass
            file.truncate(frames.end)
    except BaseException:
        file.close()
        raise
    return file


def _locked(path: Path) -> FileIO:
    file = FileIO(path, "ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise LedgerError(f"cannot use {path} as ledger: another process is writing it") from error
    return file
