"""How many series are asked for with few statements."""

from contracts.influxql import Table
from contracts.timeseries import HOUR, MINUTE, Days, Kind, Tier
from processor.influx_reads import MOST_TAGS, Plan, points_of, requests, windows_of
from processor.series import Series
from processor.store import Span


def series(device: str, metric: str = "m", kind: Kind = float) -> Series:
    return Series(0, "pump", device, metric, kind, Days())


def test_devices_that_are_read_from_and_to_the_same_times_share_a_statement() -> None:
    spans = [Span(series(f"d{number}"), HOUR, HOUR + MINUTE) for number in range(3)]
    (statement,) = Plan(Tier.RAW, spans).statements()
    assert statement.text == (
        f'SELECT "m" FROM "pump" WHERE time >= {HOUR} AND time <= {HOUR + MINUTE - 1} '  # noqa: S608 - nothing is asked here
        """AND ("device" = 'd0' OR "device" = 'd1' OR "device" = 'd2') GROUP BY "device\""""
    )


def test_neighbouring_minutes_of_a_device_are_read_together() -> None:
    one = series("d")
    spans = [Span(one, HOUR + minute * MINUTE, HOUR + (minute + 1) * MINUTE) for minute in (5, 0, 1, 2)]
    plan = Plan(Tier.RAW, spans)
    assert sorted(statement.start for statement in plan.statements()) == [HOUR, HOUR + 5 * MINUTE]
    assert [plan.place(span)[2] for span in spans] == [HOUR + 5 * MINUTE, HOUR, HOUR, HOUR]


def test_a_hundred_thousand_series_take_hundreds_of_statements_and_few_requests() -> None:
    spans = [Span(series(f"d{number // 3}", f"m{number % 3}"), 0, MINUTE) for number in range(100_000)]
    statements = list(Plan(Tier.RAW, spans).statements())
    assert sum(len(statement.devices) for statement in statements) == 33_334
    assert max(len(statement.devices) for statement in statements) == MOST_TAGS
    assert len(list(requests(iter(statements)))) < 200


def test_the_last_row_of_a_window_counts_where_it_is_of_the_series() -> None:
    columns = ["time", "m:count", "m:mean", "m:stddev", "m:min", "m:max", "m:first", "m:last", "n:count"]
    first: list[float | bool | str | int | None] = [HOUR + 1, 1, 1, 0, 1, 1, 1, 1, None]
    second: list[float | bool | str | int | None] = [HOUR + 2, 2, 1.5, 0.5, 1, 2, 1, 2, None]
    other: list[float | bool | str | int | None] = [HOUR + 3, None, None, None, None, None, None, None, 5]
    table = Table("pump:1m", columns, {"device": "d"}, [first, second, other])
    (window,) = windows_of(table, Span(series("d"), HOUR, HOUR + MINUTE))
    assert (window.start, window.count, window.sum, window.m2, window.last) == (HOUR, 2, 3.0, 0.5, 2.0)
    assert windows_of(table, Span(series("d", "other"), HOUR, HOUR + MINUTE)) == []


def test_points_are_of_their_series_kind_and_within_their_span() -> None:
    table = Table("pump", ["time", "m", "on:boolean"], {"device": "d"}, [[1, 5, None], [2, None, True], [3, 7, False]])
    assert points_of(table, Span(series("d"), 1, 3)) == [(1, 5.0)]
    assert isinstance(points_of(table, Span(series("d"), 1, 3))[0][1], float)
    assert points_of(table, Span(series("d", "on", bool), 0, 9)) == [(2, True), (3, False)]
