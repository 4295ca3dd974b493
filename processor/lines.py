"""Writes points and windows as line protocol, in the layout of contracts.line_layout. Pure.

Most of what that costs is turning floats into text. msgspec does it ten times as fast as `repr`, and as exactly, but
only for JSON: so all numbers of a request are written as one JSON array, which is cut into texts, and these are put
into one format string. A boolean in JSON is one in line protocol too.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from contracts.line_layout import (
    FLAGS,
    TAG,
    aggregates_of,
    field_of,
    mean_of,
    measurement_of,
    row_time,
    stddev_of,
    to_tag,
    window_field_of,
)
from contracts.readings import Reading, Value
from contracts.timeseries import Kind, Tier
from processor.series import Series
from processor.windows import Window

Row = tuple[Tier, Series, Window]

_MOST_CACHED = 200_000
"""Devices whose tag is remembered; when there are more, all are forgotten. About 40 MB for ordinary names."""

_MOST_FORMATS = 20_000
"""The same for sets of metrics, and for series."""

K = TypeVar("K")
V = TypeVar("V")

_json = msgspec.json.Encoder()

_MEASUREMENT = str.maketrans({",": r"\,", " ": r"\ "})
_KEY = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})
_TEXT = str.maketrans({'"': r"\"", "\\": r"\\"})


class LineWriter:
    """Writes lines, one for each reading, and for each device's windows with one start; remembers escaped names."""

    def __init__(self) -> None:
        # All of these are for a format string, in which a % is written twice.
        self._measurements: dict[tuple[Tier, str], str] = {}
        self._tags: dict[str, str] = {}
        self._readings: dict[tuple[str | Kind, ...], str | None] = {}
        self._windows: dict[tuple[str, Kind], str] = {}

    def points(self, readings: Iterable[Reading]) -> bytes:
        """Write readings, each with all its values in one line."""
        parts: list[str] = []
        numbers: list[Value | int] = []
        raw, measurements, tags, formats = Tier.RAW, self._measurements, self._tags, self._readings
        for reading in readings:
            values = reading.values
            parts.append(measurements.get((raw, reading.profile)) or self._measurement(raw, reading.profile))
            parts.append(tags.get(reading.device) or self._tag(reading.device))
            shape: tuple[str | Kind, ...] = (*values, *map(type, values.values()))
            format_ = formats[shape] if shape in formats else self._format(shape, values)
            if format_ is None or reading.flags:
                parts.append(_with_text(reading, numbers))
            else:
                parts.append(format_)
                numbers += values.values()
            numbers.append(reading.ts)
        return _fill(parts, numbers)

    def windows(self, rows: Iterable[Row], fences: Mapping[int, int]) -> bytes:
        """Write windows, each with the fence of its partition.

        Those of one device and start that come one after the other share a line.
        """
        parts: list[str] = []
        numbers: list[Value | int] = []
        measurements, tags, formats = self._measurements, self._tags, self._windows
        tier = profile = device = start = None
        fence = 0
        for tier_, series, window in rows:
            if window.start == start and series.device == device and tier_ is tier and series.profile == profile:
                parts.append(",")
            else:
                if start is not None:
                    parts.append(" %s\n")
                    numbers.append(row_time(start, fence))
                tier, profile, device, start = tier_, series.profile, series.device, window.start
                fence = fences[series.partition]
                parts.append(measurements.get((tier, profile)) or self._measurement(tier, profile))
                parts.append(tags.get(device) or self._tag(device))
            name = (series.metric, series.kind)
            parts.append(formats.get(name) or self._window(*name))
            count = window.count
            if series.kind is float:
                mean, stddev = mean_of(window.sum, count), stddev_of(window.m2, count)
                numbers += (count, mean, stddev, window.min, window.max, window.first, window.last)
            elif series.kind is bool:
                numbers += (count, window.last)
            else:
                numbers.append(count)
                parts.append(_text(str(window.last)))
        if start is not None:
            parts.append(" %s\n")
            numbers.append(row_time(start, fence))
        return _fill(parts, numbers)

    def _measurement(self, tier: Tier, profile: str) -> str:
        name = measurement_of(profile, tier).translate(_MEASUREMENT).replace("%", "%%")
        return _keep(self._measurements, (tier, profile), f"{name},{TAG}=", _MOST_FORMATS)

    def _tag(self, device: str) -> str:
        tag = to_tag(device).translate(_KEY).replace("%", "%%")
        return _keep(self._tags, device, f"{tag} ", _MOST_CACHED)

    def _format(self, shape: tuple[str | Kind, ...], values: dict[str, Value]) -> str | None:
        """Give the format of a reading's fields; None if there is text among them."""
        if str in shape[len(values) :]:
            return _keep(self._readings, shape, None, _MOST_FORMATS)
        fields = ",".join(f"{_field(field_of(metric, value.__class__))}=%s" for metric, value in values.items())
        return _keep(self._readings, shape, f"{fields} %s\n", _MOST_FORMATS)

    def _window(self, metric: str, kind: Kind) -> str:
        """Give the format of a window's fields; the last one's value follows if it is text."""
        names = [_field(window_field_of(metric, kind, aggregate)) for aggregate in aggregates_of(kind)]
        count, *others = [f"{name}=%s" for name in names]
        format_ = ",".join([f"{count}i", *others])
        if kind is str:
            format_ = format_.removesuffix("%s")
        return _keep(self._windows, (metric, kind), format_, _MOST_FORMATS)


def _with_text(reading: Reading, numbers: list[Value | int]) -> str:
    fields = []
    for metric, value in reading.values.items():
        name = _field(field_of(metric, value.__class__))
        if isinstance(value, str):
            fields.append(f"{name}={_text(value)}")
        else:
            fields.append(f"{name}=%s")
            numbers.append(value)
    if reading.flags:
        fields.append(f"{FLAGS}={_text(_json.encode(reading.flags).decode())}")
    return ",".join(fields) + " %s\n"


def _fill(parts: list[str], numbers: list[Value | int]) -> bytes:
    texts = _json.encode(numbers).decode()[1:-1].split(",")
    return ("".join(parts) % tuple(texts)).encode() if numbers else b""


def _field(name: str) -> str:
    return name.translate(_KEY).replace("%", "%%")


def _text(value: str) -> str:
    return f'"{value.translate(_TEXT)}"'.replace("%", "%%")


def _keep(cache: dict[K, V], key: K, value: V, most: int) -> V:
    if len(cache) >= most:
        cache.clear()
    cache[key] = value
    return value
