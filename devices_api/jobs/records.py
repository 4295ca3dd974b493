"""Text files of rows: the records of CSV and of JSON Lines, from any place on that a record begins at."""

import contextlib
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json

from devices_api.jobs.jobs import BadFileError

LONGEST = 256 << 10
"""Bytes of a record at most: as many as a request's body may have."""
_BOM = b"\xef\xbb\xbf"


class Record(NamedTuple):
    """A record, and where the next one begins; `problem` says why its text is not there, if it is not."""

    end: int
    text: str
    problem: str = ""


class TextFile:
    """A file of records. Empty lines are none; in CSV a record goes on over lines inside of quotes."""

    def __init__(self, path: Path, *, quotes: bool) -> None:
        self._file, self._quotes = path.open("rb"), quotes

    @property
    def begin(self) -> int:
        """Where the first record begins."""
        self._file.seek(0)
        return len(_BOM) if self._file.read(len(_BOM)) == _BOM else 0

    def records(self, offset: int) -> Iterator[Record]:
        """Give the records from `offset` on. Raises BadFileError where it cannot be told where one ends."""
        self._file.seek(offset)
        while line := self._file.readline(LONGEST + 1):
            whole = self._quoted(line, offset) if self._quotes else line
            long = len(whole) > LONGEST
            rest = whole
            while long and not rest.endswith(b"\n") and (rest := self._file.readline(LONGEST)):
                pass
            offset = self._file.tell()
            if long:
                yield Record(offset, "", f"the line is longer than {LONGEST} bytes")
            elif stripped := whole.rstrip(b"\r\n"):
                yield _record(offset, stripped)

    def _quoted(self, line: bytes, offset: int) -> bytes:
        whole = line
        while whole.count(b'"') % 2:
            if len(whole) > LONGEST or not (line := self._file.readline(LONGEST + 1)):
                raise BadFileError(f"a quote in the record at byte {offset} is not closed within {LONGEST} bytes")
            whole += line
        return whole

    @contextlib.contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close the file if what is done meanwhile fails."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _record(end: int, data: bytes) -> Record:
    try:
        return Record(end, data.decode())
    except UnicodeDecodeError:
        return Record(end, "", "it is not UTF-8")


def cells(text: str) -> list[str]:
    """Read the cells of a record of CSV. Raises ValueError with a sentence for whoever wrote it."""
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(f"it is not CSV: {error}") from error


def parsed(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Read JSON. Raises ValueError with a sentence for whoever wrote it."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from error


def written(cells: list[str]) -> str:
    """Write a record of CSV, as RFC 4180 has it."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


def by_column(columns: list[str], text: str) -> dict[str, str]:
    """Read a record's cells by the header's columns: those that are not empty. Raises ValueError as `cells` does."""
    values = cells(text)
    if len(values) != len(columns):
        raise ValueError(f"it has {len(values)} cells, and the header has {len(columns)}")
    return {column: value for column, value in zip(columns, values, strict=True) if value}


def header(file: TextFile, known: "set[str] | frozenset[str]", prefixes: tuple[str, ...] = ()) -> tuple[list[str], int]:
    """Read the columns of a CSV file, and where its first row begins. Raises BadFileError if one is not known."""
    first = next(file.records(file.begin), None)
    if first is None:
        raise BadFileError("the file is empty; its first line has to name the columns")
    try:
        columns = cells(first.text)
    except ValueError as error:
        raise BadFileError(f"the header cannot be read: {error}") from error
    for column in columns:
        if column not in known and not any(column.startswith(prefix) and column != prefix for prefix in prefixes):
            raise BadFileError(f"there is no column {column!r}; columns are {', '.join(sorted(known))}")
        if columns.count(column) > 1:
            raise BadFileError(f"the column {column!r} is there twice")
    return columns, first.end
