"""What to ask an InfluxDB server for, to read many series with few statements; and what its answers say. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contracts.influxql import Table, identifier, tagged
from contracts.line_layout import (
    TAG,
    aggregates_of,
    field_of,
    m2_of,
    measurement_of,
    start_of_row,
    sum_of,
    to_tag,
    window_field_of,
)
from contracts.readings import Value
from contracts.timeseries import DAY, HOUR, MINUTE, Kind, Tier
from processor.series import Series
from processor.store import Span
from processor.windows import Window

MOST_VALUES = 200_000
"""About how many values the answer to one request holds at most."""
MOST_TAGS = 200
"""Devices in one statement: what a server does with the condition grows with the square of their number."""
MOST_STATEMENTS = 100
"""Statements in one request."""

_ROWS_APART = {Tier.RAW: MINUTE // 60, Tier.M1: MINUTE, Tier.H1: HOUR, Tier.D1: DAY}
"""How far apart rows are thought to be, when an answer's size is guessed."""
_LONGEST = {Tier.RAW: 15 * MINUTE, Tier.M1: DAY, Tier.H1: 31 * DAY, Tier.D1: 366 * DAY}
"""Neighbouring spans of one device are read together, up to so much."""

_LATEST = (1 << 63) - 2
"""The last time that a server knows."""

Place = tuple[str, str, int]
"""Profile, device and start of a range that is read."""


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement, about how many values it gives, and where its tables belong: the device by its tag."""

    text: str
    values: int
    profile: str
    start: int
    devices: dict[str, str]

    def place(self, table: Table) -> Place:
        """Tell what a table of the answer holds."""
        return self.profile, self.devices[table.tags[TAG]], self.start


class Plan:
    """How to read spans of one tier.

    Spans of one device that touch are read together, and so are devices that are read from and to the same times.
    """

    def __init__(self, tier: Tier, spans: Sequence[Span]) -> None:
        self._tier = tier
        self._ranges: dict[tuple[str, str], dict[int, int]] = {}  # by device: where the range of a span's start begins
        self._ends: dict[Place, int] = {}
        self._fields: dict[tuple[str, str], set[str]] = {}
        starts: dict[tuple[str, str], dict[int, int]] = {}
        for series, start, end in spans:
            device = (series.profile, series.device)
            ends = starts.setdefault(device, {})
            ends[start] = max(end, ends.get(start, end))
            self._fields.setdefault(device, set()).update(_fields(tier, series.metric, series.kind))
        for device, ends in starts.items():
            self._ranges[device] = {}
            first = last = -1
            for start, end in sorted(ends.items()):
                if first < 0 or start > last or end - first > _LONGEST[tier]:
                    first = start
                last = max(last, end) if start != first else end
                self._ranges[device][start] = first
                self._ends[*device, first] = last

    def place(self, span: Span) -> Place:
        """Tell where the rows of a span are."""
        device = (span.series.profile, span.series.device)
        return *device, self._ranges[device][span.start]

    def statements(self) -> Iterator[Statement]:
        """Give the statements."""
        groups: dict[tuple[str, int, int, tuple[str, ...]], list[str]] = {}
        for (profile, device, start), end in self._ends.items():
            fields = tuple(sorted(self._fields[profile, device]))
            groups.setdefault((profile, start, end, fields), []).append(device)
        for (profile, start, end, fields), devices in groups.items():
            measurement = identifier(measurement_of(profile, self._tier))
            each = len(fields) * max(1, (end - start) // _ROWS_APART[self._tier])
            most = max(1, min(MOST_TAGS, MOST_VALUES // each))
            for at in range(0, len(devices), most):
                part = {to_tag(device): device for device in devices[at : at + most]}
                text = (
                    f"SELECT {', '.join(map(identifier, fields))} FROM {measurement} "
                    f'WHERE time >= {start} AND time <= {min(end - 1, _LATEST)} AND {tagged(part)} GROUP BY "{TAG}"'
                )
                yield Statement(text, each * len(part), profile, start, part)


def newest_statements(series: Sequence[Series]) -> Iterator[tuple[Statement, tuple[str, str, Kind]]]:
    """Ask for the newest point of each series; with each statement come profile, metric and kind."""
    groups: dict[tuple[str, str, Kind], list[str]] = {}
    for one in series:
        groups.setdefault((one.profile, one.metric, one.kind), []).append(one.device)
    for (profile, metric, kind), devices in groups.items():
        for at in range(0, len(devices), MOST_TAGS):
            part = {to_tag(device): device for device in devices[at : at + MOST_TAGS]}
            text = (
                f"SELECT last({identifier(field_of(metric, kind))}) "
                f'FROM {identifier(measurement_of(profile, Tier.RAW))} WHERE {tagged(part)} GROUP BY "{TAG}"'
            )
            yield Statement(text, 2 * len(part), profile, 0, part), (profile, metric, kind)


def requests(statements: Iterator[Statement]) -> Iterator[list[Statement]]:
    """Put statements into requests whose answers are not too large."""
    request: list[Statement] = []
    values = 0
    for statement in statements:
        if request and (len(request) == MOST_STATEMENTS or values + statement.values > MOST_VALUES):
            yield request
            request, values = [], 0
        request.append(statement)
        values += statement.values
    if request:
        yield request


def points_of(table: Table, span: Span) -> list[tuple[int, Value]]:
    """Give the points of a span."""
    series, start, end = span
    name = field_of(series.metric, series.kind)
    if name not in table.columns:
        return []
    at = table.columns.index(name)
    return [
        (row[0], to_kind(series.kind, row[at]))  # type: ignore[misc]  # a time
        for row in table.values
        if row[at] is not None and start <= row[0] < end  # type: ignore[operator]  # a time
    ]


def windows_of(table: Table, span: Span) -> list[Window]:
    """Give the windows that begin in a span: of each, what its last row says."""
    series, start, end = span
    names = [window_field_of(series.metric, series.kind, name) for name in aggregates_of(series.kind)]
    if names[0] not in table.columns:
        return []
    at = [table.columns.index(name) for name in names]
    windows: dict[int, Window] = {}
    for row in table.values:
        begins = start_of_row(row[0])  # type: ignore[arg-type]  # a time
        if row[at[0]] is not None and start <= begins < end:
            windows[begins] = _window(begins, series.kind, [row[index] for index in at])
    return list(windows.values())


def to_kind(kind: Kind, value: Value | int | None) -> Value:
    """Turn a value in an answer into what was written: whole numbers come as integers."""
    return float(value) if kind is float else value  # type: ignore[arg-type, return-value]  # a number


def _window(start: int, kind: Kind, found: Sequence[Value | int | None]) -> Window:
    window = Window(start)
    window.count = count = int(found[0] or 0)
    window.last = to_kind(kind, found[-1])
    if kind is float:
        mean, stddev, window.min, window.max, window.first = (float(value or 0.0) for value in found[1:-1])
        window.sum, window.m2 = sum_of(mean, count), m2_of(stddev, count)
    return window


def _fields(tier: Tier, metric: str, kind: Kind) -> list[str]:
    if tier is Tier.RAW:
        return [field_of(metric, kind)]
    return [window_field_of(metric, kind, aggregate) for aggregate in aggregates_of(kind)]
