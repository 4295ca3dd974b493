"""The VictoriaMetrics store, in the layout of contracts.victoria_layout. Closed windows are stored, open ones are not.

Nothing is deleted or replaced here: whatever is written again, late, by a stale owner or in a write that failed, is
either the same or loses against what knows more. So an owner is fenced without being told.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from contracts.deletions import Deletion
from contracts.readings import Value
from contracts.timeseries import Kind, Tier
from contracts.victoria_layout import (
    MOST_TEXT,
    TICK,
    Row,
    device_of,
    is_same,
    name_of,
    points_of,
    row_time,
    rows_of,
    selector,
    window_names_of,
)
from processor.series import NEVER, UNKNOWN, Series
from processor.store import Refusal, Span, StoreUnavailableError, Taken, any_of
from processor.victoria_client import VictoriaClient
from processor.victoria_lines import VictoriaLines, row_of, window_of
from processor.victoria_spans import by_name, chunks, together
from processor.windows import Window

_MOST_NUMBERS = 100_000
"""Numbers in one request; about 4 MB of text."""
_DAY = 86_400_000
_AHEAD = 2 * _DAY
"""The server leaves out what is later than that, without an error."""
_BACK = (_DAY // 24, _DAY, 31 * _DAY, 366 * _DAY)
"""How far back, in ms, the newest point is looked for, step by step: the server reads all that is in the range."""

_BEHIND = {Tier.M1: 2 * 60_000, Tier.H1: 2 * _DAY // 24, Tier.D1: _DAY + 2 * _DAY // 24}
"""How far, in ms, a row lies at most behind the start of its window: the window's width and a minute, or more."""

