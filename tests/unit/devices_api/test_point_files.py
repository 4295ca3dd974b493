"""Files of points are read as they were written, from any row on; what is wrong with a row is said of that row."""

import io
from collections.abc import AsyncGenerator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.readings import Value
from contracts.times import LATEST
from devices_api.jobs.jobs import BadFileError
from devices_api.jobs.point_files import Point, open_points
from devices_api.telemetry.exporting import Format, Page, encoded

_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
_value: st.SearchStrategy[Value] = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.booleans(), _text, st.sampled_from(["", '"', "a,b\r\nc", "1"])
)
_point = st.tuples(st.integers(0, LATEST), _value)
_pages = st.lists(
    st.builds(Page, st.sampled_from(["a", "ü b"]), _text.filter(bool), st.lists(_point, min_size=1, max_size=4)),
    max_size=4,
)


def read(path: Path, format_: Format, position: int | None = None) -> list[Point]:
    file = open_points(path, format_)
    points = list(file.points(position))
    if position is None:
        assert file.count() == len(points)
    file.close()
    return points


@pytest.mark.parametrize("format_", Format)
@given(pages=_pages, skipped=st.integers(0, 16))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_is_exported_is_read(tmp_path: Path, format_: Format, pages: list[Page], skipped: int) -> None:
    async def given_pages() -> AsyncGenerator[Page, None]:
        for page in pages:
            yield page

    path = tmp_path / "points"
    path.write_bytes(b"".join([chunk async for chunk in encoded(format_, given_pages())]))
    written = [(page.device, page.metric, ts, value) for page in pages for ts, value in page.points]
    points = read(path, format_)
    assert [(point.device, point.metric, point.ts, point.value) for point in points] == written
    assert [type(point.value) for point in points] == [type(value) for *_, value in written]
    assert not any(point.problem for point in points)
    if points[skipped:] and skipped:
        assert read(path, format_, points[skipped - 1].end) == points[skipped:]


GOOD = '{"device": "d", "metric": "m", "ts": "2026-01-01T00:00:00Z", "value": 1}'


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"device": "d", "metric": "m", "ts": "soon", "value": 1}', "no time"),
        ('{"device": "d", "metric": "m", "value": 1}', "ts"),
        ('{"device": "d", "metric": "m", "ts": 1, "value": null}', "value"),
        ('{"device": "d", "metric": "m", "ts": 1, "value": 1e999}', ""),
        ('{"device": "d", "metric": "", "ts": 1, "value": 1}', "metric"),
        ('{"device": "d", "metric": 7, "ts": 1, "value": 1}', "metric"),
        ('{"device": "a/b", "metric": "m", "ts": 1, "value": 1}', "device"),
        ('{"device": "d", "metric": "m", "ts": 1, "number": 1}', "'number'"),
        ("[1]", "object"),
        ("{", "JSON"),
    ],
)
def test_a_bad_row_is_told_and_the_next_is_read(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "points"
    path.write_text(f"{row}\n{GOOD}\n")
    bad, good = read(path, Format.JSONL)
    assert said.lower() in bad.problem.lower()
    assert bad.problem
    assert (good.problem, good.ts, good.value) == ("", 1_767_225_600_000_000_000, 1.0)


def test_cells_that_are_no_values_are_told(tmp_path: Path) -> None:
    path = tmp_path / "points"
    rows = ["d,m,1,x,,", "d,m,1,,yes,", "d,m,1,1,true,", "d,m,1,nan,,", ",m,1,1,,", "d,m", "d,m,1,,,"]
    path.write_text("\r\n".join(["device,metric,ts,number,boolean,text", *rows]))
    told = [point.problem for point in read(path, Format.CSV)]
    assert [bool(problem) for problem in told] == [True] * 6 + [False]


def _table(**columns: list[object]) -> pa.Table:
    given: dict[str, list[object]] = {"device": ["d", None], "metric": ["m", "m"], "ts": [1, 2], "number": [1.0, 2.0]}
    given |= {"boolean": [None, None], "text": [None, None]}
    return pa.table(given | columns)


def test_columns_of_other_types_are_taken_where_they_mean_the_same(tmp_path: Path) -> None:
    path = tmp_path / "points"
    pq.write_table(_table(extra=[1, 2], number=[1, 2], device=["d", "e"]), path)
    points = read(path, Format.PARQUET)
    assert [(point.device, point.ts, point.value) for point in points] == [
        ("d", 1, 1.0),
        ("e", 2, 2.0),
    ]
    pq.write_table(_table(text=["also", None], ts=[-1, 2]), path)
    assert all(point.problem for point in read(path, Format.PARQUET))


def test_a_file_that_is_something_else_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "points"
    for format_ in (Format.PARQUET, Format.ARROW, Format.CSV):
        path.write_bytes(b"something else")
        with pytest.raises(BadFileError):
            read(path, format_)
    sink = io.BytesIO()
    table = _table().drop_columns(["ts"])
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(sink.getvalue())
    with pytest.raises(BadFileError, match="'ts'"):
        read(path, Format.ARROW)
    pq.write_table(_table(ts=["one", "two"]), path)
    with pytest.raises(BadFileError):
        read(path, Format.PARQUET)
