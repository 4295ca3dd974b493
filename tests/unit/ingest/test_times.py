import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.times import EARLIEST, BadTimeError, event_time

NOW = 1_767_225_700_000_000_000
AHEAD = 300_000_000_000
MOMENT = 1_767_225_600_250_000_000


def at(stated: object) -> int:
    ts, flags = event_time(stated, NOW, AHEAD)
    assert "clock" not in flags, flags
    return ts


@pytest.mark.parametrize(
    ("stated", "ts"),
    [
        (1767225600, 1_767_225_600_000_000_000),
        (1767225600.25, MOMENT),
        (1767225600250, MOMENT),
        (1767225600250.5, 1_767_225_600_250_500_000),
        (1767225600250001, 1_767_225_600_250_001_000),
        (1767225600250000001, 1_767_225_600_250_000_001),
        ("1767225600", 1_767_225_600_000_000_000),
        ("1767225600.123456789", 1_767_225_600_123_456_789),
        ("1767225600.1234567899", 1_767_225_600_123_456_789),
        ("1767225600250000001", 1_767_225_600_250_000_001),
        ("1.7672256e9", 1_767_225_600_000_000_000),
        (1767225600.123456, 1_767_225_600_123_456_000),
        ("2026-01-01T00:00:00.25Z", MOMENT),
        ("2026-01-01T01:00:00.25+01:00", MOMENT),
        ("2026-01-01T01:00:00.25+0100", MOMENT),
        ("2026-01-01T01:00:00.25+01", MOMENT),
        ("2025-12-31T19:30:00.25-04:30", MOMENT),
        ("2026-01-01 00:00:00,25z", MOMENT),
        ("20260101T000000.25Z", MOMENT),
        ("2026-01-01T00:00:00.123456789987Z", 1_767_225_600_123_456_789),
        ("2026-01-01T00:00Z", 1_767_225_600_000_000_000),
        ("2025-12-31T24:00:00Z", 1_767_225_600_000_000_000),
        ("2025-12-31T23:59:60Z", 1_767_225_600_000_000_000),
    ],
)
def test_a_time_in_any_known_form_is_read_exactly(stated: object, ts: int) -> None:
    assert at(stated) == ts
    assert event_time(stated, NOW, AHEAD)[1] == {}


@pytest.mark.parametrize("stated", ["2026-01-01T00:00:00.25", "2026-01-01 00:00:00.25"])
def test_a_time_without_a_zone_is_utc_and_says_so(stated: str) -> None:
    assert event_time(stated, NOW, AHEAD) == (MOMENT, {"zone_assumed": "UTC"})


def test_a_date_alone_is_its_midnight() -> None:
    assert event_time("2026-01-01", NOW, AHEAD) == (1_767_225_600_000_000_000, {"zone_assumed": "UTC"})


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        (0, "0"),
        (45_000, "45000"),
        (-5, "-5"),
        (978_307_199, "978307199"),
        ("1999-12-31T23:59:59Z", "1999-12-31T23:59:59Z"),
        (NOW + AHEAD + 1, str(NOW + AHEAD + 1)),
        (9_999_999_999_999_999_999_999, "9999999999999999999999"),
        (1e300, "1e+300"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_that_cannot_be_true_becomes_the_received_time_and_is_kept_as_a_flag(stated: object, kept: str) -> None:
    assert event_time(stated, NOW, AHEAD) == (NOW, {"clock": kept})


def test_a_convention_may_allow_times_before_2001() -> None:
    assert event_time(45_000, NOW, AHEAD, unit=1_000_000, earliest=0) == (45_000_000_000, {})
    assert event_time(-1, NOW, AHEAD, unit=1_000_000, earliest=0) == (NOW, {"clock": "-1"})


def test_the_bounds_themselves_are_true_times() -> None:
    assert at(978_307_200) == EARLIEST
    assert at(NOW + AHEAD) == NOW + AHEAD


@pytest.mark.parametrize(
    "stated",
    [
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T24:00:01Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00+25:00",
        "2026-01-01T00:00:00+01:60",
        "2026-0101T00:00:00Z",
        "٢٠٢٦-01-01T00:00:00Z",
        "yesterday",
        "",
        "1_767_225_600",
        "0x69",
        "nan",
        "inf",
        "1" * 65,
        "1e9999",
        True,
        [1767225600],
        {"seconds": 1767225600},
        1 << 200,
    ],
)
def test_what_is_no_time_is_refused(stated: object) -> None:
    with pytest.raises(BadTimeError):
        event_time(stated, NOW, AHEAD)


@given(st.integers(min_value=EARLIEST // 1_000_000, max_value=NOW // 1_000_000))
def test_milliseconds_are_exact(stated: int) -> None:
    assert at(stated) == stated * 1_000_000


@given(st.integers(min_value=EARLIEST, max_value=NOW))
def test_nanoseconds_are_exact(stated: int) -> None:
    assert at(stated) == at(str(stated)) == stated


@given(st.one_of(st.text(max_size=80), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_anything_is_a_time_or_refused(stated: object) -> None:
    try:
        ts, flags = event_time(stated, NOW, AHEAD)
    except BadTimeError:
        return
    assert EARLIEST <= ts <= NOW + AHEAD
    assert flags.keys() <= {"clock", "zone_assumed"}
