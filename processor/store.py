"""What a time-series store has to be able to do for the engine; sqlite.py, influx.py and victoria.py each do it."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from contracts.deletions import Deletion
from contracts.readings import Reading, Value
from contracts.timeseries import KINDS, Kind, Tier
from processor.series import Series
from processor.windows import Window


class StoreUnavailableError(Exception):
    """The store cannot take anything now: locked, full, read-only, broken, away. The same write may work later.

    `wait` in seconds is for how long it asked to be left alone; 0 if it did not say.
    """

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class NewerSchemaError(StoreUnavailableError):
    """What is stored was made by a newer version of this program."""


class Span(NamedTuple):
    """A part of a series: `start` <= ts < `end`."""

    series: Series
    start: int
    end: int


class Taken(NamedTuple):
    """A reading, and the series of each of its values, in their order."""

    reading: Reading
    series: list[Series]


class Refusal(NamedTuple):
    """A reading, by its place `at` in what was put, that the store will never take, and what it said."""

    at: int
    detail: str


class Store(Protocol):
    """One store, used from one thread. Every method raises StoreUnavailableError if it cannot be done now.

    A write is `begin`, any of the others, then `commit`; after an error, `abort`. Whatever of an aborted write is
    stored even so does no harm, since it is written again: the stream has not been told. A store that leaves out open
    windows, which readers then compute, has to have those that were put before the points on disk before the points.
    """

    def open(self) -> None:
        """Connect, and make what is missing. A second time does nothing. Raises NewerSchemaError."""

    def close(self) -> None:
        """Let go of everything; the next `open` or `begin` opens it again."""

    def begin(self, epochs: Mapping[int, int]) -> bool:
        """Begin a write to these partitions, each owned with an epoch.

        False if somebody else has written to one of them since this store last did: memory does not hold.
        """

    def learn(self, series: Series) -> None:
        """Make a series known: give it its `id`, and tell it what is stored, or that this is not known."""

    def find(self, profile: str, device: str, metrics: Collection[str]) -> Collection[tuple[str, Kind]]:
        """Return which series of these metrics there are, or may be: also one of which a point was put by halves."""

    def put(self, taken: Sequence[Taken]) -> list[Refusal]:
        """Write points. What comes twice is stored once; of one point, the last that was put counts."""

    def points(self, spans: Sequence[Span]) -> list[list[tuple[int, Value]]]:
        """Return the points in each span, in order of time, with all that was put."""

    def windows(self, tier: Tier, spans: Sequence[Span]) -> list[list[Window]]:
        """Return the windows that begin in each span, in order of time, with all that was put; perhaps no open ones."""

    def newest(self, series: Sequence[Series]) -> list[int]:
        """Return the time of the newest point of each series, or NEVER. Only asked where memory does not tell."""

    def put_windows(self, tier: Tier, windows: Sequence[tuple[Series, Window]], *, anew: bool) -> None:
        """Write windows that are not, or no longer, those of their series' newest point.

        `anew`: they were computed anew, and may have been written before. Else they are left for a newer point, for the
        first time: before `put` those that have earlier points, after it those that have points of this write alone.
        """

    def put_open(self, series: Sequence[Series]) -> None:
        """Write the windows of each series' newest point, in all tiers."""

    def commit(self) -> None:
        """Return when all of it is on disk."""

    def abort(self) -> None:
        """Forget the write."""

    def refuses(self, deletion: Deletion) -> str | None:
        """Say why this store cannot delete that, or None if it can."""

    def series_of(self, device: str, metrics: Collection[str]) -> Collection[tuple[str, str, Kind]]:
        """Return profile, metric and kind of each series of a device that there is, or may be; of all metrics if none.

        Asked, as the next two are, for deletions that the store does not refuse.
        """

    def remove(self, tier: Tier, spans: Sequence[Span]) -> int:
        """Remove the points in each span, or the closed windows that begin in it; returns how many points.

        Of windows, those of other series of the device that begin at the same time may go as well.
        """

    def reopen(self, series: Sequence[Series]) -> None:
        """Write the windows of each series' newest point, which were written as closed ones; there may be no point."""

    def drop(self, profile: str, tier: Tier, before: int) -> int:
        """Drop what of a profile is in parts that ended before `before`; returns how many parts. Outside a write."""


def any_of(metrics: Collection[str]) -> list[tuple[str, Kind]]:
    """Name every series that there may be: for a store that does not tell cheaply which of them there are."""
    return [(metric, kind) for metric in metrics for kind in KINDS.values()]
