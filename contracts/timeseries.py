"""Time series as every store keeps them: which tiers there are, and where a window begins and ends. Pure.

A series is `(profile, device, metric, kind)`, and a point of it is named by its time: written twice, the last write
wins. The kind is the class of its values, so that a number, a boolean and a text of one metric are series of their own
and never conflict. Times are ns since 1970 UTC.
"""

import math
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MINUTE = 60_000_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

Kind = type[float] | type[bool] | type[str]
"""The class of a series' values."""

KIND_NAMES: dict[Kind, str] = {float: "number", bool: "boolean", str: "text"}
KINDS: dict[str, Kind] = {name: kind for kind, name in KIND_NAMES.items()}

RANK: dict[Kind, int] = {float: 0, bool: 1, str: 2}
"""Of several kinds of a metric at one time, the one of the lowest rank counts."""


class Tier(StrEnum):
    """What is kept of a series: its points, and windows of three widths."""

    RAW = "raw"
    M1 = "1m"
    H1 = "1h"
    D1 = "1d"


ROLLUPS = (Tier.M1, Tier.H1, Tier.D1)

WIDTHS = {Tier.M1: MINUTE, Tier.H1: HOUR}
"""Width in ns of windows that are aligned to the epoch. A day is a local one, of 23 to 25 hours: see `Days`."""


class Days:
    """The local days of a time zone, by its IANA name; empty, or none that there is: UTC.

    `zone` is what was given, `name` whose days they are.
    """

    def __init__(self, zone: str = "") -> None:
        self.zone = zone
        try:
            self._zone = ZoneInfo(zone) if zone else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._zone = None
        self.name = "UTC" if self._zone is None else zone
        self._last = (0, 0)

    def of(self, ts: int) -> tuple[int, int]:
        """Return when the day of `ts` begins, and when the next one does. Both are whole minutes."""
        if self._zone is None:
            start = ts - ts % DAY
            return start, start + DAY
        start, end = self._last
        if not start <= ts < end:
            self._last = start, end = _local_day(ts, self._zone)
        return start, end


@lru_cache(maxsize=1024)
def days_of(zone: str) -> Days:
    """Return the days of `zone`; of the last thousand zones, the same object."""
    return Days(zone)


def _local_day(ts: int, zone: ZoneInfo) -> tuple[int, int]:
    date = datetime.fromtimestamp(ts // 1_000_000_000, zone).date()
    # A midnight that the clocks skip is read with the offset from before, and so is the moment at which they skip it.
    start, end = (
        int(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).timestamp()) * 1_000_000_000
        for day in (date, date + timedelta(days=1))
    )
    return start - start % MINUTE, end - end % MINUTE


def start_of(tier: Tier, ts: int, days: Days) -> int:
    """Return the start of the window of `tier`, which is none of raw, that `ts` belongs to."""
    return days.of(ts)[0] if tier is Tier.D1 else ts - ts % WIDTHS[tier]


def merged_m2(count: int, total: float, m2: float, later: tuple[int, float, float]) -> float:
    """Return the sum of the squared deviations of two parts, each of which has a count above 0, a sum and an m2.

    Infinite where that is too large for a float.
    """
    later_count, later_total, later_m2 = later
    apart = later_total / later_count - total / count
    return or_infinite(m2 + later_m2 + apart * apart * count * later_count / (count + later_count))


def or_infinite(number: float) -> float:
    """Return a number, or infinity for one that is none or too small."""
    return number if math.isfinite(number) else math.inf
