"""Computed metrics of the readings of one write, from memory where that tells, from the store where not. Pure.

A computed value at `ts` is a function of the distinct points of the device at and before `ts`. A reading that is newer
than all that is known of its metrics, and not older than the device's other inputs, changes no other moment: it is
evaluated from memory, before it is taken. After any other one, each moment that it influences is evaluated anew from
what is stored, as soon as it is.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from contracts.devices import DeviceRecord
from contracts.readings import Reading, Value
from contracts.timeseries import RANK, Kind
from processor.computed import Computed, computed
from processor.known import Known
from processor.series import UNKNOWN, Series
from processor.store import Span, Store
from processor.walk import MOST_AGE, Asking, Point, Walk

MOST_MOMENTS = 10_000
"""So many moments of a device are evaluated in a write, beside those of the readings that were written."""

MOST_AFTER_DELETING = 100_000
"""The same after a deletion: a day of other inputs' points each second, and some more."""

TOO_MANY = "too_many"
"""Why moments keep the value that they have: they are beyond MOST_MOMENTS. Counted once a device and write."""
REFUSED = "refused"
"""Why a computed reading is not stored: the store never takes it."""

RecordOf = Callable[[str], DeviceRecord | None]
"""Gives the record of a device; None if it is not registered."""
Meet = Callable[[int, Reading, str, Kind], Series]
"""Makes a series known, of the reading's device."""


class Verdict(NamedTuple):
    """Which expressions have a value at a moment, and why others failed; of several moments, if none did."""

    profile: str
    expressions: Mapping[str, str]
    device: str
    worked: set[str]
    errors: Mapping[str, str]


class Removal(NamedTuple):
    """From which moment on values are to be evaluated anew; and which metrics have lost points before `end`."""

    start: int
    end: int
    metrics: Collection[str]


