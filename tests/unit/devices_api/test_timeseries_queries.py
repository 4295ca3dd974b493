"""Aggregates against the slow way, over a real file."""

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.readings import Value
from contracts.sqlite_layout import SPANS
from contracts.times import SECOND
from contracts.timeseries import DAY, HOUR, MINUTE, Days, Tier
from devices_api.errors import TooMuchError, UnavailableError
from devices_api.telemetry import sqlite, sqlite_reads
from devices_api.telemetry.sqlite import SqliteTimeSeries
from devices_api.telemetry.windows import Aggregate, Every, Grid, Query, count_windows, end_of, plan
from tests.stores.oracle_of_queries import slowly
from tests.unit.devices_api.conftest import StoreFile

BEGIN = 1_774_742_400 * SECOND
"""2026-03-29 00:00 UTC: the night in which Berlin's clocks go forward."""

moments = st.builds(
    lambda day, hour, minute, offset: BEGIN + day * DAY + hour * HOUR + minute * MINUTE + offset,
    st.integers(-1, 2),
    st.sampled_from([0, 1, 12, 22, 23]),
    st.sampled_from([0, 1, 29, 30, 31, 59]),
    st.sampled_from([-1, 0, 1, 30 * SECOND]),  # the edges are where it goes wrong
)
numbers = st.floats(-1e6, 1e6, allow_nan=False)
values = st.one_of(numbers, numbers, numbers, st.booleans(), st.text(max_size=3))
zones = st.sampled_from(["", "Europe/Berlin", "Asia/Kolkata", "Nowhere/AtAll"])
grids = st.one_of(
    st.sampled_from([90 * SECOND, MINUTE, 7 * MINUTE, HOUR, 90 * MINUTE, 3 * HOUR, DAY, 7 * DAY]).map(Every),
    zones.map(Days),
)


@settings(max_examples=50, deadline=None)
@given(
    points=st.dictionaries(moments, values, max_size=40),
    zone=zones,
    span=st.tuples(moments, moments).filter(lambda s: s[0] != s[1]).map(sorted),
    grid=grids,
    aggregate=st.sampled_from(Aggregate),
)
async def test_an_aggregate_is_over_exactly_what_was_asked(
    points: dict[int, Value], zone: str, span: list[int], grid: Grid, aggregate: Aggregate
) -> None:
    start, end = span
    with tempfile.TemporaryDirectory() as directory:
        store = StoreFile(Path(directory) / "store")
        store.write("other", "m", [(BEGIN, 1.0)])
        store.write("d", "m", points.items(), zone=zone)
        reader = SqliteTimeSeries(store.path, threads=1)
        found, _ = await reader.windows(Query("d", "m", aggregate, start, end, grid))
        stored = await reader.points("d", "m", start, end, 100)
        await reader.close()
    expected = slowly(points, aggregate, grid, start, end)
    assert [at for at, _ in found] == [at for at, _ in expected]
    assert [v.__class__ for _, v in found] == [v.__class__ for _, v in expected]
    for (_, value), (_, wanted) in zip(found, expected, strict=True):
        assert value == (wanted if isinstance(wanted, str) else pytest.approx(wanted, abs=1e-5))
    assert len(found) <= count_windows(start, end, grid)
    assert stored == [(ts, value) for ts, value in sorted(points.items()) if start <= ts < end]


@given(moments, moments, grids, st.one_of(st.none(), zones.map(Days)))
def test_pieces_cover_the_query_once(start: int, end: int, grid: Grid, days: Days | None) -> None:
    if start >= end:
        return
    pieces = plan(start, end, grid, days)
    assert [piece.end for piece in pieces[:-1]] == [piece.start for piece in pieces[1:]]
    assert (pieces[0].start, pieces[-1].end) == (start, end)
    width = {Tier.RAW: 1, Tier.M1: MINUTE, Tier.H1: HOUR, Tier.D1: MINUTE}
    assert all(piece.start % width[piece.tier] == piece.end % width[piece.tier] == 0 for piece in pieces)
    assert end_of(start, end, grid, count_windows(start, end, grid)) == end
    assert end_of(start, end, grid, count_windows(start, end, grid) - 1) < end


async def test_without_a_file_there_is_no_data_yet_and_then_there_is(store: StoreFile) -> None:
    reader = SqliteTimeSeries(store.path)
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
    reader = SqliteTimeSeries(store.path, threads=1)
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
    reader = SqliteTimeSeries(store.path)
    latest = await reader.latest("d")
    await reader.close()
    assert latest == {"number": (2, 2.0), "switch": (1, True), "text": (1, "open")}
    assert isinstance(latest["switch"][1], bool)
    assert isinstance(latest["number"][1], float)


