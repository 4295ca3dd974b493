"""What is known in memory of one series: its newest point, and the windows that this point is in. Pure."""

from enum import StrEnum

from contracts.readings import Value
from contracts.timeseries import MINUTE, Days, Kind, Tier
from processor.windows import Window, aggregate

NEVER = -1
"""`newest` of a series that has no point."""

UNKNOWN = 1 << 63
"""`newest` of a series of which this process does not know what is stored: no point is newer."""


class Stale(StrEnum):
    """Why a window has to be computed anew."""

    LATE = "late"
    """A point is older than the series' newest: out of order, or a repetition of an older point."""
    DUPLICATE = "duplicate"
    """The series' newest point came again, perhaps with another value."""
    UNKNOWN = "unknown"
    """What is stored of the series is not known in memory: after a start, an eviction or a failed write."""
    REFUSED = "refused"
    """The store has refused a point that was already counted."""


class Series:
    """One series. `id` and `place` are the store's own, to find it again by.

    `values` are the points of the running transaction that lie in the open minute, which ends at `end`; `fold` adds
    them to the windows. `profile`, `device`, `metric` and `kind` say which series it is, `partition` where its
    device's readings come from.
    """

    __slots__ = (
        "day", "day_end", "days", "device", "end", "hour", "id", "kind", "metric", "minute", "newest",
        "partition", "place", "profile", "values",
    )  # fmt: skip

    def __init__(self, partition: int, profile: str, device: str, metric: str, kind: Kind, days: Days) -> None:
        self.partition = partition
        self.profile, self.device, self.metric, self.kind, self.days = profile, device, metric, kind, days
        self.id = self.place = 0
        self.newest = NEVER
        self.end = self.day_end = 0
        self.values: list[Value] = []
        self.minute = self.hour = self.day = Window()

    def learn(self, newest: int, minute: Window, hour: Window, day: Window, day_end: int) -> None:
        """Know what is stored: newer points extend these windows from here on."""
        self.newest = newest
        self.minute, self.hour, self.day = minute, hour, day
        self.end, self.day_end = minute.start + MINUTE, day_end

    def fold(self) -> None:
        """Add this transaction's points of the open minute to the windows."""
        values = self.values
        if len(values) == 1:
            value = values.pop()
            self.minute.extend(value)
            self.hour.extend(value)
            self.day.extend(value)
        elif values:
            window = aggregate(self.minute.start, self.kind, values)
            values.clear()
            self.minute.absorb(window)
            self.hour.absorb(window)
            self.day.absorb(window)

    def open(self, tier: Tier) -> Window:
        """Return the window of `tier`, which is none of raw, that the newest point is in."""
        if tier is Tier.M1:
            return self.minute
        return self.hour if tier is Tier.H1 else self.day

    def last(self) -> tuple[int, Value] | None:
        """Return the newest point, or None if it is not known or there is none."""
        if self.newest in (NEVER, UNKNOWN):
            return None
        return self.newest, self.values[-1] if self.values else self.minute.last
