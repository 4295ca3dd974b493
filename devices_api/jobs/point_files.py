"""Points in files, in the formats of the telemetry export: read one by one, from any of them on.

Pyarrow takes a third of a second to import: what needs it is imported where it is used.
"""

import importlib
import math
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from contracts.readings import Value
from contracts.times import parse_time
from contracts.topics import device_id_problem
from devices_api.jobs.records import Record, TextFile, by_column, header, parsed
from devices_api.telemetry.exporting import TEXTS, Format
from devices_api.telemetry.exports_text import COLUMNS

LONGEST_NAME = 1024
"""Bytes of a metric's name at most."""


class Point(NamedTuple):
    """A point, or what is wrong with its row. `end` is where the next one begins, as the format has it."""

    end: int
    device: str
    metric: str = ""
    ts: int = 0
    value: Value = 0.0
    problem: str = ""


class PointFile(Protocol):
    """A file of points. Every method raises BadFileError where it cannot be read."""

    def count(self) -> int:
        """Count the rows."""

    def points(self, position: int | None) -> Generator[Point, None, None]:
        """Give the points from a position on, which is None for the first or the `end` of one."""

    def close(self) -> None:
        """Close the file."""


def open_points(path: Path, format_: Format) -> PointFile:
    """Open a file. Raises BadFileError."""
    if format_ in TEXTS:
        return _Text(path, csv=format_ is Format.CSV)
    columns: dict[Format, Callable[[Path], PointFile]] = importlib.import_module(
        "devices_api.jobs.points_arrow"
    ).READERS
    return columns[format_](path)


class _Text:
    """CSV with a header, or JSON Lines."""

    def __init__(self, path: Path, *, csv: bool) -> None:
        self._file = TextFile(path, quotes=csv)
        self._columns: list[str] | None = None
        self._begin = self._file.begin
        if csv:
            with self._file.closed_on_error():
                self._columns, self._begin = header(self._file, frozenset(COLUMNS))

    def count(self) -> int:
        return sum(1 for _ in self._file.records(self._begin))

    def points(self, position: int | None) -> Generator[Point, None, None]:
        for record in self._file.records(self._begin if position is None else position):
            yield self._point(record)

    def _point(self, record: Record) -> Point:
        if record.problem:
            return Point(record.end, "", problem=record.problem)
        device = ""
        try:
            content = _object(record.text) if self._columns is None else by_column(self._columns, record.text)
            device = content.get("device", "") if isinstance(content.get("device"), str) else ""
            value = content.get("value") if self._columns is None else _cells_value(content)
            point = Point(record.end, device, content.get("metric", ""), _time(content.get("ts")), _value(value))
        except ValueError as error:
            return Point(record.end, device, problem=str(error))
        return checked(point)

    def close(self) -> None:
        self._file.close()


def checked(point: Point) -> Point:
    """Give a point, or what is wrong with its names."""
    if wrong := device_id_problem(point.device):
        return Point(point.end, point.device, problem=f"its device's id {wrong}")
    name = point.metric
    if not isinstance(name, str) or not 0 < len(name.encode("utf-8", "replace")) <= LONGEST_NAME or "\0" in name:
        return Point(point.end, point.device, problem=f"it names no metric, or one longer than {LONGEST_NAME} bytes")
    return point


def _object(text: str) -> dict[str, Any]:
    content = parsed(text)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - whoever wrote the row made the mistake
    if unknown := content.keys() - {"device", "metric", "ts", "value"}:
        raise ValueError(f"there is no {min(unknown)!r}; a row has device, metric, ts and value")
    return content


def _cells_value(given: dict[str, Any]) -> Value:
    named = [name for name in ("number", "boolean", "text") if name in given]
    if len(named) > 1:
        raise ValueError(f"it has a {named[0]} and a {named[1]}")
    if named == ["number"]:
        try:
            return float(given["number"])
        except ValueError as error:
            raise ValueError(f"{given['number'][:64]!r} is no number") from error
    if named == ["boolean"]:
        if given["boolean"] not in ("true", "false"):
            raise ValueError(f"{given['boolean'][:64]!r} is neither true nor false")
        return bool(given["boolean"] == "true")
    return str(given.get("text", ""))


def _time(ts: object) -> int:
    if isinstance(ts, bool) or not isinstance(ts, str | int):
        raise ValueError("its ts is no time")  # noqa: TRY004 - as above
    return parse_time(str(ts)[:64])


def _value(value: object) -> Value:
    """Give a value as it is stored."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise ValueError("its value is no finite number, no boolean and no text")
