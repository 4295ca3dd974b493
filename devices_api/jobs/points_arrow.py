"""Points in columns, read by pyarrow: Parquet, and the stream format of Arrow IPC."""

import contextlib
import math
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.readings import Value
from devices_api.jobs.jobs import BadFileError
from devices_api.jobs.point_files import Point, PointFile, checked
from devices_api.telemetry.exporting import Format
from devices_api.telemetry.exports_arrow import SCHEMA

_ROWS = 1 << 13
_AT_ONCE = 1 << 11
"""Rows that are read, and of these turned into points at once, while which nothing else runs in the process."""
_WANTED = pa.schema([field.with_nullable(nullable=True) for field in SCHEMA])
_EPOCH = "its ts is no time from 1970 on"


class _Parquet:
    """Parquet. A position is a number of rows."""

    def __init__(self, path: Path) -> None:
        with _readable():
            self._file = pq.ParquetFile(path)
        _has_columns(self._file.schema_arrow, self._file.close)

    def count(self) -> int:
        return int(self._file.metadata.num_rows)

    def points(self, position: int | None) -> Generator[Point, None, None]:
        skipped, groups = 0, list(range(self._file.metadata.num_row_groups))
        while groups and skipped + self._file.metadata.row_group(groups[0]).num_rows <= (position or 0):
            skipped += self._file.metadata.row_group(groups.pop(0)).num_rows
        with _readable():
            batches = self._file.iter_batches(_ROWS, row_groups=groups, columns=_WANTED.names)
            yield from _from(batches, skipped, position or 0)

    def close(self) -> None:
        self._file.close()


class _Arrow:
    """Arrow IPC. A position is a number of rows; what comes before is read over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as reader:
            _has_columns(reader.schema, lambda: None)

    def count(self) -> int:
        with self._opened() as reader:
            return sum(batch.num_rows for batch in reader)

    def points(self, position: int | None) -> Generator[Point, None, None]:
        with self._opened() as reader:
            yield from _from(reader, 0, position or 0)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[pa.RecordBatchReader]:
        with _readable(), pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as reader:
            yield reader

    def close(self) -> None:
        """Do nothing: it is open while it is read."""


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise BadFileError(f"the file cannot be read: {error}") from error


def _has_columns(schema: pa.Schema, close: Callable[[], None]) -> None:
    if missing := [name for name in _WANTED.names if name not in schema.names]:
        close()
        raise BadFileError(
            f"the file lacks the column {missing[0]!r}; its columns have to be {', '.join(_WANTED.names)}"
        )


def _from(batches: Iterator[pa.RecordBatch], first: int, position: int) -> Generator[Point, None, None]:
    """Give the points of batches, the first row of which comes after `first` others, from `position` on."""
    for batch in batches:
        rows = batch.num_rows
        for at in range(max(0, position - first), rows, _AT_ONCE):
            some = pa.Table.from_batches([batch.slice(at, _AT_ONCE)]).select(_WANTED.names).cast(_WANTED)
            columns = [some.column(name) for name in _WANTED.names]
            columns[2] = columns[2].cast(pa.int64())
            yield from map(_point, range(first + at + 1, first + rows + 1), *(column.to_pylist() for column in columns))
        first += rows


def _point(
    end: int,
    device: str | None,
    metric: str | None,
    ts: int | None,
    number: float | None,
    boolean: bool | None,  # noqa: FBT001 - as above
    text: str | None,
) -> Point:
    values: list[Value] = [value for value in (number, boolean, text) if value is not None]
    problem = ""
    if len(values) != 1:
        problem = "one of number, boolean and text has to be there"
    elif number is not None and not math.isfinite(number):
        problem = "its number is not finite"
    elif ts is None or ts < 0:
        problem = _EPOCH
    if problem:
        return Point(end, device or "", problem=problem)
    return checked(Point(end, device or "", metric or "", ts or 0, values[0]))


READERS: dict[Format, Callable[[Path], PointFile]] = {Format.PARQUET: _Parquet, Format.ARROW: _Arrow}
