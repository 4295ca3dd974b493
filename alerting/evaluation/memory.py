"""What is on disk of a device: one row, written in one piece, so that all of it is of the same moment."""

import msgspec

from alerting.judges.verdict import Seen
from alerting.life.track import Kept


class DeviceMemory(msgspec.Struct, array_like=True, frozen=True):
    """A device between two readings.

    `known` is when the device was registered, or ceased to be, as far as alerting knows, 0 for never; `heard` is
    when ingest received the newest of its readings that has been taken, 0 for never; both in ns by the clocks of
    alerting and ingest. `last` has the newest value of each metric that a rule looks at, `windows` the start of the
    newest window judged, by metric and tier joined by a space, `tracks` what is known by rule, and `registered`
    whether the registry had it, enabled.

    A reading is late if its time is not after that in `last`. So what comes again after a crash, and had been taken
    before this was written, is late and changes nothing: a device's row may be newer than its partition's position.
    """

    known: int
    heard: int
    last: dict[str, Seen]
    windows: dict[str, int]
    tracks: dict[str, Kept]
    registered: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(DeviceMemory)


def encode_memory(memory: DeviceMemory) -> bytes:
    """Write a device's row."""
    return _encode(memory)


def decode_memory(data: bytes) -> DeviceMemory:
    """Read a device's row. Raises msgspec.DecodeError if it is none that this version knows."""
    return _decoder.decode(data)
