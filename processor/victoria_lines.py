"""Writes points and windows for VictoriaMetrics, as line protocol in the layout of contracts.victoria_layout. Pure.

All numbers of a request are written by one call of msgspec, which does it ten times as fast as `repr` and as exactly,
then cut apart and put into one format string.
"""

from collections.abc import Mapping

import msgspec

from contracts.line_layout import (
    FLAGS,
    TAG,
    aggregates_of,
    field_of,
    m2_of,
    mean_of,
    measurement_of,
    stddev_of,
    sum_of,
    to_tag,
    window_field_of,
)
from contracts.readings import Reading, Value
from contracts.timeseries import Kind, Tier
from contracts.victoria_layout import PROFILE, TEXT, TICK
from processor.series import Series
from processor.windows import Window

_MOST_CACHED = 200_000
"""Devices whose part of a line is remembered; when there are more, all are forgotten. About 60 MB."""
_MOST_FORMATS = 20_000
"""The same for sets of metrics, and for metrics."""
_MOST_FIELDS = 1000
"""Most fields in a line: the server leaves out lines that are longer than 256 KB, without an error."""

_MEASUREMENT = str.maketrans({",": r"\,", " ": r"\ "})
_KEY = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})

_json = msgspec.json.Encoder()


class VictoriaLines:
    """Collects lines; remembers escaped names. A format string, so that a % in a name is written twice."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._numbers: list[Value | int] = []
        self._heads: dict[tuple[Tier, str, str], str] = {}
        self._fields: dict[tuple[str | Kind, ...], str | None] = {}
        self._windows: dict[tuple[str, Kind], str] = {}

    def __bool__(self) -> bool:
        return bool(self._parts)

    def __len__(self) -> int:
        """About how many numbers there are."""
        return len(self._numbers)

    def take(self) -> str:
        """Return the lines, and begin anew."""
        parts, numbers = self._parts, self._numbers
        self.clear()
        return "".join(parts) % tuple(_json.encode(numbers)[1:-1].decode().split(",")) if parts else ""

    def clear(self) -> None:
        """Forget the lines."""
        self._parts, self._numbers = [], []

    def add(self, reading: Reading) -> None:
        """Write the points of a reading."""
        values = reading.values
        head = self._head(Tier.RAW, reading.profile, reading.device)
        kinds: tuple[str | Kind, ...] = (*values, *map(type, values.values()))
        fields = self._fields.get(kinds, "")
        if fields == "":
            fields = self._format(kinds, values)
        if fields is None or reading.flags:
            self._add_texts(head, reading)
            return
        self._parts.append(head)
        self._parts.append(fields)
        self._numbers += values.values()
        self._numbers.append(reading.ts // TICK)

    def add_window(self, tier: Tier, series: Series, window: Window, at: int) -> None:
        """Write a window as the row at a time in ms."""
        head = self._head(tier, series.profile, series.device)
        name = series.metric, series.kind
        fields = self._windows.get(name) or self._window(*name)
        if series.kind is str:
            self._add_text(head, str(window.last), _key(window_field_of(*name, "last")), at)
        self._parts.append(head)
        self._parts.append(fields)
        self._numbers += [value for value in row_of(window).values() if value.__class__ is not str]
        self._numbers.append(at)

    def _add_texts(self, head: str, reading: Reading) -> None:
        """Write a reading that has more than numbers."""
        at = reading.ts // TICK
        numbers = {metric: value for metric, value in reading.values.items() if not isinstance(value, str)}
        names = list(numbers)
        for first in range(0, len(names), _MOST_FIELDS):
            chosen = names[first : first + _MOST_FIELDS]
            fields = ",".join([f"{_key(field_of(name, numbers[name].__class__))}=%s" for name in chosen])
            self._parts.append(f"{head}{fields} %s\n")
            self._numbers += [numbers[name] for name in chosen]
            self._numbers.append(at)
        for metric, value in reading.values.items():
            if isinstance(value, str):
                self._add_text(head, value, _key(field_of(metric, str)), at)
        if reading.flags:
            self._add_text(head, " ".join(sorted(reading.flags)), _key(FLAGS), at)

    def _add_text(self, head: str, text: str, field: str, at: int) -> None:
        self._parts.append(f"{head[:-1]},{TEXT}={_tag(text)} {field}=%s %s\n")
        self._numbers += (1, at)

    def _head(self, tier: Tier, profile: str, device: str) -> str:
        """Give the part of a line before its fields."""
        head = self._heads.get((tier, profile, device))
        if head is None:
            if len(self._heads) >= _MOST_CACHED:
                self._heads.clear()
            measurement = measurement_of(profile, tier).translate(_MEASUREMENT).replace("%", "%%")
            head = f"{measurement},{PROFILE}={_tag(profile)},{TAG}={_tag(device)} "
            self._heads[tier, profile, device] = head
        return head

    def _window(self, metric: str, kind: Kind) -> str:
        """Give the format of the fields and time of a window's row, without a text."""
        if len(self._windows) >= _MOST_FORMATS:
            self._windows.clear()
        aggregates = ("count",) if kind is str else aggregates_of(kind)
        names = [_key(window_field_of(metric, kind, aggregate)) for aggregate in aggregates]
        fields = ",".join([f"{name}=%s" for name in names]) + " %s\n"
        self._windows[metric, kind] = fields
        return fields

    def _format(self, kinds: tuple[str | Kind, ...], values: dict[str, Value]) -> str | None:
        """Give the format of a line's fields and time; None if they are not all numbers, or too many."""
        if len(self._fields) >= _MOST_FORMATS:
            self._fields.clear()
        fields = None
        if str not in kinds[len(values) :] and len(values) <= _MOST_FIELDS:
            names = [_key(field_of(metric, value.__class__)) for metric, value in values.items()]
            fields = ",".join([f"{name}=%s" for name in names]) + " %s\n"
        self._fields[kinds] = fields
        return fields


def row_of(window: Window) -> dict[str, Value]:
    """Give the aggregates of a window, by the names that they are stored under, in the order of line_layout."""
    count, last = window.count, window.last
    if last.__class__ is not float:
        return {"count": float(count), "last": last}
    return {
        "count": float(count),
        "mean": mean_of(window.sum, count),
        "stddev": stddev_of(window.m2, count),
        "min": window.min,
        "max": window.max,
        "first": window.first,
        "last": last,
    }


def window_of(start: int, row: Mapping[str, Value]) -> Window:
    """Read a window, which starts at a time in ns, from its aggregates."""
    window = Window(start)
    numbers = {name: value for name, value in row.items() if isinstance(value, float)}
    window.count = int(numbers["count"])
    window.last = row["last"]
    if "mean" in row:
        window.sum, window.m2 = sum_of(numbers["mean"], window.count), m2_of(numbers["stddev"], window.count)
        window.min, window.max, window.first = numbers["min"], numbers["max"], numbers["first"]
    return window


def _key(name: str) -> str:
    return name.translate(_KEY).replace("%", "%%")


def _tag(text: str) -> str:
    return _key(to_tag(text))