_UNITS = {"h": _DAY // 24, "d": _DAY, "w": 7 * _DAY, "M": 31 * _DAY, "y": 365 * _DAY, "": 31 * _DAY}
_PERIOD = re.compile(r"([0-9.]+)([hdwMy]?)")
_Found = dict[str, list[tuple[dict[str, str], list[tuple[int, float]]]]]
"""By device: the labels of each of its series, and the samples as (ms, value)."""

_FIXED = {
    "dedup.minScrapeInterval": "0s|0",
    "influxTrimTimestamp": "1ms",
    "influxMeasurementFieldSeparator": "_",
    "influxSkipMeasurement": "false",
    "influxSkipSingleField": "false",
    "precisionBits": "64",
    "relabelConfig": "",
    "storage.maxDailySeries": "0",
    "storage.maxHourlySeries": "0",
}
"""Flags with which the server would store something else than it is sent, without an error."""


class VictoriaStore:
    """A store for processor.store.Store. `now` gives the time in ns; `keeps` is how long, in ns, profiles want data."""

    tick = TICK

    def __init__(self, client: VictoriaClient, now: Callable[[], int], keeps: Callable[[], int] = lambda: 0) -> None:
        self._client, self._now, self._keeps = client, now, keeps
        self._retention = 0  # ms; 0: not connected
        self._owned: dict[int, int] = {}
        self._lines = VictoriaLines()
        self._seen = True  # queries see all that was sent
        self._durable = True  # all that was sent in this write is on disk

    def open(self) -> None:
        """Look at how the server was started. Raises StoreUnavailableError if it would lose something silently."""
        if self._retention:
            return
        flags = self._client.flags()
        for name, wanted in _FIXED.items():
            if not re.fullmatch(wanted, flags.get(name, wanted.partition("|")[0])):
                raise StoreUnavailableError(
                    f"VictoriaMetrics runs with -{name}={flags[name]}: it would store something else than it is sent"
                )
        period = flags.get("retentionPeriod", "1")
        retention = _retention(period)
        if retention * TICK < self._keeps():
            days = self._keeps() // (_DAY * TICK)
            raise StoreUnavailableError(
                f"VictoriaMetrics runs with -retentionPeriod={period}, but profiles keep data for {days} days:"
                f" start it with -retentionPeriod={days}d or more"
            )
        self._retention = retention

    def close(self) -> None:
        """Close the connection."""
        self._lines.clear()
        self._owned.clear()
        self._retention = 0
        self._client.close()

    def abort(self) -> None:
        """Forget what was not sent; the next write looks at the server anew."""
        self.close()

    def begin(self, epochs: Mapping[int, int]) -> bool:
        """Begin; False if one of the partitions is owned anew."""
        self.open()
        # A connection for each write: if the server starts anew meanwhile, which forgets, the write fails.
        self._client.connect()
        mine = all(self._owned.get(partition) == epoch for partition, epoch in epochs.items())
        self._owned.update(epochs)
        self._seen, self._durable = False, True
        return mine

    def learn(self, series: Series) -> None:
        """Tell the series that nothing is known of it."""
        series.newest = UNKNOWN

    def find(
        self,
        profile: str,  # noqa: ARG002 - `newest` tells at once which of them there are
        device: str,  # noqa: ARG002 - as above
        metrics: Collection[str],
    ) -> Collection[tuple[str, Kind]]:
        """Say that all may be there."""
        return any_of(metrics)

    def put(self, taken: Sequence[Taken]) -> list[Refusal]:
        """Write points, the windows that they close before them. What the server would leave out is refused."""
        self._send()
        self._make_durable()
        now = self._now() // TICK
        oldest, newest = max(0, now - self._retention + _DAY), now + _AHEAD - _DAY // 24
        refusals, lines = [], self._lines
        for at, (reading, _) in enumerate(taken):
            if not oldest <= reading.ts // TICK <= newest:
                refusals.append(Refusal(at, "VictoriaMetrics does not keep this time: see its -retentionPeriod"))
            elif any(value.__class__ is str and len(value) > MOST_TEXT for value in reading.values.values()):
                refusals.append(Refusal(at, f"VictoriaMetrics: a text has more than {MOST_TEXT} characters"))
            else:
                lines.add(reading)
                if len(lines) >= _MOST_NUMBERS:
                    self._send()
        self._send()
        return refusals

    def points(self, spans: Sequence[Span]) -> list[list[tuple[int, Value]]]:
        """Return the points of each span: of those within one ms, the one with the largest value."""
        found: dict[Span, dict[int, Value]] = {}
        for (profile, metric, kind), near in together(spans):
            names = {name_of(profile, metric, kind): ""}
            for device, samples in self._export(names, profile, near, 0).items():
                for span in near[device]:
                    points = points_of(kind, samples).items()
                    found[span] = {at: value for at, value in points if span.start <= at * TICK < span.end}
        return [[(at * TICK, value) for at, value in sorted(found.get(span, {}).items())] for span in spans]

    def windows(self, tier: Tier, spans: Sequence[Span]) -> list[list[Window]]:
        """Return the closed windows of each span."""
        return [
            [window_of(start * TICK, row) for start, (_, row) in sorted(rows.items())]
            for rows in self._rows(tier, spans)
        ]

    def newest(self, series: Sequence[Series]) -> list[int]:
        """Return the times of the newest points."""
        self._see()
        found: dict[Series, int] = {}
        end = self._now() // TICK + _AHEAD
        for back in (*(_AHEAD + back for back in _BACK), end):
            left = [one for one in series if one not in found]
            for (profile, metric, kind), same in by_name(left):
                for some in chunks({one.device: one for one in same}):
                    name = selector([name_of(profile, metric, kind)], profile, some)
                    for labels, at in self._client.query(f"tlast_over_time({name}[{back}ms])", end):
                        one = some[device_of(labels)]
                        found[one] = max(found.get(one, 0), round(at * 1000))
        return [found[one] * TICK if one in found else NEVER for one in series]

    def put_windows(self, tier: Tier, windows: Sequence[tuple[Series, Window]], *, anew: bool) -> None:
        """Write closed windows, those that may be there already behind the rows that are."""
        rows: Iterable[dict[int, Row]] = ({} for _ in windows)
        if anew and windows:
            rows = self._rows(tier, [Span(one, window.start, window.start + 1) for one, window in windows])
        for (one, window), there in zip(windows, rows, strict=True):
            start = window.start // TICK
            at = row_time(start, window.count)
            last, row = there.get(start, (0, {}))
            if last >= at:
                if is_same(row, row_of(window)):
                    continue
                at = last + 1
            self._lines.add_window(tier, one, window, at)
            if len(self._lines) >= _MOST_NUMBERS:
                self._send()

    def put_open(self, series: Sequence[Series]) -> None:
        """Write nothing: readers compute open windows, as this program does when it has to."""

    def commit(self) -> None:
        """Send what is left, and let the server write it to disk."""
        self._send()
        self._make_durable()

    def refuses(self, deletion: Deletion) -> str | None:  # noqa: ARG002 - as Store has it
        """Refuse all: this server deletes whole series only, and what it has it keeps until its -retentionPeriod."""
        return "VictoriaMetrics cannot delete a range of time"

    def series_of(self, device: str, metrics: Collection[str]) -> Collection[tuple[str, str, Kind]]:
        """Do not get called: see `refuses`."""
        raise NotImplementedError

    def remove(self, tier: Tier, spans: Sequence[Span]) -> int:
        """Do not get called: see `refuses`."""
        raise NotImplementedError

    def reopen(self, series: Sequence[Series]) -> None:
        """Do not get called: see `refuses`."""
        raise NotImplementedError

    def drop(self, profile: str, tier: Tier, before: int) -> int:  # noqa: ARG002 - as Store has it
        """Drop nothing: this server deletes by its -retentionPeriod only. Returns 0."""
        return 0

    def _send(self) -> None:
        if self._lines:
            self._seen = self._durable = False
            self._client.write(self._lines.take())

    def _see(self) -> None:
        self._send()
        if not self._seen:
            self._client.make_visible()
            self._seen = True

    def _make_durable(self) -> None:
        if not self._durable:
            self._client.make_durable()
            self._seen = self._durable = True

    def _rows(self, tier: Tier, spans: Sequence[Span]) -> list[dict[int, Row]]:
        """Return the rows of the windows that begin in each span, by their starts in ms."""
        found: dict[Span, dict[int, Row]] = {}
        for (profile, metric, kind), near in together(spans):
            names = window_names_of(profile, metric, kind, tier)
            for device, samples in self._export(names, profile, near, _BEHIND[tier]).items():
                rows = rows_of(kind, names, samples)
                for span in near[device]:
                    found[span] = {at: row for at, row in rows.items() if span.start <= at * TICK < span.end}
        return [found.get(span, {}) for span in spans]

    def _export(
        self, names: Mapping[str, str], profile: str, near: Mapping[str, Sequence[Span]], behind: int
    ) -> _Found:
        """Read all samples with these names in the spans of devices and up to `behind` ms after them, by device."""
        self._see()
        every = [span for spans in near.values() for span in spans]
        start, end = min(span.start for span in every) // TICK, max(span.end for span in every) // TICK + behind + 1
        found: _Found = {}
        for devices in chunks(near):
            for labels, samples in self._client.export([selector(names, profile, devices)], start, end):
                found.setdefault(device_of(labels), []).append((labels, samples))
        return found


def _retention(period: str) -> int:
    """Read -retentionPeriod in ms; without a unit it is in months of 31 days."""
    match = _PERIOD.fullmatch(period)
    if match is None:
        raise StoreUnavailableError(f"VictoriaMetrics runs with -retentionPeriod={period}, which is not understood")
    return int(float(match[1]) * _UNITS[match[2]])
