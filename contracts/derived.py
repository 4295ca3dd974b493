"""DerivedBatch: what processor computes from readings, on `derived.N`."""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from contracts.readings import Reading, Value
from contracts.wire import Wire


class Window(msgspec.Struct, array_like=True, frozen=True):
    """Aggregate of the distinct points of one series with `start` <= ts < `end`, both in ns since 1970 UTC.

    A series is (profile, device, metric, kind), the kind being the class of `last`. `tier` is "1m", "1h" or "1d"; a day
    is one of the profile's time zone and has 23 to 25 hours. Only numbers have `sum`, `m2` (the sum of the squared
    deviations from the mean), `min`, `max` and `first`; `sum` and `m2` are absent, too, where no float can hold them.
    """

    device: str
    profile: str
    metric: str
    tier: str
    start: int
    end: int
    count: int
    last: Value
    sum: float | None = None
    m2: float | None = None
    min: float | None = None
    max: float | None = None
    first: float | None = None


class DerivedBatch(msgspec.Struct, array_like=True, frozen=True):
    """Closed windows and computed values of one partition.

    `windows` are those that were left for a newer one, or whose time is over by the clock: a window that is sent again
    replaces the one sent before. `readings` hold the computed metrics alone, with the device, ts, received and profile
    of the reading that they were computed from; of one device, in the order in which those came. Both may come again.
    """

    schema_version: Literal[1]
    partition: int
    windows: list[Window]
    readings: list[Reading]


DERIVED_BATCH = Wire(DerivedBatch)


def split(
    partition: int, windows: Sequence[Window], readings: Sequence[Reading], most: int
) -> Iterator[tuple[DerivedBatch, bytes]]:
    """Divide into batches, each with its bytes, of which there are at most `most`; in order, readings first.

    A window or reading that is too large even alone comes in a batch of its own, longer than `most`.
    """
    batch = DerivedBatch(1, partition, list(windows), list(readings))
    items = len(windows) + len(readings)
    data = DERIVED_BATCH.encode(batch)
    if len(data) <= most or items <= 1:
        if items:
            yield batch, data
        return
    middle = items // 2
    split_windows = max(0, middle - len(readings))
    yield from split(partition, windows[:split_windows], readings[:middle], most)
    yield from split(partition, windows[split_windows:], readings[middle:], most)
