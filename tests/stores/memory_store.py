"""A time-series store in memory, with the behaviour of a server that knows no transactions."""

from collections.abc import Collection, Mapping, Sequence

from contracts.deletions import Deletion
from contracts.readings import Value
from contracts.timeseries import KINDS, ROLLUPS, Kind, Tier
from processor.series import NEVER, UNKNOWN, Series
from processor.store import Refusal, Span, StoreUnavailableError, Taken
from processor.windows import Window

Name = tuple[str, str, str, type]

REFUSED = "refused"


def name_of(series: Series) -> Name:
    return series.profile, series.device, series.metric, series.kind


def copy_of(window: Window) -> Window:
    copy = Window(window.start)
    copy.absorb(window)
    return copy


class Kept:
    """What is stored: it outlives the clients."""

    def __init__(self) -> None:
        self.points: dict[Name, dict[int, Value]] = {}
        self.windows: dict[tuple[Tier, Name], dict[int, Window]] = {}
        self.writers: dict[int, object] = {}
        self.fail_after = -1
        """After so many further calls that write, the store is away; -1: never."""

    def alive(self) -> None:
        if self.fail_after == 0:
            raise StoreUnavailableError("away")
        self.fail_after -= self.fail_after > 0


class MemoryStore:
    """A client of `kept`. It does not trust that windows are those of the points, as no client of a server can.

    It never takes a reading that has the flag REFUSED.
    """

    def __init__(self, kept: Kept) -> None:
        self.kept = kept

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass

    def commit(self) -> None:
        pass

    def begin(self, epochs: Mapping[int, int]) -> bool:
        mine = all(self.kept.writers.get(partition) is self for partition in epochs)
        self.kept.writers.update(dict.fromkeys(epochs, self))
        return mine

    def learn(self, series: Series) -> None:
        series.newest = UNKNOWN

    def find(
        self,
        profile: str,  # noqa: ARG002 - a server that cannot tell without reading says that all may be there
        device: str,  # noqa: ARG002 - as above
        metrics: Collection[str],
    ) -> Collection[tuple[str, Kind]]:
        return [(metric, kind) for metric in metrics for kind in KINDS.values()]

    def put(self, taken: Sequence[Taken]) -> list[Refusal]:
        refusals = []
        for at, (reading, series) in enumerate(taken):
            self.kept.alive()
            if REFUSED in reading.flags:
                refusals.append(Refusal(at, "as the test has it"))
                continue
            for one, value in zip(series, reading.values.values(), strict=True):
                self.kept.points.setdefault(name_of(one), {})[reading.ts] = value
        return refusals

    def points(self, spans: Sequence[Span]) -> list[list[tuple[int, Value]]]:
        return [
            sorted((ts, v) for ts, v in self.kept.points.get(name_of(series), {}).items() if start <= ts < end)
            for series, start, end in spans
        ]

    def windows(self, tier: Tier, spans: Sequence[Span]) -> list[list[Window]]:
        return [
            [
                copy_of(window)
                for at, window in sorted(self.kept.windows.get((tier, name_of(series)), {}).items())
                if start <= at < end
            ]
            for series, start, end in spans
        ]

    def newest(self, series: Sequence[Series]) -> list[int]:
        return [max(self.kept.points.get(name_of(one), {}), default=NEVER) for one in series]

    def put_windows(
        self,
        tier: Tier,
        windows: Sequence[tuple[Series, Window]],
        *,
        anew: bool,  # noqa: ARG002 - what was written before is replaced
    ) -> None:
        for series, window in windows:
            self.kept.alive()
            self.kept.windows.setdefault((tier, name_of(series)), {})[window.start] = copy_of(window)

    def put_open(self, series: Sequence[Series]) -> None:
        for tier in ROLLUPS:
            self.put_windows(tier, [(one, one.open(tier)) for one in series], anew=True)

    def refuses(self, deletion: Deletion) -> str | None:  # noqa: ARG002 - as Store has it
        return None

    def series_of(self, device: str, metrics: Collection[str]) -> Collection[tuple[str, str, Kind]]:
        names = {*self.kept.points, *(name for _, name in self.kept.windows)}
        return {(one[0], one[2], one[3]) for one in names if one[1] == device and (not metrics or one[2] in metrics)}

    def remove(self, tier: Tier, spans: Sequence[Span]) -> int:
        removed = 0
        for series, start, end in spans:
            self.kept.alive()
            name = name_of(series)
            kept = self.kept.points.get(name, {}) if tier is Tier.RAW else self.kept.windows.get((tier, name), {})
            for at in [at for at in kept if start <= at < end]:
                del kept[at]
                removed += 1
        return removed

    def reopen(self, series: Sequence[Series]) -> None:
        self.put_open([one for one in series if one.newest != NEVER])

    def drop(self, profile: str, tier: Tier, before: int) -> int:
        raise NotImplementedError
