"""Aggregates against the slow way, over a real file."""

import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.readings import Value
from contracts.timeseries import SCHEMA
from devices_api import timeseries
from devices_api.errors import TooMuchError, UnavailableError
from devices_api.times import SECOND
from devices_api.timeseries import TimeSeries
from devices_api.windows import Aggregate, count_windows, plan, source
from tests.unit.devices_api.conftest import StoreFile

MINUTE = 60 * SECOND
BEGIN = 1_767_225_600 * SECOND

moments = st.one_of(
    st.integers(0, 20 * MINUTE),
    st.integers(0, 20).map(lambda n: n * MINUTE),  # the edges are where it goes wrong
    st.integers(0, 20).map(lambda n: n * MINUTE - 1),
).map(lambda offset: BEGIN + offset)
numbers = st.floats(-1e6, 1e6, allow_nan=False)
values = st.one_of(numbers, numbers, numbers, st.booleans(), st.text(max_size=3))


def slowly(points: dict[int, Value], aggregate: Aggregate, width: int, start: int, end: int) -> list[tuple[int, float]]:
    """Say what an aggregate is, in as many words."""
    windows: dict[int, list[float]] = {}
    for ts in sorted(points):
        value = points[ts]
        if start <= ts < end and isinstance(value, float):
            windows.setdefault(ts // width * width, []).append(value)
    what: dict[Aggregate, Any] = {
        Aggregate.MEAN: lambda v: sum(v) / len(v),
        Aggregate.MIN: min,
        Aggregate.MAX: max,
        Aggregate.SUM: sum,
        Aggregate.COUNT: len,
        Aggregate.FIRST: lambda v: v[0],
        Aggregate.LAST: lambda v: v[-1],
    }
    return [(at, what[aggregate](v)) for at, v in windows.items()]


@settings(max_examples=80, deadline=None)
@given(
    points=st.dictionaries(moments, values, max_size=40),
    span=st.tuples(moments, moments).filter(lambda s: s[0] != s[1]).map(sorted),
    width=st.sampled_from([10 * SECOND, 90 * SECOND, MINUTE, 3 * MINUTE, 7 * MINUTE, 60 * MINUTE, 1440 * MINUTE]),
    aggregate=st.sampled_from(Aggregate),
)
async def test_an_aggregate_is_over_exactly_what_was_asked(
    points: dict[int, Value], span: list[int], width: int, aggregate: Aggregate
) -> None:
    start, end = span
    pieces = plan(start, end, width)
    with tempfile.TemporaryDirectory() as directory:
        store = StoreFile(Path(directory) / "store")
        store.write("other", "m", [(BEGIN, 1.0)])
        store.write("d", "m", points.items())
        reader = TimeSeries(store.path, threads=1)
        found = await reader.windows("d", "m", aggregate, width, pieces)
        await reader.close()
    expected = slowly(points, aggregate, width, start, end)
    assert [at for at, _ in found] == [at for at, _ in expected]
    assert [v for _, v in found] == pytest.approx([v for _, v in expected], abs=1e-6)
    assert len(found) <= count_windows(start, end, width)


@given(moments, moments, st.sampled_from([SECOND, MINUTE, 5 * MINUTE]))
def test_pieces_cover_the_query_once(start: int, end: int, width: int) -> None:
    if start >= end:
        return
    pieces = plan(start, end, width)
    assert [piece.end for piece in pieces[:-1]] == [piece.start for piece in pieces[1:]]
    assert (pieces[0].start, pieces[-1].end) == (start, end)
    assert all(piece.start % MINUTE == piece.end % MINUTE == 0 for piece in pieces if piece.source == "rollup_1m")
    assert source(pieces) == ("rollup_1m" if any(p.source == "rollup_1m" for p in pieces) else "raw")


async def test_without_a_file_there_is_no_data_yet_and_then_there_is(store: StoreFile) -> None:
    reader = TimeSeries(store.path)
    assert await reader.latest("d") == {}
    assert not await reader.has("d")
    sqlite3.connect(store.path).close()  # processor has made the file, and no table yet
    assert await reader.points("d", "m", 0, BEGIN, 10) == []
    store.write("d", "m", [(BEGIN, 1.0)])
    assert await reader.latest("d") == {"m": (BEGIN, 1.0)}
    assert await reader.has("d")
    await reader.close()


async def test_a_store_that_was_replaced_is_read_anew(store: StoreFile) -> None:
    store.write("d", "m", [(BEGIN, 1.0)])
    reader = TimeSeries(store.path, threads=1)
    assert await reader.has("d")
    for file in store.path.parent.glob("timeseries.sqlite3*"):
        file.rename(file.with_name(f"old-{file.name}"))
    store.write("e", "m", [(BEGIN, 1.0)])
    assert await reader.has("e")
    assert not await reader.has("d")
    await reader.close()


async def test_each_kind_of_value_comes_back_as_it_was(store: StoreFile) -> None:
    store.write("d", "number", [(1, 1.0), (2, 2.0)])
    store.write("d", "switch", [(1, True)])
    store.write("d", "text", [(1, "open")])
    reader = TimeSeries(store.path)
    latest = await reader.latest("d")
    await reader.close()
    assert latest == {"number": (2, 2.0), "switch": (1, True), "text": (1, "open")}
    assert isinstance(latest["switch"][1], bool)
    assert isinstance(latest["number"][1], float)


@pytest.mark.parametrize("aggregate", Aggregate)
def test_no_query_reads_a_whole_table(aggregate: Aggregate) -> None:
    database = sqlite3.connect(":memory:")
    database.executescript(SCHEMA)
    about = {"series": 1, "width": 1, "start": 0, "end": 9}
    queries = timeseries._RAW_VALUE[aggregate], timeseries._ROLLUP_VALUE[aggregate]  # noqa: SLF001 - their plans
    plans = [
        database.execute("EXPLAIN QUERY PLAN " + sql.format(value=value), about).fetchall()
        for sql, value in zip((timeseries._RAW, timeseries._ROLLUP), queries, strict=True)  # noqa: SLF001 - as above
    ]
    database.close()
    steps = [row[3] for rows in plans for row in rows]
    assert [step for step in steps if (step.startswith("SCAN") and "rollup_1m_" in step) or step == "SCAN point"] == []


async def test_a_query_that_takes_too_long_is_ended(store: StoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeseries, "_STEPS_A_CHECK", 100)
    monkeypatch.setattr(timeseries, "_MAX_CHECKS", 10)
    store.write("d", "m", [(BEGIN + n, float(n)) for n in range(2000)])
    reader = TimeSeries(store.path, threads=1)
    with pytest.raises(TooMuchError, match="narrow start and end"):
        await reader.windows("d", "m", Aggregate.SUM, SECOND, plan(BEGIN, BEGIN + 2000, SECOND))
    assert await reader.has("d"), "the next query is not touched"
    await reader.close()


async def test_a_file_that_is_no_store_is_unavailable_and_not_empty(tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.write_bytes(b"this is not a database, but it is long enough to look for one in it" * 20)
    reader = TimeSeries(file)
    with pytest.raises(UnavailableError, match="time-series store"):
        await reader.latest("d")
    await reader.close()
    with pytest.raises(UnavailableError):
        await reader.latest("d")
