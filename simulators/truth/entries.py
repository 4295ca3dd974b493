"""What the frames of a ledger hold, and how batches become frames. Pure."""

from collections.abc import Sequence
from zlib import crc32

import msgspec
import numpy as np

from contracts.readings import Value
from simulators.models.model import Int64s
from simulators.plan.batch import ARRIVAL, Batch, Block, Expect
from simulators.truth.columns import pack_ints, pack_values
from simulators.truth.frames import Kind, frame

MOST_KEPT = 4096
"""Bytes that are kept of a payload that is to be rejected; of every other there is its checksum."""

_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1
_encode = msgspec.msgpack.Encoder().encode


class Member(msgspec.Struct, array_like=True, frozen=True):
    """A device: its number, its id, the id that it is stored under, and the number of its part."""

    number: int
    id: str
    stored: str
    part: int


class PartNote(msgspec.Struct, array_like=True, frozen=True):
    """A part of the fleet. `session`: payloads are completed when they are sent, and differ from what is recorded."""

    model: str
    format: str
    session: bool = False


class Run(msgspec.Struct, array_like=True, frozen=True):
    """What was run, when (ns since 1970), and by whom. `about` is for people, and for reports."""

    seed: int
    began: int
    devices: list[Member]
    parts: list[PartNote] = []
    about: dict[str, Value] = {}


class Event(msgspec.Struct, array_like=True, frozen=True):
    """Something that happened at `at` (ns since 1970)."""

    at: int
    kind: str
    about: str


class PackedBlock(msgspec.Struct, array_like=True, frozen=True):
    """A Block. `messages` is empty for all of them in turn, `devices` for those that publish; `late` is by message.

    `late` is the time less the message's `intended`; of points that are stored when they arrive, `arrival` holds a 1.
    """

    messages: bytes
    devices: bytes
    late: bytes
    arrival: bytes
    metrics: list[str]
    values: list[bytes]


class PackedBatch(msgspec.Struct, array_like=True, frozen=True):
    """A Batch. Of `faults` and `expects` nothing is there where all are as they should be."""

    first: int
    devices: bytes
    intended: bytes
    sums: bytes
    lengths: bytes
    expects: bytes
    faults: list[str]
    payloads: dict[int, bytes]
    blocks: list[PackedBlock]


class Moments(msgspec.Struct, array_like=True, frozen=True):
    """Messages that were sent or acknowledged: `counts[i]` of them at `ats[i]`."""

    numbers: bytes
    counts: bytes
    ats: bytes


def run_frame(run: Run) -> bytes:
    """Write how a run begins."""
    return frame(Kind.RUN, _encode(run), len(run.devices))


def event_frame(event: Event) -> bytes:
    """Write what happened."""
    return frame(Kind.EVENT, _encode(event), 1)


def moments_frame(kind: Kind, entries: Sequence[tuple[Int64s, int]]) -> bytes:
    """Write that numbers were sent, or acknowledged, at moments."""
    numbers = np.concatenate([some for some, _ in entries])
    counts = np.fromiter((len(some) for some, _ in entries), dtype=np.int64, count=len(entries))
    ats = np.fromiter((at for _, at in entries), dtype=np.int64, count=len(entries))
    return frame(kind, _encode(Moments(pack_ints(numbers), pack_ints(counts), pack_ints(ats))), len(numbers))


def batch_frame(batch: Batch) -> bytes:
    """Write a batch."""
    devices, intended = _ints(batch.devices), _ints(batch.intended)
    kept: dict[int, bytes] = {}
    expects = bytes(batch.expects)
    if expects.strip(b"\0"):
        kept = {
            place: payload[:MOST_KEPT]
            for place, (payload, expect) in enumerate(zip(batch.payloads, expects, strict=True))
            if expect in {Expect.REJECTED, Expect.PARTLY}
        }
    packed = PackedBatch(
        batch.first,
        pack_ints(devices),
        pack_ints(intended),
        np.fromiter(map(crc32, batch.payloads), dtype=np.uint32, count=len(batch)).tobytes(),
        pack_ints(np.fromiter(map(len, batch.payloads), dtype=np.int64, count=len(batch))),
        expects if expects.strip(b"\0") else b"",
        list(batch.faults) if any(batch.faults) else [],
        kept,
        [_block(block, devices, intended) for block in batch.blocks],
    )
    points = sum(len(block.ts) * len(block.columns) for block in batch.blocks)
    return frame(Kind.BATCH, _encode(packed), points, batch.first + len(batch))


def _block(block: Block, devices: Int64s, intended: Int64s) -> PackedBlock:
    count = len(devices)
    whole = isinstance(block.messages, range) and block.messages == range(count)
    messages = np.arange(count) if whole else _ints(block.messages)
    mine = _ints(block.devices)
    ts = _ints(block.ts)
    arrival = ts == ARRIVAL
    late = np.where(arrival, 0, ts - intended[messages])
    return PackedBlock(
        b"" if whole else pack_ints(messages),
        b"" if np.array_equal(mine, devices[messages]) else pack_ints(mine),
        pack_ints(late),
        np.packbits(arrival).tobytes() if arrival.any() else b"",
        list(block.columns),
        [pack_values(values) for values in block.columns.values()],
    )


def _ints(numbers: Sequence[int]) -> Int64s:
    try:
        return np.array(numbers, dtype=np.int64)
    except OverflowError:  # a time that no store takes
        return np.array([max(_LEAST, min(_GREATEST, number)) for number in numbers], dtype=np.int64)
