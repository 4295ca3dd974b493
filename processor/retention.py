"""How long the points and windows of each profile are kept. Pure."""

from contracts.devices import DeviceRecord, Retention
from contracts.readings import Reading
from contracts.timeseries import DAY, Tier

_MARGIN = 2 * DAY
"""So much longer is everything kept: a point that is just young enough may lie in a day that began before it, and that
day's window, and its hours', are computed from what they were made of."""

MOST_PROFILES = 10_000
"""Of so many profiles it is known how long to keep their readings; those of others are kept for ever."""


class Retentions:
    """What the registry says of each profile. Of a profile that it says nothing about, everything is kept."""

    def __init__(self) -> None:
        self._of: dict[str, Retention] = {}

    def learn(self, record: DeviceRecord) -> None:
        """Take in what the record of a device says of its profile."""
        if record.profile in self._of or len(self._of) < MOST_PROFILES:
            self._of[record.profile] = record.retention

    def oldest(self, profile: str, now: int) -> int:
        """Return the time before which a point of the profile comes too late to be stored."""
        retention = self._of.get(profile)
        return now - retention.raw * DAY if retention is not None and retention.raw else 0

    def longest(self) -> int:
        """Return for how long, in ns, anything has to be kept that is not kept for ever."""
        days = [days for kept in self._of.values() for days in (kept.raw, kept.m1, kept.h1, kept.d1)]
        return max(days, default=0) * DAY

    def due(self, now: int) -> list[tuple[str, Tier, int]]:
        """List `(profile, tier, before)`: what ended before `before` need not be kept."""
        return [
            (profile, tier, now - days * DAY - _MARGIN)
            for profile, kept in self._of.items()
            for tier, days in ((Tier.RAW, kept.raw), (Tier.M1, kept.m1), (Tier.H1, kept.h1), (Tier.D1, kept.d1))
            if days
        ]


def divide(readings: list[Reading], retentions: Retentions, now: int) -> tuple[list[Reading], list[Reading]]:
    """Divide readings into those that are to be stored and those that come too late."""
    profile, oldest = None, 0
    late = False
    for reading in readings:
        if reading.profile != profile:
            profile, oldest = reading.profile, retentions.oldest(reading.profile, now)
        if reading.ts < oldest:
            late = True
            break
    if not late:
        return readings, []
    kept: list[Reading] = []
    too_late: list[Reading] = []
    for reading in readings:
        (kept if reading.ts >= retentions.oldest(reading.profile, now) else too_late).append(reading)
    return kept, too_late
