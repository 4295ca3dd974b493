"""What a ledger says of a run by itself: messages a second, and how long the broker took to acknowledge them."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

import numpy as np

from simulators.models.model import Int64s
from simulators.plan.batch import Expect
from simulators.scenario.report import Latency, Throughput
from simulators.truth.entries import Run
from simulators.truth.histogram import COARSE, Histogram
from simulators.truth.reading import Acked, Entered, Entry, Sent

SHOWN = (50.0, 90.0, 99.0, 99.9, 99.99)
_MOST = 600
"""Stretches that a run is divided into; a longer run has longer ones, so that memory does not grow."""

_SECOND = 1_000_000_000
_REJECTED = {Expect.REJECTED, Expect.PARTLY}


class OverTime:
    """Counts and durations by when they were due, in at most 600 stretches; the first is of one second each."""

    def __init__(self, began: int) -> None:
        self._began, self.width = began, 1
        self.histograms: dict[int, Histogram] = {}

    def add(self, moments: Int64s, durations: Int64s) -> None:
        """Count durations (ns) of what was due at `moments` (ns since 1970)."""
        places = self._places(moments)
        for place in np.unique(places).tolist():
            self.histograms.setdefault(place, Histogram(COARSE)).add(durations[places == place])

    def _places(self, moments: Int64s) -> Int64s:
        places = np.maximum(0, (moments - self._began) // _SECOND)
        while int(places.max(initial=0)) // self.width >= _MOST:
            self._widen()
        return np.asarray(places // self.width, dtype=np.int64)

    def _widen(self) -> None:
        self.width *= 2
        old, self.histograms = self.histograms, {}
        for place, histogram in old.items():
            if place // 2 in self.histograms:
                self.histograms[place // 2].merge(histogram)
            else:
                self.histograms[place // 2] = histogram

    def rows(self) -> list[tuple[float, float, float, float]]:
        """Give the middle of each stretch in seconds, with the median, the 99th percentile and the most."""
        found = []
        for place, histogram in sorted(self.histograms.items()):
            median, high = histogram.percentiles((50.0, 99.0))
            found.append(((place + 0.5) * self.width, median, high, histogram.most))
        return found


class Delays:
    """How long something took, over all and over time."""

    def __init__(self, name: str, began: int) -> None:
        self._name, self.all, self._over_time = name, Histogram(), OverTime(began)

    def add(self, due: Int64s, durations: Int64s) -> None:
        """Count durations (ns) of what was due at `due` (ns since 1970)."""
        self.all.add(durations)
        self._over_time.add(due, durations)

    def latency(self) -> Latency:
        """Sum it up."""
        return summed_up(self._name, self.all, self._over_time.rows())


def summed_up(name: str, histogram: Histogram, rows: list[tuple[float, float, float, float]]) -> Latency:
    """Say what a histogram holds, as a report has it."""
    if not histogram.count:
        return Latency(name, 0)
    found = zip((f"p{percent:g}" for percent in SHOWN), histogram.percentiles(SHOWN), strict=True)
    return Latency(name, histogram.count, dict(found) | {"max": histogram.most}, histogram.curve(), rows)


class Unacked:
    """When the messages were due that have not been acknowledged; those of a batch are forgotten together."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._batches: list[tuple[Int64s, list[int]]] = []

    def entered(self, batch: Entered) -> None:
        """Note a batch; batches come in the order of their numbers, but for what is said in between."""
        place = bisect_right(self._firsts, batch.first)
        self._firsts.insert(place, batch.first)
        self._batches.insert(place, (batch.intended, [len(batch)]))

    def acked(self, numbers: Int64s) -> Int64s:
        """Give when they were due; -1 for one that is not known, or was acknowledged long ago."""
        due = np.full(len(numbers), -1, dtype=np.int64)
        which = np.searchsorted(np.array(self._firsts, dtype=np.int64), numbers, side="right") - 1
        for place in sorted(np.unique(which).tolist(), reverse=True):
            if place < 0:
                continue
            intended, left = self._batches[place]
            mine = which == place
            offsets = numbers[mine] - self._firsts[place]
            inside = offsets < len(intended)
            due[mine] = np.where(inside, intended[np.minimum(offsets, len(intended) - 1)], -1)
            left[0] -= int(inside.sum())
            if left[0] <= 0:
                del self._firsts[place], self._batches[place]
        return due


class Measured:
    """What became of one run. `began` (ns since 1970) is when its sending did."""

    def __init__(self, began: int) -> None:
        self._began = began
        self._due, self._sent, self._acked = (Counter[int]() for _ in range(3))
        self._unacked = Unacked()
        self.puback = Delays("publish → PUBACK", began)
        self.faults: Counter[str] = Counter()
        self.to_reject: Counter[str] = Counter()
        """Of `faults`, those of which there has to be a dead letter."""

    def throughput(self) -> Throughput:
        """Give messages a second."""
        seconds = 1 + max([second for counts in (self._due, self._sent, self._acked) for second in counts], default=-1)
        width = max(1, -(-seconds // _MOST))
        due, sent, acked = (_rates(counts, seconds, width) for counts in (self._due, self._sent, self._acked))
        return Throughput(width, due, sent, acked)

    def take(self, entry: Entry) -> None:
        """Take an entry of the ledger."""
        if isinstance(entry, Entered):
            self._unacked.entered(entry)
            self._count(self._due, entry.intended)
            for fault, expect in zip(entry.faults, entry.expects.tolist(), strict=False):
                if fault:
                    self.faults[fault] += 1
                    self.to_reject[fault] += expect in _REJECTED
        elif isinstance(entry, Acked):
            self._count(self._acked, entry.ats)
            due = self._unacked.acked(entry.numbers)
            known = due >= 0
            self.puback.add(due[known], (entry.ats - due)[known])
        elif isinstance(entry, Sent):
            self._count(self._sent, entry.ats)

    def _count(self, counts: Counter[int], moments: Int64s) -> None:
        seconds, numbers = np.unique(np.maximum(0, (moments - self._began) // _SECOND), return_counts=True)
        for second, number in zip(seconds.tolist(), numbers.tolist(), strict=True):
            counts[second] += number


def _rates(counts: Counter[int], seconds: int, width: int) -> list[float]:
    rates = [0.0] * -(-seconds // width)
    for second, number in counts.items():
        rates[second // width] += number / width
    return rates


def measure(entries: Iterable[Entry], began: int) -> Measured:
    """Read the last run of a ledger."""
    measured = Measured(began)
    for entry in entries:
        if isinstance(entry, Run):
            measured = Measured(began)  # numbers begin anew
        measured.take(entry)
    return measured
