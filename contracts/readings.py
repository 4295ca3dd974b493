"""Reading and ReadingBatch: what ingest writes on `telemetry.N` and everyone downstream reads."""

from typing import Literal

import msgspec

from contracts.devices import DEFAULT_PROFILE
from contracts.wire import Wire

Value = float | bool | str
"""A number (always float64), a boolean, or text."""


class Reading(msgspec.Struct, array_like=True, frozen=True):
    """What one device said at one moment.

    `ts` and `received` are int64 nanoseconds since 1970-01-01 UTC: the event time, and when ingest took the message
    from the broker. `values` maps metric to value and is never empty. `flags` maps a flag's name to its detail:
    `clock` holds the device's own time where that could not be true and `ts` is the arrival time instead. `profile` is
    the one that the device had when ingest admitted the message: what comes again goes to where it was before. `route`
    is the row of ingest's routing table by which it was read; empty in what is computed, and of before it was noted.
    """

    device: str
    ts: int
    received: int
    values: dict[str, Value]
    flags: dict[str, str] = {}
    profile: str = DEFAULT_PROFILE
    route: str = ""


class ReadingBatch(msgspec.Struct, array_like=True, frozen=True):
    """Readings of one partition, in the order in which they arrived."""

    schema_version: Literal[1]
    partition: int
    readings: list[Reading]


READING_BATCH = Wire(ReadingBatch)
