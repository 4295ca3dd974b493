"""A ledger of any size, sorted by device in little memory: points go into files, of which one is read at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.models.model import Int64s
from simulators.plan.batch import ARRIVAL, Expect
from simulators.truth.dense import Dense
from simulators.truth.entries import Run
from simulators.truth.frames import Frames, Kind
from simulators.truth.histogram import Histogram
from simulators.truth.points import ACKED, ARRIVES, BARE, ENTERED, EXPECTED, MAY, MUST, MUST_NOT, POINT, Rows, key_of
from simulators.truth.reading import Acked, Entered, Points, Sent, opened
from simulators.truth.values import NOTHING, Bits, Coder, Kinds

_POINTS_A_FILE = 1_000_000
_MOST_FILES = 256
_BUFFERED = 500_000


@dataclass
class Window:
    """From a run's first entry to its last (ns); `base` is what its numbers are counted from."""

    base: int
    start: int
    end: int

    def widen(self, ats: Int64s) -> None:
        """Take in moments."""
        if len(ats):
            self.start, self.end = min(self.start, int(ats.min())), max(self.end, int(ats.max()))


@dataclass
class Summary:
    """What a ledger says by itself."""

    messages: int = 0
    points: int = 0
    acked: int = 0
    runs: list[Run] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    from_due: Histogram = field(default_factory=Histogram)
    """From when messages were due until they were acknowledged."""
    from_sent: Histogram = field(default_factory=Histogram)
    """From when they were sent until then."""


