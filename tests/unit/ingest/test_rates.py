import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.devices import DeviceRecord
from contracts.rates import Bucket, parse_rate
from ingest.rates import RateLimits
from ingest.settings import Settings

SECOND = 1_000_000_000
NOW = 1_767_225_600 * SECOND


def limited(messages: str = "", points: str = "") -> DeviceRecord:
    return DeviceRecord(1, "d", enabled=True, profile="p", message_rate=messages, point_rate=points)


def test_a_rate_is_read() -> None:
    assert parse_rate("20:1,600:60") == (Bucket(20, 1), Bucket(600, 60))
    assert parse_rate(" 20:1 , 600:60 ") == (Bucket(20, 1), Bucket(600, 60))
    assert parse_rate("") == parse_rate("  ") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("20", "CAPACITY:SECONDS"),
        ("20:1,", "CAPACITY:SECONDS"),
        ("20:0.5", "CAPACITY:SECONDS"),
        ("-1:1", "CAPACITY:SECONDS"),
        ("20:1;600:60", "CAPACITY:SECONDS"),
        ("0:1", "capacity in '0:1' has to be from 1"),
        ("20:0", "seconds in '20:0' have to be from 1"),
        ("9999999999:1", "has to be from 1 to 1000000000"),
        ("1:1,1:2,1:3,1:4,1:5", "at most 4 parts"),
    ],
)
def test_a_wrong_rate_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_rate(text)
    with pytest.raises(ValueError, match=says):
        RateLimits(points=text)


def test_without_limits_everything_passes_and_nothing_is_remembered() -> None:
    limits = RateLimits()
    assert all(limits.allow("d", record, 10_000, NOW) for record in (None, limited()) for _ in range(100))
    assert len(limits) == 0


def test_a_bucket_lets_its_capacity_through_and_then_what_flows_in() -> None:
    limits, record = RateLimits(), limited("20:1")
    assert [limits.allow("d", record, 1, NOW) for _ in range(21)] == [True] * 20 + [False]
    assert not limits.allow("d", record, 1, NOW + SECOND // 20 - 1)
    assert limits.allow("d", record, 1, NOW + SECOND // 20)
    assert not limits.allow("d", record, 1, NOW + SECOND // 20)
    assert sum(limits.allow("d", record, 1, NOW + 3 * SECOND) for _ in range(30)) == 20


def test_both_parts_of_a_rate_have_to_hold() -> None:
    limits, record = RateLimits(), limited("20:1,60:60")
    taken = [sum(limits.allow("d", record, 1, NOW + second * SECOND) for _ in range(30)) for second in range(6)]
    assert taken == [20, 20, 20, 3, 1, 1]


def test_points_and_messages_are_limited_each() -> None:
    limits, record = RateLimits(), limited("100:1", "10:1")
    assert limits.allow("d", record, 6, NOW)
    assert not limits.allow("d", record, 5, NOW)
    assert limits.allow("d", record, 4, NOW), "what was refused took nothing"
    assert not RateLimits().allow("d", record, 11, NOW), "a message of more points than the capacity never passes"


def test_devices_have_buckets_of_their_own_and_defaults_where_their_record_is_silent() -> None:
    limits = RateLimits("1:1", "5:1")
    assert limits.allow("a", None, 1, NOW)
    assert not limits.allow("a", None, 1, NOW)
    assert limits.allow("b", limited(), 1, NOW)
    assert not limits.allow("b", limited(), 1, NOW)
    assert [limits.allow("c", limited("2:1"), 1, NOW) for _ in range(3)] == [True, True, False]
    assert not limits.allow("e", limited("2:1"), 6, NOW), "the default for points holds still"


def test_a_changed_rate_holds_at_once() -> None:
    limits = RateLimits()
    assert limits.allow("d", limited("1:60"), 1, NOW)
    assert not limits.allow("d", limited("1:60"), 1, NOW)
    assert limits.allow("d", limited("2:60"), 1, NOW)


def test_a_rate_in_a_record_that_cannot_be_read_is_none() -> None:
    assert RateLimits().allow("d", limited("often"), 1, NOW)


def test_a_clock_that_is_set_back_stops_nobody_for_longer_than_the_bucket_takes_to_fill() -> None:
    limits, record = RateLimits(), limited("2:1")
    assert limits.allow("d", record, 1, NOW)
    earlier = NOW - 3600 * SECOND
    limits.allow("d", record, 1, earlier)
    assert sum(limits.allow("d", record, 1, earlier + 1 * SECOND) for _ in range(3)) >= 1
    assert sum(limits.allow("d", record, 1, earlier + 3 * SECOND) for _ in range(3)) == 2


def test_no_more_devices_are_remembered_than_allowed_and_those_at_rest_go_first() -> None:
    limits = RateLimits("2:1", most=10)
    for number in range(10):
        limits.allow(f"d{number}", None, 1, NOW + (0 if number < 5 else 2 * SECOND))
    limits.allow("new", None, 1, NOW + 2 * SECOND)
    assert len(limits) == 6
    assert sum(limits.allow("d9", None, 1, NOW + 2 * SECOND) for _ in range(2)) == 1, "a busy one is still known"
    for number in range(1_000):
        limits.allow(f"more-{number}", None, 1, NOW + 2 * SECOND)
    assert len(limits) <= 10


@given(
    st.integers(1, 50),
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(0, 2 * SECOND), st.integers(1, 10)), max_size=60),
)
def test_in_no_span_does_more_pass_than_capacity_and_inflow(
    capacity: int, seconds: int, sent: list[tuple[int, int]]
) -> None:
    limits, record, now = RateLimits(), limited(points=f"{capacity}:{seconds}"), NOW
    passed: list[tuple[int, int]] = []
    for gap, points in sent:
        now += gap
        if limits.allow("d", record, points, now):
            passed.append((now, points))
    for first, (begin, _) in enumerate(passed):
        total = 0
        for at, points in passed[first:]:
            total += points
            assert total * seconds * SECOND <= capacity * (seconds * SECOND + at - begin)


def test_a_wrong_rate_is_a_wrong_setting() -> None:
    assert Settings(message_rate="20:1,600:60").message_rate == "20:1,600:60"
    with pytest.raises(ValidationError, match="'often' is no rate"):
        Settings(point_rate="often")
