"""DerivedBatch: what processor computes from readings, on `derived.N`."""

from typing import Literal

import msgspec

from contracts.wire import Wire


class Window(msgspec.Struct, array_like=True, frozen=True):
    """Aggregate of the distinct numeric points with `start` <= ts < `start` + `width`, both in ns."""

    device: str
    metric: str
    start: int
    width: int
    count: int
    sum: float
    min: float
    max: float
    first: float
    last: float


class DerivedBatch(msgspec.Struct, array_like=True, frozen=True):
    """Windows of one partition. A window that is sent again replaces the one sent before."""

    schema_version: Literal[1]
    partition: int
    windows: list[Window]


DERIVED_BATCH = Wire(DerivedBatch)
