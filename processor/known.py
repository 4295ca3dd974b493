"""The series that are known in memory: a bounded cache that forgets what was not used for longest. Pure."""

from collections.abc import Iterator

from contracts.timeseries import KINDS, Kind
from processor.series import Series


class Metrics(dict[str | tuple[str, Kind], Series]):
    """The series of one device: by metric, or by metric and kind where the metric has several kinds.

    `whole` is for whom all series that there are have been looked up: what is not here does not exist for them.
    """

    __slots__ = ("whole",)

    def __init__(self) -> None:
        self.whole: object = None

    def find(self, metric: str, kind: Kind) -> Series | None:
        """Give the series of that kind, if it is known."""
        series = self.get(metric)
        return series if series is not None and series.kind is kind else self.get((metric, kind))

    def kinds(self, metric: str) -> Iterator[Series]:
        """Give the series of every kind that are known of a metric: numbers first, then booleans, then texts."""
        for kind in KINDS.values():
            series = self.find(metric, kind)
            if series is not None:
                yield series


class Known:
    """Series by profile, device and metric, about `most` of them.

    Two generations: what is used moves to the young one; when that holds half of `most`, the old one is forgotten
    and the young one grows old. That costs one look-up a device, where an exact order would cost a move a point.
    """

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._young: dict[tuple[str, str], Metrics] = {}
        self._old: dict[tuple[str, str], Metrics] = {}
        self._count = 0  # series in the young generation

    def __len__(self) -> int:
        return self._count + sum(map(len, self._old.values()))

    def of(self, profile: str, device: str) -> Metrics:
        """Give the known series of a device; a new one is added with `add`."""
        key = (profile, device)
        series = self._young.get(key)
        if series is None:
            series = self._young[key] = self._old.pop(key, Metrics())
            self._count += len(series)
        return series

    def add(self, profile: str, device: str, metric: str, series: Series) -> None:
        """Know a further series of a device that `of` was asked for."""
        metrics = self._young[profile, device]
        metrics[(metric, series.kind) if metric in metrics else metric] = series
        self._count += 1

    def age(self) -> list[Series]:
        """Forget what has not been used for longest, if there are too many; returns it. Only between transactions."""
        if self._count < self._half:
            return []
        forgotten = self._old
        if self._count >= 2 * self._half:  # all of it was used in one transaction: there is no telling what to forget
            forgotten = self._old | self._young
            self.clear()
        else:
            self._old, self._young, self._count = self._young, {}, 0
        return [series for metrics in forgotten.values() for series in metrics.values()]