class Computing:
    """The computed metrics of one write: `begin` and `read` before readings are taken, `evaluate` after they are put.

    Points of a series within one `tick` (ns) are one point to the store.
    """

    def __init__(self, known: Known, store: Store, meet: Meet, tick: int) -> None:
        self._known, self._store, self._meet, self._tick = known, store, meet, tick
        self._devices: dict[tuple[str, str], _Device] = {}
        self._readings: list[tuple[_Device, Reading]] = []
        self.missed: Counter[str] = Counter()
        """What was not evaluated or not stored, by why."""

    def begin(self, batches: Iterable[tuple[int, Sequence[Reading]]], record_of: RecordOf) -> list[Series]:
        """Look the inputs up of all devices that need some; return the series of which nothing is known."""
        for partition, readings in batches:
            for reading in readings:
                record = record_of(reading.device)
                if record is not None and record.computed and record.profile == reading.profile:
                    device = self._devices.get((reading.profile, reading.device))
                    if device is None:
                        device = self._begin(partition, reading, record.computed)
                    if not device.compiled.inputs.isdisjoint(reading.values):
                        self._readings.append((device, reading))
        return [one for device in self._devices.values() for one in device.series() if one.newest == UNKNOWN]

    def remove(
        self, partition: int, reading: Reading, expressions: Mapping[str, str], removal: Removal
    ) -> list[Series]:
        """Note that inputs of the reading's device and profile have lost points; returns as `begin`.

        All computed points in that range that depend on them are gone too.
        """
        device = self._begin(partition, reading, expressions)
        device.removed = dict.fromkeys(removal.metrics, removal.end - 1 + MOST_AGE)
        device.changed[removal.start] = set()
        return [one for one in device.series() if one.newest == UNKNOWN]

    def read(self) -> None:
        """Evaluate what can be told from memory, which does not have these readings yet."""
        for device in self._devices.values():
            device.remember()
        tick = self._tick
        for device, reading in self._readings:
            device.read(reading, reading.ts // tick * tick)

    def refuse(self, readings: Iterable[Reading]) -> None:
        """Take back what was evaluated from memory for the devices of readings that are not stored."""
        for reading in readings:
            device = self._devices.get((reading.profile, reading.device))
            if device is not None:
                device.distrust()

    def evaluate(self) -> list[tuple[int, Sequence[Reading]]]:
        """Give all that was computed, by partition: of each device one reading a moment, in order of time."""
        changed = [device for device in self._devices.values() if device.changed]
        walks = [Walk(list(one.series()), one.changed, one.most, one.visit, one.removed) for one in changed]
        _answer(self._store, [walk.run() for walk in walks])
        self._miss(TOO_MANY, sum(walk.cut for walk in walks))
        all_ = ((device.partition, device.readings()) for device in self._devices.values())
        return [(partition, readings) for partition, readings in all_ if readings]

    def lose(self, readings: int) -> None:
        """Count so many computed readings that the store has refused."""
        self._miss(REFUSED, readings)

    def verdicts(self) -> list[Verdict]:
        """Tell what worked and what failed."""
        return [verdict for device in self._devices.values() for verdict in device.verdicts]

    def _miss(self, why: str, times: int) -> None:
        if times:
            self.missed[why] += times

    def _begin(self, partition: int, reading: Reading, expressions: Mapping[str, str]) -> "_Device":
        compiled = computed(expressions)
        metrics = self._known.of(reading.profile, reading.device)
        if metrics.whole is not compiled:
            for metric, kind in self._store.find(reading.profile, reading.device, compiled.inputs):
                if metrics.find(metric, kind) is None:
                    self._meet(partition, reading, metric, kind)
            metrics.whole = compiled
        device = _Device(partition, reading, expressions, compiled, self._known)
        self._devices[reading.profile, reading.device] = device
        return device


class _Device:
    """What one write does to one device's computed metrics.

    `changed` are the metrics that changed in another way than by a newer point, by time; `removed` those that have lost
    points, and until when these would have counted.
    """

    def __init__(
        self, partition: int, reading: Reading, expressions: Mapping[str, str], compiled: Computed, known: Known
    ) -> None:
        self.partition, self.compiled = partition, compiled
        self.profile, self.device = reading.profile, reading.device
        self._expressions, self._known = expressions, known
        self._latest: dict[str, Point] = {}
        self._received: dict[int, int] = {}
        self._last_received = reading.received
        self._values: dict[int, dict[str, Value]] = {}
        self._sent: dict[int, dict[str, Value]] = {}  # of the computed metrics' names, by the device itself
        self.changed: dict[int, set[str]] = {}
        self.removed: dict[str, int] = {}
        self.verdicts: list[Verdict] = []

    @property
    def most(self) -> int:
        """How many moments are evaluated beside those of `changed`."""
        return MOST_AFTER_DELETING if self.removed else MOST_MOMENTS

    def series(self) -> Iterator[Series]:
        """Give the series of all inputs."""
        known = self._known.of(self.profile, self.device)
        for metric in self.compiled.inputs:
            yield from known.kinds(metric)

    def remember(self) -> None:
        """Take the newest point of each input from memory."""
        for series in self.series():
            last = series.last()
            if last is not None and (series.metric not in self._latest or last[0] > self._latest[series.metric][0]):
                self._latest[series.metric] = last

    def read(self, reading: Reading, ts: int) -> None:
        """Evaluate, or note that it has to be done later."""
        own, latest = reading.values, self._latest
        self._received[ts] = self._last_received = reading.received
        if not self._expressions.keys().isdisjoint(own):
            sent = {metric: value for metric, value in own.items() if metric in self._expressions}
            self._sent[ts] = self._sent.get(ts, {}) | sent
        if self._evaluate_newest(ts, own):
            for metric in self.compiled.inputs:
                if metric in own:
                    latest[metric] = ts, own[metric]
            return
        changed = own.keys() & self.compiled.inputs
        self.changed.setdefault(ts, set()).update(changed)
        for metric in changed:
            point = ts, own[metric]
            if metric not in latest or _order(latest[metric]) <= _order(point):
                latest[metric] = point

    def visit(
        self, ts: int, own: Mapping[str, Value], newest: Mapping[str, Value], previous: Mapping[str, Point]
    ) -> None:
        """Evaluate a moment anew, from what is stored."""
        # What the device sent itself is not replaced; where it was before, only the store could tell, and does not.
        moments = [self._sent.get(ts, {})] if ts in self.changed else self._sent.values()
        sent = {metric: value for moment in moments for metric, value in moment.items()}
        self._evaluate(ts, {**own, **sent} if sent else own, newest, previous)

    def distrust(self) -> None:
        """Let all that was evaluated from memory be evaluated anew."""
        for ts in self._values:
            self.changed.setdefault(ts, set()).update(self.compiled.inputs)
        self._values.clear()
        self.verdicts.clear()

    def readings(self) -> list[Reading]:
        """Give what was computed."""
        return [
            Reading(self.device, ts, self._received.get(ts, self._last_received), values, {}, self.profile)
            for ts, values in sorted(self._values.items())
            if values
        ]

    def _evaluate_newest(self, ts: int, own: Mapping[str, Value]) -> bool:
        """Evaluate from memory, unless the reading is not the newest."""
        latest, newest = self._latest, dict[str, Value]()
        together = own
        for metric, (at, value) in latest.items():
            if at < ts:
                if at >= ts - MOST_AGE:
                    newest[metric] = value
            elif at > ts or metric in own or metric in self.compiled.counters:
                return False
            else:  # of the same moment, from a reading before
                together = {**together, metric: value}
        if ts in self._sent:
            together = {**together, **self._sent[ts]}
        previous = {metric: latest[metric] for metric in self.compiled.counters if metric in newest}
        self._evaluate(ts, together, newest, previous)
        return True

    def _evaluate(
        self, ts: int, own: Mapping[str, Value], newest: Mapping[str, Value], previous: Mapping[str, Point]
    ) -> None:
        values, errors = self.compiled.evaluate(own, newest, previous, ts)
        self._values[ts] = values
        if errors or not self.verdicts or self.verdicts[-1].errors:
            self.verdicts.append(Verdict(self.profile, self._expressions, self.device, set(values), errors))
        else:  # nothing failed, as before
            self.verdicts[-1].worked.update(values)


def _order(point: Point) -> tuple[int, int]:
    """Of several points of a metric, the one that counts is the greatest."""
    return point[0], -RANK[point[1].__class__]


def _answer(store: Store, askings: Iterable[Asking]) -> None:
    """Answer all that is asked, one question of each at a time together."""
    waiting: list[tuple[Asking, list[Span]]] = []
    for asking in askings:
        spans = next(asking, None)
        if spans is not None:
            waiting.append((asking, spans))
    while waiting:
        found = iter(store.points([span for _, spans in waiting for span in spans]))
        still = []
        for asking, spans in waiting:
            try:
                still.append((asking, asking.send([next(found) for _ in spans])))
            except StopIteration:
                continue
        waiting = still