async def test_two_profiles_and_kinds_are_joined_in_order_of_time(store: StoreFile) -> None:
    store.write("d", "m", [(BEGIN, 1.0), (BEGIN + 5, 2.0)], profile="old")
    store.write("d", "m", [(BEGIN + 5, "x"), (BEGIN + 5, True), (BEGIN + 5, 3.0), (BEGIN + 9, 4.0)], profile="new")
    store.write("d", "m", [(BEGIN + 7, "y"), (BEGIN + 7, False)], profile="old")
    reader = SqliteTimeSeries(store.path)
    points = [(BEGIN, 1.0), (BEGIN + 5, 3.0), (BEGIN + 7, False), (BEGIN + 9, 4.0)]
    assert await reader.points("d", "m", BEGIN, BEGIN + 10, 10) == points
    assert await reader.points("d", "m", BEGIN, BEGIN + 10, 2) == points[:2]
    assert await reader.latest("d") == {"m": (BEGIN + 9, 4.0)}
    asked = {aggregate: Query("d", "m", aggregate, BEGIN, BEGIN + HOUR, Every(MINUTE)) for aggregate in Aggregate}
    assert (await reader.windows(asked[Aggregate.FIRST])).windows == [(BEGIN, 1.0)]
    assert (await reader.windows(asked[Aggregate.LAST])).windows == [(BEGIN, 4.0)]
    assert (await reader.windows(asked[Aggregate.SUM])).windows == [(BEGIN, 10.0)]
    await reader.close()


async def test_what_is_not_kept_any_more_is_answered_by_what_is_coarser(store: StoreFile) -> None:
    old = BEGIN - 400 * DAY
    store.write("d", "m", [(old + n * HOUR + 1, float(n)) for n in range(72)] + [(BEGIN, 1.0)])
    for tier in (Tier.RAW, Tier.M1):
        assert store.drop("default", tier, old + 4 * SPANS[tier])
    reader = SqliteTimeSeries(store.path)
    assert await reader.points("d", "m", old, old + DAY, 10) == []
    fine = await reader.windows(Query("d", "m", Aggregate.COUNT, old, old + DAY, Every(MINUTE)))
    assert fine == ([], "rollup_1m")
    coarse = await reader.windows(Query("d", "m", Aggregate.COUNT, old + 1, old + DAY, Every(3 * HOUR)))
    assert coarse.windows[:2] == [(old, 2), (old + 3 * HOUR, 3)], "of the hour that is cut, nothing is left"
    store.drop("default", Tier.H1, old + 2 * SPANS[Tier.H1])
    days = await reader.windows(Query("d", "m", Aggregate.COUNT, old, old + 3 * DAY, Every(DAY)))
    assert days == ([(old, 24), (old + DAY, 24), (old + 2 * DAY, 24)], "rollup_1d")
    await reader.close()


async def test_days_of_a_zone_that_the_device_has_not_had_are_made_of_hours(store: StoreFile) -> None:
    store.write("d", "m", [(BEGIN + n * HOUR, float(n)) for n in range(-24, 24)], zone="Europe/Berlin")
    store.write("d", "m", [(BEGIN + 7 * DAY, 1.0)], zone="Asia/Kolkata")
    reader = SqliteTimeSeries(store.path)
    for zone, counts in (("Europe/Berlin", [23, 23, 2]), ("Asia/Kolkata", [19, 24, 5])):
        answer = await reader.windows(Query("d", "m", Aggregate.COUNT, BEGIN - DAY, BEGIN + 3 * DAY, Days(zone)))
        assert [count for _, count in answer.windows] == counts, zone
    await reader.close()


def test_no_query_reads_a_whole_table(store: StoreFile) -> None:
    store.write("d", "m", [(BEGIN, 1.0), (BEGIN + 2 * DAY, 2.0)])
    database = sqlite3.connect(store.path)
    database.create_aggregate("merged_m2", 3, sqlite_reads.MergedM2)  # type: ignore[arg-type]  # floats, too
    statements: list[str] = []
    database.set_trace_callback(statements.append)
    sqlite_reads.latest(database, "d")
    sqlite_reads.points(database, "d", "m", BEGIN, BEGIN + DAY, 10)
    for aggregate in Aggregate:
        for grid in (Every(SECOND), Every(MINUTE), Every(HOUR), Every(DAY)):
            sqlite_reads.windows(database, Query("d", "m", aggregate, BEGIN, BEGIN + DAY, grid))
    database.set_trace_callback(None)
    steps = [row[3] for sql in statements for row in database.execute(f"EXPLAIN QUERY PLAN {sql}")]
    database.close()
    assert [step for step in steps if step.startswith("SEARCH point_")]
    assert [step for step in steps if step.startswith("SCAN") and ("point_" in step or "rollup_" in step)] == []
    assert [step for step in steps if step in ("SCAN series", "SCAN open", "SCAN partition")] == []


async def test_a_query_that_takes_too_long_is_ended(store: StoreFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_STEPS_A_CHECK", 100)
    monkeypatch.setattr(sqlite, "_MAX_CHECKS", 10)
    store.write("d", "m", [(BEGIN + n, float(n)) for n in range(2000)])
    reader = SqliteTimeSeries(store.path, threads=1)
    with pytest.raises(TooMuchError, match="narrow start and end"):
        await reader.windows(Query("d", "m", Aggregate.SUM, BEGIN, BEGIN + 2000, Every(SECOND)))
    assert await reader.has("d"), "the next query is not touched"
    await reader.close()


async def test_a_file_that_is_no_store_is_unavailable_and_not_empty(tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.write_bytes(b"this is not a database, but it is long enough to look for one in it" * 20)
    reader = SqliteTimeSeries(file)
    with pytest.raises(UnavailableError, match="time-series store"):
        await reader.latest("d")
    await reader.close()
    with pytest.raises(UnavailableError):
        await reader.latest("d")
