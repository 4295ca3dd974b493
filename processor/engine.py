"""The law, once for all stores: a window equals the aggregate of the distinct points in it. Does no I/O of its own.

A point that is newer than every point of its series can be no duplicate, so it extends the series' open windows from
memory. Whatever else comes makes its minute stale, and with it the hour and the day. After the points are written a
stale minute is computed anew from the points that are stored, a stale hour from its minutes, a stale day from its
hours. Memory is forgotten whenever it may not be what is stored: after a failed write, and after another writer.

So that a store without transactions need not keep open windows, two things come before the points of a write: what is
not known of a series is learned from what is stored, and the windows that its new points leave are written, unless all
their points are new. Whatever of a failed write is stored then, each window older than the newest point's is stored, or
will be touched again. A window of new points alone waits for them: what the store refuses makes none.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from contracts.deletions import Deletion
from contracts.derived import Window as ClosedWindow
from contracts.devices import DeviceRecord
from contracts.readings import Reading, Value
from contracts.timeseries import DAY, HOUR, MINUTE, ROLLUPS, Days, Kind, Tier
from processor.announce import Clock, Made
from processor.computed import computed
from processor.computing import Computing, RecordOf, Removal, Verdict
from processor.cutting import cut
from processor.known import Known
from processor.series import NEVER, UNKNOWN, Series, Stale
from processor.store import Span, Store, Taken
from processor.windows import Window, aggregate, joined

Stales = dict[tuple[Series, int], int]
"""Windows to compute anew: their ends, by series and start."""
Batch = tuple[int, Sequence[Reading]]
"""Readings of one partition, in order."""

_END = (1 << 63) - 4 * DAY
"""No point is as late as that, and a day after it still has a time."""


@dataclass
class Written:
    """What one write did.

    `points` were upserted, open windows `extended`, windows computed anew (`recomputed`, by cause). `closed` are the
    windows that are no longer the open one, or were corrected after that. `late` has each point that was not the newest
    of its series: why, and by how many ns. `refused` readings are not stored: their partition, and what the store said.

    `computed` readings were stored beside those that came, which `points` and `late` are about; `verdicts` tell which
    expressions worked and which failed, and `missed` counts what was not computed, by why.
    """

    points: int = 0
    extended: int = 0
    recomputed: Counter[Stale] = field(default_factory=Counter)
    closed: dict[Tier, list[Made]] = field(default_factory=lambda: {tier: [] for tier in ROLLUPS})
    late: list[tuple[Stale, int]] = field(default_factory=list)
    refused: list[tuple[int, Reading, str]] = field(default_factory=list)
    computed: list[Batch] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    missed: Counter[str] = field(default_factory=Counter)


@dataclass
class Deleted:
    """What one deletion did: `points` are gone, and `kept` windows stay although the range cuts them.

    `written` has what the windows that it cut, and the computed metrics, have become. `refused` says why nothing was
    done, if so.
    """

    points: int = 0
    kept: int = 0
    written: Written = field(default_factory=Written)
    refused: str | None = None


class _Changes:
    """What one write changes."""

    def __init__(self) -> None:
        self.touched: list[Series] = []  # have points in `values`
        self.left: dict[Tier, dict[Series, Window]] = {tier: {} for tier in ROLLUPS}  # no longer open
        self.fresh: dict[Tier, list[Made]] = {tier: [] for tier in ROLLUPS}  # the same, with points of this write alone
        self.stale: dict[tuple[Series, int], Stale] = {}  # by series and start of the minute
        self.days: Stales = {}  # stale days
        self.late: list[tuple[Stale, int]] = []
        self.held: dict[Series, list[tuple[int, Value]]] = {}  # points of series that are to be learned first
        self.unknown: set[Series] = set()  # whose newest point was refused
        self.open: dict[Series, None] = {}  # whose open windows have changed

    def leave(self, tier: Tier, series: Series, window: Window) -> None:
        """Note a window that is no longer open: the first of each series has the points from before this write."""
        if series in self.left[tier]:
            self.fresh[tier].append((series, window))
        else:
            self.left[tier][series] = window


class Engine:
    """Writes readings and their windows to `store`. `most_series` bounds what is known in memory.

    `days` gives the local days of a device, asked for when the device becomes known and at the end of each day. Points
    of a series within one `tick` (ns) are one point to the store. `record_of` tells which metrics are computed.
    """

    def __init__(
        self,
        store: Store,
        most_series: int,
        days: Callable[[str], Days],
        tick: int = 1,
        record_of: RecordOf = lambda _: None,
    ) -> None:
        self._store, self._days, self._tick, self._record_of = store, days, tick, record_of
        self._known = Known(most_series)
        self._clock = Clock()
        self._epochs: dict[int, int] = {}  # in which each partition was last written to

    @property
    def series_known(self) -> int:
        """How many series are known in memory."""
        return len(self._known)

    def open(self) -> None:
        """Open the store."""
        self._store.open()

    def close(self) -> None:
        """Close the store, and forget everything; the next write opens it again."""
        self._forget()
        self._store.close()

    def due(self, now: int, epochs: Mapping[int, int]) -> list[tuple[int, ClosedWindow]]:
        """Return the open windows that are over by the clock, each with its partition.

        Only of partitions that are owned with `epochs` and were last written to in the same epoch: if another owner was
        there in between, memory does not hold.
        """
        owned = {partition for partition, epoch in epochs.items() if self._epochs.get(partition) == epoch}
        return self._clock.due(now, owned)

    def write(self, batches: Sequence[Batch], epochs: Mapping[int, int]) -> Written:
        """Store all readings with their windows, of partitions that are owned with `epochs`; on disk when it returns.

        Raises StoreUnavailableError if the store cannot take it now: the same call may work later, and stores each
        point once, whatever of this one was stored.
        """
        with self._transaction(epochs):
            computing, written = Computing(self._known, self._store, self._meet, self._tick), Written()
            self._learn(computing.begin(batches, self._record_of), written)
            computing.read()
            written.points, written.late, written.refused = self._write(batches, written)
            computing.refuse(reading for _, reading, _ in written.refused)
            written.computed = computing.evaluate()
            if written.computed:
                _, _, refused = self._write(written.computed, written)
                computing.lose(len(refused))
            self._store.commit()
        written.verdicts, written.missed = computing.verdicts(), computing.missed
        return written

    def delete(self, partition: int, deletion: Deletion, epochs: Mapping[int, int]) -> Deleted:
        """Delete a range of a device of `partition`, and do as if its points had never come; on disk when it returns.

        Windows are written before points are removed, wider ones first, so that a store without transactions can be
        told the same again after half of it. Raises StoreUnavailableError.
        """
        refused = self._store.refuses(deletion)
        if refused is not None:
            return Deleted(refused=refused)
        with self._transaction(epochs):
            written, end = Written(), min(deletion.end, _END)
            record = self._record_of(deletion.device)
            inputs, dependent = _influence(record, deletion.metrics)
            series = self._series_of(partition, deletion, (record.profile, dependent) if record else ("", dependent))
            self._learn([one for one in series if one.newest == UNKNOWN], written)
            for tier in ROLLUPS:
                open_ = [(one, window) for one in series if (window := one.open(tier)).count]
                self._store.put_windows(tier, open_, anew=True)
            cuts = cut(self._store, series, deletion.start, end)
            for tier in reversed(ROLLUPS):
                self._store.remove(tier, cuts.removed[tier])
                self._store.put_windows(tier, cuts.left[tier], anew=True)
            points = self._store.remove(Tier.RAW, [Span(one, deletion.start, end) for one in series])
            self._learn(series, written)
            self._store.reopen(series)
            self._clock.forget(series)
            self._clock.touch(one for one in series if one.newest != NEVER)
            for tier in ROLLUPS:
                written.closed[tier] += [(one, w) for one, w in cuts.left[tier] if one.open(tier).start != w.start]
            if record is not None and inputs:
                self._compute_anew(partition, deletion, record, inputs, written)
            self._store.commit()
        return Deleted(points, cuts.kept, written)

    def _compute_anew(
        self, partition: int, deletion: Deletion, record: DeviceRecord, inputs: Collection[str], written: Written
    ) -> None:
        """Evaluate what the inputs' points in the deleted range had to do with."""
        computing = Computing(self._known, self._store, self._meet, self._tick)
        end = min(deletion.end, _END)
        start = deletion.start if deletion.metrics else end  # no input has a point left in between
        about = Reading(deletion.device, deletion.start, deletion.at, {}, profile=record.profile)
        removal = Removal(start, end, inputs)
        self._learn(computing.remove(partition, about, record.computed, removal), written)
        written.computed = computing.evaluate()
        if written.computed:
            _, _, refused = self._write(written.computed, written)
            computing.lose(len(refused))
        written.verdicts, written.missed = computing.verdicts(), computing.missed

    def _series_of(self, partition: int, deletion: Deletion, computed: tuple[str, Collection[str]]) -> list[Series]:
        """Give all series that a deletion is about; of the profile in `computed`, metrics computed from these too."""
        device, metrics = deletion.device, frozenset(deletion.metrics)
        found = []
        for profile, metric, kind in self._store.series_of(device, metrics | frozenset(computed[1])):
            if metrics and metric not in metrics and profile != computed[0]:
                continue
            series = self._known.of(profile, device).find(metric, kind)
            found.append(series or self._meet(partition, Reading(device, 0, 0, {}, profile=profile), metric, kind))
        return found

    def _write(
        self, batches: Iterable[Batch], written: Written
    ) -> tuple[int, list[tuple[Stale, int]], list[tuple[int, Reading, str]]]:
        """Write readings and their windows; return how many points, those that were late, and what was refused."""
        changes = _Changes()
        taken = [one for batch in batches for one in self._take(*batch, changes)]
        self._learn(list(changes.held), written)
        for series, points in changes.held.items():
            for ts, value in points:
                self._place(series, ts, value, changes)
        stale = _stale_windows(changes.stale, changes.days)
        for tier in ROLLUPS:
            self._store.put_windows(tier, _but(changes.left[tier].items(), stale[tier]), anew=False)
        # Step 7. write the points
        refused = [(taken[index], detail) for index, detail in self._store.put(taken)]
        if refused:
            for one, _ in refused:
                self._untake(one, changes)
            stale = _stale_windows(changes.stale, changes.days)
        for tier in ROLLUPS:
            self._store.put_windows(tier, _but(changes.fresh[tier], stale[tier]), anew=False)
        # Step 8. roll up
        self._roll_up(changes, written)
        number = sum(len(one.series) for one in taken)
        return number, changes.late, [(one.series[0].partition, one.reading, detail) for one, detail in refused]

    @contextmanager
    def _transaction(self, epochs: Mapping[int, int]) -> Iterator[None]:
        try:
            if not self._store.begin(epochs):
                self._forget()
            self._clock.forget(self._known.age())
            self._epochs.update(epochs)
            yield
        except BaseException:
            self._forget()
            self._store.abort()
            raise

    def _forget(self) -> None:
        self._known.clear()
        self._clock.clear()

    def _take(self, partition: int, readings: Sequence[Reading], changes: _Changes) -> list[Taken]:
        """Find the series of every point, and let it extend the open window or make a window stale."""
        taken = []
        touched = changes.touched
        tick = self._tick
        for reading in readings:
            ts = reading.ts // tick * tick
            known = self._known.of(reading.profile, reading.device)
            row: list[Series] = []
            for metric, value in reading.values.items():
                series = known.get(metric)
                if series is None or series.kind is not value.__class__:
                    series = known.get((metric, value.__class__)) or self._meet(
                        partition, reading, metric, value.__class__
                    )
                if series.newest < ts < series.end:
                    series.newest = ts
                    if not series.values:
                        touched.append(series)
                    series.values.append(value)
                else:
                    self._place(series, ts, value, changes)
                row.append(series)
            taken.append(Taken(reading, row))
        return taken

    def _place(self, series: Series, ts: int, value: Value, changes: _Changes) -> None:
        """Let a point extend the open window, begin a new one, or make a window stale; hold it if nothing is known."""
        if series.newest == UNKNOWN:
            changes.held.setdefault(series, []).append((ts, value))
        elif ts > series.newest:
            if ts >= series.end:
                self._move_on(series, ts, changes)
            series.newest = ts
            if not series.values:
                changes.touched.append(series)
            series.values.append(value)
        else:
            cause = Stale.DUPLICATE if ts == series.newest else Stale.LATE
            changes.stale.setdefault((series, ts - ts % MINUTE), cause)
            changes.late.append((cause, series.newest - ts))

    def _meet(self, partition: int, reading: Reading, metric: str, kind: Kind) -> Series:
        series = Series(partition, reading.profile, reading.device, metric, kind, self._days(reading.device))
        self._store.learn(series)
        self._known.add(reading.profile, reading.device, metric, series)
        return series

    def _move_on(self, series: Series, ts: int, changes: _Changes) -> None:
        """Leave the open minute for the one of `ts`, a newer point."""
        series.fold()
        start = ts - ts % MINUTE
        changes.leave(Tier.M1, series, series.minute)
        if not series.hour.start <= start < series.hour.start + HOUR:
            changes.leave(Tier.H1, series, series.hour)
            series.hour = Window(ts - ts % HOUR)
        if not series.day.start <= start < series.day_end:
            changes.leave(Tier.D1, series, series.day)
            days, series.days = series.days, self._days(series.device)
            if days is not series.days:  # what is stale already lies in days of the zone before
                late = [minute for one, minute in changes.stale if one is series]
                changes.days |= {(series, day): end for day, end in map(days.of, late)}
            day, end = series.days.of(ts)
            if day < series.day_end:  # the zone has changed: the new day begins within the old one
                changes.days[series, day] = end
            series.day, series.day_end = Window(day), end
        series.minute = Window(start)
        series.end = start + MINUTE

    def _learn(self, unknown: list[Series], written: Written) -> None:
        """Compute the open windows of series of which nothing is known from what is stored."""
        stale = self._find_newest(unknown)
        written.recomputed[Stale.UNKNOWN] += len(stale)
        for tier, windows in _stale_windows(stale, {}).items():
            self._anew(tier, windows)

    def _untake(self, taken: Taken, changes: _Changes) -> None:
        """Do as if a reading that the store has refused had never been counted."""
        ts = taken.reading.ts // self._tick * self._tick
        for series in taken.series:
            changes.stale[series, ts - ts % MINUTE] = Stale.REFUSED
            if series.newest == ts:
                changes.unknown.add(series)

    def _roll_up(self, changes: _Changes, written: Written) -> None:
        store = self._store
        for series in changes.touched:
            series.fold()
            changes.open[series] = None
        for series, start in self._find_newest(list(changes.unknown)):
            changes.open[series] = None
            changes.stale.setdefault((series, start), Stale.UNKNOWN)
        for tier, windows in _stale_windows(changes.stale, changes.days).items():
            anew = self._anew(tier, windows)
            store.put_windows(tier, anew, anew=True)
            written.closed[tier] += _but([*changes.left[tier].items(), *changes.fresh[tier]], windows) + anew
            changes.open.update((series, None) for series, start in windows if series.open(tier).start == start)
        still_there = [series for series in changes.open if series.newest != NEVER]
        store.put_open(still_there)
        self._clock.touch(still_there)
        written.extended += len(still_there)
        written.recomputed += Counter(changes.stale.values())

    def _find_newest(self, unknown: list[Series]) -> list[tuple[Series, int]]:
        """Learn which windows are open; these are empty then. Returns the starts of the minutes."""
        minutes = []
        for series, newest in zip(unknown, self._store.newest(unknown) if unknown else (), strict=True):
            series.values.clear()
            if newest == NEVER:
                series.learn(NEVER, Window(), Window(), Window(), 0)
                continue
            start = newest - newest % MINUTE
            day, day_end = series.days.of(newest)
            series.learn(newest, Window(start), Window(newest - newest % HOUR), Window(day), day_end)
            minutes.append((series, start))
        return minutes

    def _anew(self, tier: Tier, stale: Stales) -> list[Made]:
        """Compute the stale windows of a tier; return those that are closed, and keep the others."""
        closed = []
        spans = [Span(series, start, end) for (series, start), end in stale.items()]
        compute = {Tier.M1: self._from_points, Tier.H1: self._from_minutes, Tier.D1: self._from_hours}[tier]
        for span, window in zip(spans, compute(spans) if spans else (), strict=True):
            series = span.series
            if series.open(tier).start != span.start:
                if window.count:
                    closed.append((series, window))
            elif tier is Tier.M1:
                series.minute = window
            elif tier is Tier.H1:
                series.hour = window
            else:
                series.day = window
        return closed

    def _from_points(self, spans: list[Span]) -> Iterator[Window]:
        for span, points in zip(spans, self._store.points(spans), strict=True):
            series = span.series
            if points and span.start == series.minute.start and points[-1][0] > series.newest:
                # Written by an owner that does not know yet that it is none: when it comes to us, it is a repetition.
                series.newest = points[-1][0]
            values = [value for _, value in points]
            yield aggregate(span.start, span.series.kind, values) if values else Window(span.start)

    def _from_minutes(self, spans: list[Span]) -> Iterator[Window]:
        for span, parts in zip(spans, self._store.windows(Tier.M1, spans), strict=True):
            yield joined(span.start, _with_open(parts, span, span.series.minute))

    def _from_hours(self, spans: list[Span]) -> Iterator[Window]:
        """Join a day's hours; where it begins or ends within an hour, the minutes there."""
        whole = [Span(series, -(-start // HOUR) * HOUR, end // HOUR * HOUR) for series, start, end in spans]
        hours = self._store.windows(Tier.H1, whole)
        ragged = [
            Span(day.series, start, end)
            for day, inner in zip(spans, whole, strict=True)
            for start, end in ((day.start, inner.start), (inner.end, day.end))
            if start < end
        ]
        edges = dict(zip(ragged, self._store.windows(Tier.M1, ragged) if ragged else (), strict=True))
        for day, inner, parts in zip(spans, whole, hours, strict=True):
            series = day.series
            before, after = Span(series, day.start, inner.start), Span(series, inner.end, day.end)
            yield joined(
                day.start,
                [
                    *_with_open(edges.get(before, []), before, series.minute),
                    *_with_open(parts, inner, series.hour),
                    *_with_open(edges.get(after, []), after, series.minute),
                ],
            )


def _influence(record: DeviceRecord | None, metrics: Collection[str]) -> tuple[Collection[str], Collection[str]]:
    """Name the inputs that lose points when `metrics` do (all if there are none), and what is computed from them."""
    if record is None or not record.computed:
        return (), ()
    compiled = computed(record.computed)
    inputs = compiled.inputs.intersection(metrics) if metrics else compiled.inputs
    return inputs, compiled.of(inputs) if metrics else ()


def _but(left: Iterable[Made], stale: Stales) -> list[Made]:
    """Give the windows that were left, but for those that are stale."""
    return [(series, window) for series, window in left if window.count and (series, window.start) not in stale]


def _stale_windows(minutes: Iterable[tuple[Series, int]], days: Stales) -> dict[Tier, Stales]:
    """Give the windows of all tiers that have a stale minute, and of `days`; finer tiers first."""
    stale: dict[Tier, Stales] = {Tier.M1: {}, Tier.H1: {}, Tier.D1: dict(days)}
    for series, start in minutes:
        stale[Tier.M1][series, start] = start + MINUTE
        hour = start - start % HOUR
        stale[Tier.H1][series, hour] = hour + HOUR
        day, end = series.days.of(start)
        stale[Tier.D1][series, day] = end
    return stale


def _with_open(parts: list[Window], span: Span, open_: Window) -> list[Window]:
    """Put the open window in its place, if it lies in the span, and leave out what the store holds of it.

    What the store holds of later ones is left out too: it is an older owner's, whose points have yet to come to us.
    """
    if not open_.count:
        return parts
    before = [part for part in parts if part.start < open_.start]
    return [*before, open_] if span.start <= open_.start < span.end else before
