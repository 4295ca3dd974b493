"""What of a ReadingBatch can be stored. Pure."""

from dataclasses import dataclass, field
from math import isfinite

import msgspec

from contracts.deadletters import Reason
from contracts.readings import READING_BATCH, Reading, Value

_LAST_NS = (1 << 63) - 1
_MOST_DETAILS = 10


@dataclass(slots=True)
class Unpacked:
    """Readings of one batch in order, how many points they hold, and why parts of the batch were left out."""

    readings: list[Reading]
    points: int
    refused: dict[Reason, list[str]] = field(default_factory=dict)

    def refuse(self, reason: Reason, detail: str) -> None:
        """Note one part that was left out; of many, only the first few are described."""
        details = self.refused.setdefault(reason, [])
        if len(details) < _MOST_DETAILS:
            details.append(detail)


def unpack(data: bytes) -> Unpacked:
    """Read a batch. Raises contracts.wire.SchemaError if it is none that this version knows.

    Ingest lets no number through that is not finite, no time outside int64 and no reading without values; the store
    could not hold them, so one that comes even so is left out by itself.
    """
    batch = READING_BATCH.decode(data)
    unpacked = Unpacked(batch.readings, 0)
    for reading in batch.readings:
        for value in reading.values.values():
            if value.__class__ is float and not isfinite(value):
                return _sift(batch.readings)
        if not (0 <= reading.ts <= _LAST_NS and 0 <= reading.received <= _LAST_NS and reading.values):
            return _sift(batch.readings)
        unpacked.points += len(reading.values)
    return unpacked


def _sift(readings: list[Reading]) -> Unpacked:
    """Take the batch apart, value by value."""
    unpacked = Unpacked([], 0)
    for reading in readings:
        if not (0 <= reading.ts <= _LAST_NS and 0 <= reading.received <= _LAST_NS):
            times = f"ts {reading.ts}, received {reading.received}"
            unpacked.refuse(Reason.BAD_TIME, f"device {reading.device!r}: {times}: not from 0 to 2^63 - 1 ns")
            continue
        values: dict[str, Value] = {}
        for metric, value in reading.values.items():
            if isinstance(value, float) and not isfinite(value):
                unpacked.refuse(Reason.BAD_VALUE, f"device {reading.device!r}: metric {metric!r} is {value}")
            else:
                values[metric] = value
        if values:
            unpacked.readings.append(msgspec.structs.replace(reading, values=values))
            unpacked.points += len(values)
    return unpacked
