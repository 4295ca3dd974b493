"""Every metric of processor."""

from collections import Counter as Tally
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contracts.readings import Reading
from processor.engine import Written

_LATENESS = ((1, "1s"), (10, "10s"), (60, "1m"), (600, "10m"), (3_600, "1h"), (86_400, "1d"))
_MORE = "more"


def lateness(late: int) -> str:
    """Name the least bound that `late`, in ns, stays below."""
    for seconds, name in _LATENESS:
        if late < seconds * 1_000_000_000:
            return name
    return _MORE


class Metrics:
    """Counted a transaction at a time, so that a point costs next to nothing here."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._points = self._counter(
            "points_written",
            "Moves by one for each point written and committed, a point that was there already included",
        )
        self._lateness = self._counter(
            "points_by_lateness",
            "Moves by one for each point written, under the least time that it took less than from its event to ingest",
            "below",
        )
        self._late = self._counter(
            "late_points",
            "Moves by one for each point that was not the newest of its series: it came out of order (late) or again,"
            " perhaps corrected (duplicate), under the least time that it was older than the newest",
            "cause",
            "below",
        )
        self.dropped = self._counter(
            "partitions_dropped", "Moves by one for each part of a tier that was dropped for its age", "tier"
        )
        self.batches = self._counter("batches", "Moves by one for each batch that is settled and acknowledged")
        self._extended = self._counter(
            "rollups_extended", "Moves by one for each window that a commit extended by newer points"
        )
        self._recomputed = self._counter(
            "rollups_recomputed",
            "Moves by one for each window that a commit computed anew from its points, because a point came late,"
            " came again (duplicate), or what is stored of its series was not known in memory (unknown)",
            "cause",
        )
        self.dead_letters = self._counter(
            "dead_letters", "Moves by one for each batch that was dead-lettered, whole or in part", "reason"
        )
        self.computed_failures = self._counter(
            "computed_failures",
            "Moves by one for each computed metric whose expression failed with a reading; the profile, in devices_api,"
            " shows which and why",
        )
        self.windows_published = self._counter(
            "windows_published",
            "Moves by one for each window that the stream DERIVED has taken: closed by a newer point or by the clock,"
            " or corrected after that",
            "tier",
        )
        self.readings_published = self._counter(
            "readings_published", "Moves by one for each reading's computed values that the stream DERIVED has taken"
        )
        self.derived_dropped = self._counter(
            "derived_dropped",
            "Moves by one for each window, or reading's computed values, that is not published: larger than the stream"
            " server takes (too_large)",
            "reason",
        )
        self._computed = self._counter("computed_points", "Moves by one for each computed value written and committed")
        self._computed_missed = self._counter(
            "computed_missed",
            "Moves by one each time computed values are not what the points give: for a device whose late points"
            " influence more moments than one write evaluates (too_many), and for a reading of computed values that"
            " the store never takes (refused)",
            "reason",
        )
        self._deletions = self._counter(
            "deletions", "Moves by one for each deletion of a range of telemetry that is done or refused", "state"
        )
        self._deleted = self._counter("points_deleted", "Moves by one for each point that such a deletion has deleted")
        self.commit_seconds = Histogram(
            "processor_commit_seconds",
            "Moves with each try to write a transaction, by how long it took",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
            registry=self.registry,
        )
        self._holds = self._counter("store_holds", "Moves each time the store took nothing: the write is tried again")
        self._held = self._gauge("store_held", "Is 1 while a write is held because the store takes nothing, else 0")
        self.lag = self._gauge(
            "lag_batches",
            "Follows how many batches of the partitions owned are not acknowledged yet, looked up every few seconds",
        )
        self.takeovers = self._counter("takeovers", "Moves by one for each partition that is taken")

    def watch(
        self, *, connected: Callable[[], float], partitions: Callable[[], float], series: Callable[[], float]
    ) -> None:
        """Read these when somebody asks for them."""
        self._gauge("partitions_owned", "Follows how many partitions are ours to read").set_function(partitions)
        self._gauge("connected", "Is 1 while there is a connection to the stream server, else 0").set_function(
            connected
        )
        self._gauge("series_known", "Follows how many series are known in memory").set_function(series)

    def wrote(self, readings: Sequence[Reading], written: Written) -> None:
        """Count a transaction that was committed."""
        self._points.inc(written.points)
        self._extended.inc(written.extended)
        for cause, number in written.recomputed.items():
            self._recomputed.labels(cause).inc(number)
        self._computed.inc(sum(len(one.values) for _, computed in written.computed for one in computed))
        for reason, number in written.missed.items():
            self._computed_missed.labels(reason).inc(number)
        self._count_late(written)
        tally: Tally[str] = Tally()
        for reading in readings:
            tally[lateness(reading.received - reading.ts)] += len(reading.values)
        for below, number in tally.items():
            self._lateness.labels(below).inc(number)

    def deleted(self, state: str, points: int) -> None:
        """Count a deletion."""
        self._deletions.labels(state).inc()
        self._deleted.inc(points)

    def _count_late(self, written: Written) -> None:
        tally = Tally((cause, lateness(late)) for cause, late in written.late)
        for (cause, below), number in tally.items():
            self._late.labels(cause, below).inc(number)

    def hold(self) -> None:
        """Count a write that the store did not take."""
        self._holds.inc()
        self._held.set(1)

    def release(self) -> None:
        """Note that the store takes writes again."""
        self._held.set(0)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"processor_{name}", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"processor_{name}", meaning, registry=self.registry)
