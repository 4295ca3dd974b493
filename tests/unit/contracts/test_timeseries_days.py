"""Where windows begin and end."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.timeseries import DAY, HOUR, MINUTE, Days, Tier, days_of, start_of

ZONES = ["", "UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "Africa/Cairo"]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("zone", "moment", "start", "end"),
    [
        ("", "2026-03-29T12:00+00:00", "2026-03-29T00:00+00:00", "2026-03-30T00:00+00:00"),
        ("Europe/Berlin", "2026-03-29T12:00+00:00", "2026-03-28T23:00+00:00", "2026-03-29T22:00+00:00"),
        ("Europe/Berlin", "2026-10-25T12:00+00:00", "2026-10-24T22:00+00:00", "2026-10-25T23:00+00:00"),
        ("Asia/Kolkata", "2026-01-01T18:29:59+00:00", "2025-12-31T18:30+00:00", "2026-01-01T18:30+00:00"),
        # Clocks skip this midnight: the day begins at one o'clock.
        ("Africa/Cairo", "2024-04-26T12:00+00:00", "2024-04-25T22:00+00:00", "2024-04-26T21:00+00:00"),
    ],
)
def test_a_day_is_a_local_one(zone: str, moment: str, start: str, end: str) -> None:
    assert Days(zone).of(at(moment)) == (at(start), at(end))


@given(st.sampled_from(ZONES), st.integers(at("2001-01-01T00:00+00:00"), at("2040-01-01T00:00+00:00")))
def test_days_are_whole_minutes_hold_their_moments_and_follow_each_other(zone: str, ts: int) -> None:
    days = Days(zone)
    start, end = days.of(ts)
    assert start <= ts < end
    assert start % MINUTE == end % MINUTE == 0
    assert days.of(end)[0] == end
    assert days.of(start - 1)[1] == start
    assert days.of(ts) == (start, end), "whatever was asked for before"
    assert 23 * HOUR <= end - start <= 25 * HOUR


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../../etc/passwd", "\x00", "x" * 5000])
def test_a_zone_that_is_none_is_utc(zone: str) -> None:
    assert Days(zone).of(DAY + 5) == (DAY, 2 * DAY)


def test_windows_are_named_by_their_start() -> None:
    days = days_of("Asia/Kolkata")
    ts = at("2026-01-01T18:45:30+00:00")
    assert start_of(Tier.M1, ts, days) == at("2026-01-01T18:45+00:00")
    assert start_of(Tier.H1, ts, days) == at("2026-01-01T18:00+00:00")
    assert start_of(Tier.D1, ts, days) == at("2026-01-01T18:30+00:00")
    assert days_of("Asia/Kolkata") is days