class Sorted:
    """The ledger at `path`, in files of `directory`, which takes up to 50 bytes a point. Raises LedgerError.

    `devices` are the ids under which points are stored, `faults` what was wrong with messages on purpose.
    """

    def __init__(self, path: Path, directory: Path, coder: Coder) -> None:
        self._path, self._directory, self._coder = path, directory, coder
        self.summary = Summary()
        self.devices: list[str] = []
        self.metrics: list[str] = []
        self.faults: list[str] = [""]
        self.messages = Dense(directory / "messages", np.uint8)
        self.keys = Dense(directory / "keys", np.uint64)
        self.fault_of = Dense(directory / "faults", np.uint8)
        self._acked = Dense(directory / "acked", np.int64)
        self._sent = Dense(directory / "sent", np.int64)
        self._metric_of: dict[str, int] = {}
        self._fault_number: dict[str, int] = {"": 0}
        self._buffer: list[Rows] = []
        self._buffered = 0
        try:
            frames = Frames(path)
            self._moments(frames)
            self.files = min(_MOST_FILES, 1 + self.summary.points // _POINTS_A_FILE)
            self._points(frames)
            self._flush()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the files."""
        for dense in (self.messages, self.keys, self.fault_of, self._acked, self._sent):
            dense.close()

    def bucket(self, number: int) -> Rows:
        """Give the points of the devices of one file, by device, metric and time."""
        path = self._directory / f"points-{number}"
        rows = np.fromfile(path, dtype=POINT) if path.exists() else np.empty(0, dtype=POINT)
        return rows[np.lexsort((rows["ts"], rows["metric"], rows["device"]))]

    def _moments(self, frames: Frames) -> None:
        """Note when each message was sent and acknowledged, which the file tells only after the message."""
        base = 0
        for frame in frames:
            if frame.kind == Kind.BATCH:
                self.summary.points += frame.rows
                self.summary.messages = max(self.summary.messages, base + frame.until)
                continue
            entry = opened(self._path, frame)
            if isinstance(entry, Run):
                base = self.summary.messages
                self.summary.runs.append(entry)
                self.summary.windows.append(Window(base, entry.began or 1 << 62, entry.began))
            elif isinstance(entry, Sent):
                of = self._acked if isinstance(entry, Acked) else self._sent
                of.put(entry.numbers + base, entry.ats)
                self.summary.windows[-1].widen(entry.ats)

    def _points(self, frames: Frames) -> None:
        stored: dict[str, int] = {}
        members = np.empty(0, dtype=np.uint32)
        windows = iter(self.summary.windows)
        window = Window(0, 0, 0)
        for frame in frames:
            if frame.kind not in {Kind.RUN, Kind.BATCH}:
                continue
            entry = opened(self._path, frame)
            if isinstance(entry, Run):
                window = next(windows)
                members = np.zeros(max((member.number for member in entry.devices), default=-1) + 1, dtype=np.uint32)
                for member in entry.devices:
                    members[member.number] = stored.setdefault(member.stored, len(stored))
                self.devices = list(stored)
            elif isinstance(entry, Entered):
                window.widen(entry.intended)
                self._enter(entry, window.base + entry.first, members)

    def _enter(self, entry: Entered, first: int, members: NDArray[np.uint32]) -> None:
        numbers = np.arange(first, first + len(entry))
        acked_at = self._acked.get(first, first + len(entry))
        acked = acked_at > 0
        sent_at = self._sent.get(first, first + len(entry))
        bare = _bare(entry)
        counted = acked & ~bare
        self.summary.acked += int(counted.sum())
        self.summary.from_due.add((acked_at - entry.intended)[counted])
        self.summary.from_sent.add((acked_at - sent_at)[counted & (sent_at > 0)])
        notes = entry.expects | np.where(acked, ACKED, 0) | np.where(bare, BARE, 0) | ENTERED
        self.messages.put(numbers, notes.astype(np.uint8))
        self.keys.put(numbers, key_of(entry.sums, entry.lengths))
        if entry.faults:
            self.fault_of.put(numbers, np.array([self._number(fault) for fault in entry.faults], dtype=np.uint8))
        good = np.isin(entry.expects, (Expect.STORED, Expect.PARTLY))
        roles = np.where(good, np.where(acked, MUST, MAY), MUST_NOT)
        for points in entry.points:
            self._add(points, first, roles.astype(np.uint8), entry.intended, members)

    def _add(
        self,
        points: Points,
        first: int,
        roles: NDArray[np.uint8],
        intended: Int64s,
        members: NDArray[np.uint32],
    ) -> None:
        arrives = points.ts == ARRIVAL
        rows: Rows = np.empty(len(points.messages), dtype=POINT)
        rows["device"] = members[points.devices]
        rows["ts"] = np.where(arrives, intended[points.messages], points.ts)
        rows["message"] = points.messages + first
        rows["role"] = roles[points.messages] | np.where(arrives, ARRIVES, 0).astype(np.uint8)
        for metric, column in points.columns.items():
            kinds, bits = self._coder.coded(column)
            self._keep(rows, self.metric(metric), kinds, bits)

    def _keep(self, rows: Rows, metric: int, kinds: Kinds, bits: Bits) -> None:
        some = rows.copy()
        some["metric"], some["kind"], some["bits"] = metric, kinds, bits
        if (kinds == NOTHING).any():
            some = some[kinds != NOTHING]
        self._buffer.append(some)
        self._buffered += len(some)
        if self._buffered >= _BUFFERED:
            self._flush()

    def _flush(self) -> None:
        if not self._buffer:
            return
        rows = np.concatenate(self._buffer)
        self._buffer, self._buffered = [], 0
        which = rows["device"] % self.files
        order = np.argsort(which, kind="stable")
        rows, ends = rows[order], np.cumsum(np.bincount(which, minlength=self.files)).tolist()
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if start < end:
                with (self._directory / f"points-{number}").open("ab") as file:
                    rows[start:end].tofile(file)

    def metric(self, name: str) -> int:
        """Give the place of a metric in `metrics`, and make one for one that has none."""
        number = self._metric_of.get(name)
        if number is None:
            number = self._metric_of[name] = len(self.metrics)
            self.metrics.append(name)
        return number

    def _number(self, fault: str) -> int:
        number = self._fault_number.get(fault)
        if number is None:
            number = self._fault_number[fault] = min(len(self.faults), 255)
            self.faults = [*self.faults, fault][:256]
        return number

    def is_one_of(self, notes: NDArray[np.uint8], expects: tuple[Expect, ...]) -> NDArray[np.bool_]:
        """Say of which messages one of these is expected, by what is noted of them."""
        return np.asarray((notes & ENTERED != 0) & np.isin(notes & EXPECTED, expects))

    def pieces(self, size: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Give what is noted of messages, with the number of the first, a piece at a time."""
        for start in range(0, self.summary.messages, size):
            yield start, self.messages.get(start, min(start + size, self.summary.messages))


def _bare(entry: Entered) -> NDArray[np.bool_]:
    """Tell which messages carry no reading, and are not wrong on purpose either."""
    bare = entry.expects == Expect.STORED
    if entry.faults:
        bare &= np.array([not fault for fault in entry.faults])
    for points in entry.points:
        bare[points.messages] = False
    return np.asarray(bare)
