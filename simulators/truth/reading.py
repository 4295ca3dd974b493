"""Reads a ledger, also one that is being written, frame by frame."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.readings import Value
from simulators.models.model import Int64s
from simulators.plan.batch import ARRIVAL
from simulators.truth.columns import unpack_ints, unpack_values
from simulators.truth.entries import Event, Moments, PackedBatch, PackedBlock, Run
from simulators.truth.frames import Frame, Frames, Kind
from simulators.truth.keeping import LedgerError

Column = NDArray[np.float64] | list[Value | None]
"""Values of one metric; of numbers only, an array."""

_runs = msgspec.msgpack.Decoder(Run).decode
_events = msgspec.msgpack.Decoder(Event).decode
_moments = msgspec.msgpack.Decoder(Moments).decode
_batches = msgspec.msgpack.Decoder(PackedBatch).decode


@dataclass(frozen=True)
class Points:
    """Points as `simulators.plan.batch.Block` has them; `messages` are places in the batch."""

    messages: Int64s
    devices: Int64s
    ts: Int64s
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class Entered:
    """Messages as they were entered: `simulators.plan.batch.Batch` in arrays, with the payloads' sums and lengths.

    `faults` is empty where nothing was wrong with any. `payloads` holds how those begin that are to be rejected.
    """

    first: int
    devices: Int64s
    intended: Int64s
    sums: NDArray[np.uint32]
    lengths: Int64s
    expects: NDArray[np.uint8]
    faults: list[str]
    payloads: Mapping[int, bytes]
    points: list[Points]

    def __len__(self) -> int:
        return len(self.devices)


@dataclass(frozen=True)
class Sent:
    """Message `numbers[i]` was handed to the operating system at `ats[i]` (ns)."""

    numbers: Int64s
    ats: Int64s


class Acked(Sent):
    """Message `numbers[i]` was acknowledged at `ats[i]` (ns)."""


Entry = Run | Entered | Sent | Acked | Event


def read(path: Path) -> Iterator[Entry]:
    """Give what was entered, in order; with each Run, numbers begin anew. Raises LedgerError if there is no ledger."""
    for frame in Frames(path):
        entry = opened(path, frame)
        if entry is not None:
            yield entry


def opened(path: Path, frame: Frame) -> Entry | None:
    """Read a frame; None for a kind that is not known here. Raises LedgerError if it holds something else."""
    try:
        body = frame.body()
        if frame.kind == Kind.BATCH:
            return unpacked(_batches(body))
        if frame.kind in {Kind.SENT, Kind.ACKED}:
            return moments(body, Sent if frame.kind == Kind.SENT else Acked)
        if frame.kind == Kind.RUN:
            return _runs(body)
        return _events(body) if frame.kind == Kind.EVENT else None
    except (msgspec.DecodeError, ValueError) as error:
        raise LedgerError(f"cannot read {path} as ledger: a frame of kind {frame.kind}: {error}") from error


def moments(body: bytes, kind: type[Sent]) -> Sent:
    """Read a frame's body."""
    packed = _moments(body)
    return kind(unpack_ints(packed.numbers), np.repeat(unpack_ints(packed.ats), unpack_ints(packed.counts)))


def unpacked(packed: PackedBatch) -> Entered:
    """Make arrays of what is in a frame."""
    devices, intended = unpack_ints(packed.devices), unpack_ints(packed.intended)
    expects = np.frombuffer(packed.expects, dtype=np.uint8) if packed.expects else np.zeros(len(devices), np.uint8)
    return Entered(
        packed.first,
        devices,
        intended,
        np.frombuffer(packed.sums, dtype=np.uint32),
        unpack_ints(packed.lengths),
        expects,
        packed.faults,
        packed.payloads,
        [_points(block, devices, intended) for block in packed.blocks],
    )


def _points(block: PackedBlock, devices: Int64s, intended: Int64s) -> Points:
    messages = unpack_ints(block.messages) if block.messages else np.arange(len(devices))
    ts = unpack_ints(block.late) + intended[messages]
    if block.arrival:
        arrival = np.unpackbits(np.frombuffer(block.arrival, dtype=np.uint8), count=len(messages)).astype(bool)
        ts[arrival] = ARRIVAL
    mine = unpack_ints(block.devices) if block.devices else devices[messages]
    columns = {metric: unpack_values(data) for metric, data in zip(block.metrics, block.values, strict=True)}
    return Points(messages, mine, ts, columns)
