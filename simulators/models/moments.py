"""What values are asked for, and what of it is known already."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.models.noise import Float64s, Int64s, UInt64s, stream, uniform_of

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
WEEK_HOURS = 168
INSTALLED = 1_577_836_800_000_000_000
"""2020-01-01: when counters began."""

_MONDAY = 4 * DAY  # 1970 began on a Thursday

Column = Float64s | NDArray[np.bool_]


class Clock(NamedTuple):
    """Weeks since Monday, 5 January 1970, the hour of the week from 0, and how far into it, from 0 to 1. UTC."""

    weeks: Int64s
    hour: Int64s
    into: Float64s


def clock(ts: Int64s) -> Clock:
    """Read the clock at `ts` (ns)."""
    hours, rest = np.divmod(ts - _MONDAY, HOUR)
    weeks, hour = np.divmod(hours, WEEK_HOURS)
    return Clock(weeks, hour, rest / HOUR)


@dataclass
class Moments:
    """Rows of a question: device number `devices[i]` at `ts[i]`. `key` is what the devices' randomness comes from.

    `place` is where a device is on its track, `step` the step of the machine's cycle, `state` the state, which an event
    may have changed; `columns` are the values of the metrics that are done, as they are published.
    """

    devices: Int64s
    key: UInt64s
    ts: Int64s
    place: dict[str, Float64s] = field(default_factory=dict)
    step: Int64s | None = None
    state: Int64s | None = None
    columns: dict[str, Column] = field(default_factory=dict)

    @cached_property
    def clock(self) -> Clock:
        """Read the clock, once for all that ask."""
        return clock(self.ts)

    def own(self, name: str, bounds: tuple[float, float]) -> Float64s | float:
        """Give each device's own number between `bounds`, for the use `name`."""
        low, high = bounds
        return low if low == high else low + (high - low) * uniform_of(self.key, stream(name), 0)
