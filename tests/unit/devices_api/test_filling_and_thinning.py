"""What stands for windows without a point, and which points stand for many: by laws, and against the slow way."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.readings import Value
from contracts.times import SECOND
from contracts.timeseries import DAY, HOUR, Days
from devices_api.telemetry.filling import Fill, filled
from devices_api.telemetry.thinning import LEAST, thinned
from devices_api.telemetry.windows import Aggregate, Calendar, Every, Grid, Query, Unit, count_windows, plan, starts_in
from tests.stores.oracle_of_queries import slowly

BEGIN = 1_774_742_400 * SECOND
"""2026-03-29 00:00 UTC: the night in which Berlin's clocks go forward."""

numbers = st.floats(-1e300, 1e300)
values = st.one_of(numbers, numbers, st.booleans(), st.text(max_size=2))
moments = st.builds(
    lambda hours, offset: BEGIN + hours * HOUR + offset, st.integers(-900, 900), st.sampled_from([-1, 0, 1])
)
zones = st.sampled_from(["", "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia", "America/New_York"])
grids: st.SearchStrategy[Grid] = st.one_of(
    st.sampled_from([HOUR, 5 * HOUR, DAY]).map(Every),
    zones.map(Days),
    st.builds(lambda zone, unit: Calendar(Days(zone), unit), zones, st.sampled_from(Unit)),
)


@given(
    points=st.dictionaries(moments, values, max_size=12),
    span=st.tuples(moments, moments).filter(lambda span: span[0] < span[1]),
    grid=grids,
    fill=st.one_of(st.sampled_from(Fill), st.floats(-1, 1)),
)
def test_each_window_has_its_value_or_what_stands_for_it(
    points: dict[int, Value], span: tuple[int, int], grid: Grid, fill: Fill | float
) -> None:
    known = slowly(points, Aggregate.LAST, grid, *span)
    starts = list(starts_in(*span, grid))
    assert len(starts) == count_windows(*span, grid)
    found = filled(known, starts, fill)
    assert [one for one in found if one in known and one[0] in dict(known)] == known
    if fill is Fill.NONE:
        assert found == known
        return
    assert [start for start, _ in found] == starts
    have = dict(known)
    for start, value in found:
        if start in have:
            continue
        before = [one for one in known if one[0] < start]
        after = [one for one in known if one[0] > start]
        if fill is Fill.NULL:
            assert value is None
        elif fill is Fill.PREVIOUS:
            assert value == (before[-1][1] if before else None)
        elif not isinstance(fill, Fill):
            assert value == fill
        elif before and after and before[-1][1].__class__ is after[0][1].__class__ is float:
            low, high = sorted([float(before[-1][1]), float(after[0][1])])
            slack = 1e-12 * max(abs(low), abs(high))
            assert low - slack <= float(value or 0.0) <= high + slack, "it lies between the two around it"
        else:
            assert value is None, "nothing is made up beyond what is known"


@given(ts=moments, zone=zones, unit=st.sampled_from(Unit))
def test_weeks_and_months_are_made_of_whole_days(ts: int, zone: str, unit: Unit) -> None:
    days, grid = Days(zone), Calendar(Days(zone), unit)
    start, end = grid.of(ts)
    assert start <= ts < end
    assert days.of(start)[0] == start
    assert days.of(end)[0] == end
    assert grid.of(start) == grid.of(end - 1) == (start, end)
    assert grid.of(end)[0] == end
    assert (6 if unit is Unit.WEEK else 27) * DAY < end - start < (8 if unit is Unit.WEEK else 32) * DAY


@given(moments, moments, grids, st.one_of(st.none(), zones.map(Days)))
def test_pieces_cover_weeks_and_months_once(start: int, end: int, grid: Grid, days: Days | None) -> None:
    if start >= end:
        return
    pieces = plan(start, end, grid, days)
    assert [piece.end for piece in pieces[:-1]] == [piece.start for piece in pieces[1:]]
    assert (pieces[0].start, pieces[-1].end) == (start, end)
    assert Query("d", "m", Aggregate.MEAN, start, end, grid) == Query("d", "m", Aggregate.MEAN, start, end, grid)


series = st.dictionaries(moments, values, min_size=1, max_size=200).map(lambda points: sorted(points.items()))
plain = st.dictionaries(moments, numbers, min_size=1, max_size=200).map(lambda points: sorted(points.items()))


@given(points=st.one_of(plain, series), most=st.integers(LEAST, 50))
def test_few_points_stand_for_many(points: list[tuple[int, Value]], most: int) -> None:
    places = thinned(points, most)
    assert places == sorted(set(places)), "some of them, each once, in order"
    assert len(places) <= most
    assert (places[0], places[-1]) == (0, len(points) - 1)
    if len(points) <= most:
        assert len(places) == len(points)


def test_a_peak_is_kept() -> None:
    points: list[tuple[int, Value]] = [
        (BEGIN + n * SECOND, 1000.0 if n == 7777 else float(n % 10)) for n in range(50_000)
    ]
    assert 7777 in thinned(points, 100)
