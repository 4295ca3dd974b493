"""The reader's rule for stores that keep closed windows only, and such a store in memory."""

from collections.abc import Mapping, Sequence

from contracts.readings import Value
from contracts.timeseries import Days, start_of
from processor.series import Series
from tests.stores.memory_store import MemoryStore
from tests.stores.oracle import Name, Rollups, rollups_of


def with_open_windows(points: Mapping[tuple[Name, int], Value], stored: Rollups, days: Days) -> Rollups:
    """Take stored windows up to the one that a series' newest point is in; compute that one from the points."""
    newest: dict[Name, int] = {}
    for name, ts in points:
        newest[name] = max(ts, newest.get(name, ts))
    closed = {
        (tier, name, start): aggregates
        for (tier, name, start), aggregates in stored.items()
        if name in newest and start < start_of(tier, newest[name], days)
    }
    opened = {
        (tier, name, start): aggregates
        for (tier, name, start), aggregates in rollups_of(points, days).items()
        if start == start_of(tier, newest[name], days)
    }
    return closed | opened


class ClosedWindowsStore(MemoryStore):
    def put_open(self, series: Sequence[Series]) -> None:
        pass
