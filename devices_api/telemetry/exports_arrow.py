"""Exports in columns, by pyarrow: Parquet, and the stream format of Arrow IPC. Does no I/O."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.readings import Value
from contracts.timeseries import Kind
from devices_api.telemetry.exporting import Encoder, Format, Page

SCHEMA = pa.schema(
    [
        pa.field("device", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("ts", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("number", pa.float64()),
        pa.field("boolean", pa.bool_()),
        pa.field("text", pa.string()),
    ]
)
ROW_GROUP = 1 << 16
"""Points of a row group of Parquet, or a few more."""
BATCH = 1 << 13
"""Points of a batch of Arrow, or a few more."""


class _Sink:
    """Takes what pyarrow writes, until it is taken from here."""

    closed = False

    def __init__(self) -> None:
        self._kept = bytearray()

    def write(self, data: bytes) -> int:
        self._kept += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is nowhere to write to."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        """Give what was written, and forget it."""
        kept, self._kept = self._kept, bytearray()
        return bytes(kept)


class _Columns:
    """Gathers points into tables of a size that is worth writing."""

    def __init__(self, most: int) -> None:
        self._most, self._rows = most, 0
        self._kept: list[pa.RecordBatch] = []

    def add(self, page: Page) -> pa.Table | None:
        """Take in points; give a table when there are enough."""
        self._kept.append(_batch(page))
        self._rows += len(page.points)
        return self.rest() if self._rows >= self._most else None

    def rest(self) -> pa.Table | None:
        """Give what is left, if anything is."""
        kept, self._kept, self._rows = self._kept, [], 0
        return pa.Table.from_batches(kept).combine_chunks() if kept else None


class ParquetFile:
    """Parquet. A file that was cut off has no footer, and cannot be opened."""

    def __init__(self) -> None:
        self._sink, self._columns = _Sink(), _Columns(ROW_GROUP)
        self._writer = pq.ParquetWriter(
            self._sink,
            SCHEMA,
            compression="zstd",
            use_dictionary=["device", "metric", "text"],
            column_encoding={"ts": "DELTA_BINARY_PACKED"},
        )

    def begin(self) -> bytes:
        """Give what stands before all row groups."""
        return self._sink.taken()

    def take(self, page: Page) -> bytes:
        """Write a row group when there are enough points."""
        table = self._columns.add(page)
        if table is not None:
            self._writer.write_table(table, row_group_size=table.num_rows)
        return self._sink.taken()

    def end(self) -> bytes:
        """Write the last row group, and the footer."""
        table = self._columns.rest()
        if table is not None:
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._writer.close()
        return self._sink.taken()


class ArrowStream:
    """Arrow IPC. A stream that was cut off lacks its end marker, which readers may not mind."""

    def __init__(self) -> None:
        self._sink, self._columns = _Sink(), _Columns(BATCH)
        self._writer = pa.ipc.new_stream(self._sink, SCHEMA)

    def begin(self) -> bytes:
        """Give the schema."""
        return self._sink.taken()

    def take(self, page: Page) -> bytes:
        """Write a batch when there are enough points."""
        table = self._columns.add(page)
        if table is not None:
            self._writer.write_table(table)
        return self._sink.taken()

    def end(self) -> bytes:
        """Write the last batch, and the end marker."""
        table = self._columns.rest()
        if table is not None:
            self._writer.write_table(table)
        self._writer.close()
        return self._sink.taken()


def _batch(page: Page) -> pa.RecordBatch:
    count = len(page.points)
    times = pa.array([ts for ts, _ in page.points], SCHEMA.field("ts").type)
    names = [pa.repeat(pa.scalar(name, pa.string()), count) for name in (page.device, page.metric)]
    kinds: tuple[Kind, ...] = (float, bool, str)
    values = [_of_kind(page.points, kind, SCHEMA.field(3 + at).type) for at, kind in enumerate(kinds)]
    return pa.RecordBatch.from_arrays([*names, times, *values], schema=SCHEMA)


def _of_kind(points: list[tuple[int, Value]], kind: Kind, type_: pa.DataType) -> pa.Array:
    found = [value if value.__class__ is kind else None for _, value in points]
    return pa.array(found, type_)


ENCODERS: dict[Format, Callable[[], Encoder]] = {Format.PARQUET: ParquetFile, Format.ARROW: ArrowStream}
