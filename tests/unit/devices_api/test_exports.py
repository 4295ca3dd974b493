"""What is exported is read back as it was stored, in every format."""

import csv
import gzip
import io
import json
import struct
from collections.abc import AsyncGenerator, Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.readings import Value
from contracts.times import LATEST, parse_time
from devices_api.telemetry.exporting import CHUNK, Format, Page, encoded
from devices_api.web import exports
from tests.unit.devices_api.conftest import NOW, Service, StoreFile, problem

Row = tuple[str, str, int, Value]


def of_csv(data: bytes) -> list[Row]:
    rows = csv.DictReader(io.StringIO(data.decode(), newline=""))
    found: list[Row] = []
    for row in rows:
        value: Value = row["text"]
        if row["number"]:
            value = float(row["number"])
        elif row["boolean"]:
            value = {"true": True, "false": False}[row["boolean"]]
        found.append((row["device"], row["metric"], parse_time(row["ts"]), value))
    return found


def of_jsonl(data: bytes) -> list[Row]:
    rows = [json.loads(line) for line in data.decode().split("\n")[:-1]]
    return [(row["device"], row["metric"], parse_time(row["ts"]), row["value"]) for row in rows]


def of_table(table: pa.Table) -> list[Row]:
    assert table.schema.field("ts").type == pa.timestamp("ns", tz="UTC")
    columns = [table.column(name).to_pylist() for name in ("device", "metric", "number", "boolean", "text")]
    times = table.column("ts").cast(pa.int64()).to_pylist()
    rows: list[Row] = []
    for ts, device, metric, *values in zip(times, *columns, strict=True):
        [value] = [one for one in values if one is not None]
        rows.append((device, metric, ts, value))
    return rows


READERS: dict[Format, Callable[[bytes], list[Row]]] = {
    Format.CSV: of_csv,
    Format.JSONL: of_jsonl,
    Format.PARQUET: lambda data: of_table(pq.read_table(io.BytesIO(data))),
    Format.ARROW: lambda data: of_table(pa.ipc.open_stream(data).read_all()),
}

names = st.text(min_size=1, max_size=5)
values = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text(max_size=4))
pages = st.builds(Page, names, names, st.lists(st.tuples(st.integers(0, LATEST), values), min_size=1, max_size=5))


async def whole(format_: Format, given_: list[Page], *, zipped: bool = False) -> bytes:
    async def each() -> AsyncGenerator[Page, None]:
        for page in given_:
            yield page

    return b"".join([chunk async for chunk in encoded(format_, each(), gzip=zipped)])


def exactly(rows: list[Row]) -> list[tuple[object, ...]]:
    """Tell numbers by their bits, and booleans from numbers."""
    return [
        (*row[:3], row[3].__class__, struct.pack("d", row[3]) if isinstance(row[3], float) else row[3]) for row in rows
    ]


@pytest.mark.parametrize("format_", Format)
@settings(max_examples=40, deadline=None)
@given(given_=st.lists(pages, max_size=4))
async def test_what_is_written_is_read_back_exactly(format_: Format, given_: list[Page]) -> None:
    wanted = [(page.device, page.metric, ts, value) for page in given_ for ts, value in page.points]
    assert exactly(READERS[format_](await whole(format_, given_))) == exactly(wanted)


async def test_text_can_be_compressed() -> None:
    page = Page("d", "m", [(n, float(n)) for n in range(10)])
    assert gzip.decompress(await whole(Format.CSV, [page], zipped=True)) == await whole(Format.CSV, [page])


@pytest.mark.parametrize("format_", Format)
async def test_devices_are_exported_by_device_metric_and_time(
    service: Service, store: StoreFile, format_: Format
) -> None:
    store.write("b", "n", [(NOW + 3, 0.1), (NOW + 1, 1.0)])
    store.write("b", "m", [(NOW + 2, True), (NOW + 9, "late")])
    store.write("a", "m", [(NOW + n, "x" * (n % 3)) for n in range(30)])
    store.write("c", "m", [(NOW, 1.0)])
    query: dict[str, str | int | list[str]] = {"device": ["b", "a"], "start": NOW, "end": NOW + 9, "format": format_}
    answer = await service.client.get("/telemetry/export", params=query)
    assert (answer.status_code, answer.headers["content-disposition"]) == (
        200,
        f'attachment; filename="telemetry.{format_}"',
    )
    assert READERS[format_](answer.content) == [
        *(("a", "m", NOW + n, "x" * (n % 3)) for n in range(9)),
        ("b", "m", NOW + 2, True), ("b", "n", NOW + 1, 1.0), ("b", "n", NOW + 3, 0.1),
    ]  # fmt: skip
    nothing = await service.client.get("/telemetry/export", params=query | {"metric": "none"})
    assert READERS[format_](nothing.content) == []


async def test_all_devices_or_those_of_a_filter_are_exported(
    service: Service, store: StoreFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_DEVICES_AT_ONCE", 2)
    for number in range(5):
        await service.client.post("/devices", json={"id": f"d{number}", "enabled": number % 2 == 0})
        store.write(f"d{number}", "m", [(NOW, float(number))])
    everything = await service.client.get("/telemetry/export")
    assert [row[0] for row in of_csv(everything.content)] == ["d0", "d1", "d2", "d3", "d4"]
    some = await service.client.get("/telemetry/export", params={"filter": "enabled eq true"})
    assert [row[0] for row in of_csv(some.content)] == ["d0", "d2", "d4"]


async def test_what_cannot_be_exported_is_told_before_the_first_byte(service: Service, store: StoreFile) -> None:
    for query, expected in (
        ({"device": "nobody"}, (404, "unknown-device")),
        ({"device": "a", "filter": "enabled eq true"}, (400, "bad-selection")),
        ({"start": 2, "end": 1}, (400, "bad-time")),
        ({"format": "xlsx"}, (422, "invalid-request")),
    ):
        assert problem(await service.client.get("/telemetry/export", params=query)) == expected
    store.path.write_bytes(b"this is no store, and long enough that one would be looked for in it" * 20)
    assert problem(await service.client.get("/telemetry/export")) == (503, "unavailable")
    assert problem(await service.client.get("/telemetry/export")) == (503, "unavailable")


async def test_there_are_only_so_many_exports_at_once(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await service.client.get("/telemetry/export")).status_code == 200, "and then it has ended"
    monkeypatch.setattr(exports, "MAX_EXPORTS", 0)
    answer = await service.client.get("/telemetry/export")
    assert problem(answer) == (429, "too-many-exports")
    assert answer.headers["retry-after"] == "10"


async def test_a_page_is_not_read_before_the_one_before_it_was_taken() -> None:
    asked = 0

    async def each() -> AsyncGenerator[Page, None]:
        nonlocal asked
        while True:
            asked += 1
            yield Page("d", "m", [(n, float(n)) for n in range(CHUNK // 20)])

    chunks = encoded(Format.CSV, each())
    for _ in range(3):
        await anext(chunks)
    assert asked == 3
    await chunks.aclose()
