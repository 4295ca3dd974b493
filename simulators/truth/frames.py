"""The file of a ledger: frames one after the other, each compressed and with a checksum.

Frames are only ever added. One that was cut off, as by a kill, ends the file for whoever reads it.
"""

import os
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import pyarrow as pa

from simulators.truth.keeping import LedgerError

MAGIC = b"sensorium ledger 1\n"
"""How a file begins; the number is that of this layout."""

_HEAD = Struct("<BIQII")
_SUM = Struct("<I")
_MOST = 1 << 30
_ZSTD = pa.Codec("zstd", 1)  # a third of the time of zlib's first level, and no larger: see decision 0038


class Kind(IntEnum):
    """What a frame holds."""

    RUN = 1
    BATCH = 2
    SENT = 3
    ACKED = 4
    EVENT = 5


class Frame(NamedTuple):
    """A frame that was read. `rows` and `until` tell of how much it tells, to who does not read it.

    Of a batch `rows` is its points, and `until` the number after its last message.
    """

    kind: int
    rows: int
    until: int
    size: int
    packed: bytes

    def body(self) -> bytes:
        """Unpack what it holds."""
        return bytes(_ZSTD.decompress(self.packed, self.size, asbytes=True))


def frame(kind: Kind, body: bytes, rows: int, until: int = 0) -> bytes:
    """Make the bytes of a frame."""
    packed: bytes = _ZSTD.compress(body, asbytes=True)
    head = _HEAD.pack(kind, rows, until, len(body), len(packed))
    return head + packed + _SUM.pack(crc32(packed, crc32(head)))


class Frames:
    """The whole frames of the file at `path`, as far as it goes now. Raises LedgerError if that is no ledger."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                magic = file.read(len(MAGIC))
                self.end = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise LedgerError(f"cannot read {path} as ledger: {error}") from error
        if magic != MAGIC:
            raise LedgerError(f"cannot read {path} as ledger: it is none, or one of another version")

    def __iter__(self) -> Iterator[Frame]:
        """Give frame after frame. After that, `end` is where the last whole one ends."""
        with self._path.open("rb", buffering=1 << 20) as file:
            at = file.seek(len(MAGIC))
            while at < self.end:
                head = file.read(_HEAD.size)
                if len(head) < _HEAD.size:
                    break
                kind, rows, until, size, length = _HEAD.unpack(head)
                if max(size, length) > _MOST or at + _HEAD.size + length + _SUM.size > self.end:
                    break
                packed, check = file.read(length), file.read(_SUM.size)
                if check != _SUM.pack(crc32(packed, crc32(head))):
                    break
                at += _HEAD.size + length + _SUM.size
                yield Frame(kind, rows, until, size, packed)
        self.end = at
