"""When a schedule holds, against a minute-by-minute reading of the clock on the wall."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alerting.calendars import Calendar
from alerting.schedules import Hours, Schedule, Times

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTE_NS = 60_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Days around which clocks are set: by an hour, by half an hour, in the other hemisphere, at midnight, and not at all.
_CHANGES = {
    "Europe/Berlin": (date(2026, 3, 28), date(2026, 10, 24)),
    "America/New_York": (date(2026, 3, 7), date(2026, 10, 31)),
    "Australia/Lord_Howe": (date(2026, 4, 4), date(2026, 10, 3)),
    "America/Santiago": (date(2026, 4, 4), date(2026, 9, 5)),
    "Asia/Kolkata": (date(2026, 2, 27), date(2027, 12, 31)),
    "Pacific/Apia": (date(2011, 12, 29), date(2026, 12, 30)),  # one of them left out a whole day
}


def ns_of(text: str, zone: str = "UTC", fold: int = 0) -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int((local - _EPOCH).total_seconds()) * 1_000_000_000


def hours(content: dict[str, object], **calendars: list[str]) -> Hours:
    return Hours(Schedule.model_validate(content), {name: Calendar(dates=dates) for name, dates in calendars.items()})


def minutes_of(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def holds_naively(schedule: Schedule, holidays: set[date], ns: int) -> bool:
    local = (_EPOCH + timedelta(microseconds=ns // 1000)).astimezone(ZoneInfo(schedule.zone))
    clock = local.hour * 60 + local.minute
    for times in schedule.times or [Times()]:
        begin, end = minutes_of(times.from_), minutes_of(times.to)
        if end > begin:
            day, inside = local.date(), begin <= clock < end
        elif clock >= begin:
            day, inside = local.date(), True
        else:
            day, inside = local.date() - timedelta(days=1), clock < end
        weekdays = {name for text in times.days or ["mon-sun"] for name in _between(text)}
        if inside and _WEEK[day.weekday()] in weekdays and not (schedule.not_on and day in holidays):
            return True
    return False


def _between(text: str) -> list[str]:
    first, _, last = text.partition("-")
    doubled = _WEEK * 2
    begin = doubled.index(first)
    return list(doubled[begin : doubled.index(last or first, begin) + 1])


_clock = st.integers(0, 287).map(lambda five: f"{five // 12:02}:{five % 12 * 5:02}")
_name = st.sampled_from(_WEEK)
_days = st.none() | st.lists(_name | st.tuples(_name, _name).map("-".join), min_size=1, max_size=3)


@st.composite
def _times(draw: st.DrawFn) -> dict[str, object]:
    begin = draw(_clock)
    end = draw(_clock.filter(lambda clock: clock != begin) | st.just("24:00"))
    return {"days": draw(_days), "from": begin, "to": end}


@settings(max_examples=40)
@given(
    zone=st.sampled_from(sorted(_CHANGES)),
    which=st.integers(0, 1),
    times=st.none() | st.lists(_times(), min_size=1, max_size=3),
    holiday=st.integers(0, 2),
    leaves_out=st.booleans(),
)
def test_holds_as_the_clock_on_the_wall_shows_minute_by_minute_where_clocks_are_set(
    zone: str, which: int, times: list[dict[str, object]] | None, holiday: int, *, leaves_out: bool
) -> None:
    begin = _CHANGES[zone][which]
    day = begin + timedelta(days=holiday)
    content: dict[str, object] = {"zone": zone, "times": times, "not_on": ["holidays"] if leaves_out else []}
    schedule = Schedule.model_validate(content)
    tested = Hours(schedule, {"holidays": Calendar(dates=[day.isoformat()])})
    first = ns_of(f"{begin}T18:00", zone)
    instants = [first + minute * _MINUTE_NS for minute in range(36 * 60)]
    wanted = [holds_naively(schedule, {day}, ns) for ns in instants]
    assert [tested.active(ns) for ns in instants] == wanted
    assert [tested.active(ns) for ns in reversed(instants)] == wanted[::-1]  # and in any order
    change = tested.next_change(first + 1)
    seen = next((ns for ns, holds in zip(instants, wanted, strict=True) if holds is not wanted[0]), None)
    assert change == seen if seen is not None else change > instants[-1]


def test_a_time_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    night = hours({"times": [{"days": ["fri"], "from": "22:00", "to": "06:00"}]})
    assert night.active(ns_of("2026-06-05T23:00"))  # a Friday
    assert night.active(ns_of("2026-06-06T05:59"))
    assert not night.active(ns_of("2026-06-06T06:00"))
    assert not night.active(ns_of("2026-06-05T05:00"))
    assert night.next_change(ns_of("2026-06-06T06:00")) == ns_of("2026-06-12T22:00")


def test_an_hour_that_is_shown_twice_is_in_it_twice_and_one_that_is_left_out_never() -> None:
    early = hours({"zone": "Europe/Berlin", "times": [{"from": "02:15", "to": "02:45"}]})
    for fold in (0, 1):
        assert early.active(ns_of("2026-10-25T02:30", "Europe/Berlin", fold))
    assert not early.active(ns_of("2026-03-29T01:20"))
    gone = ns_of("2026-03-28T02:45", "Europe/Berlin")
    assert early.next_change(gone) == ns_of("2026-03-30T02:15", "Europe/Berlin")


def test_days_of_calendars_are_left_out_or_kept_to() -> None:
    open_ = {"times": [{"days": ["mon-fri"], "from": "08:00", "to": "18:00"}], "not_on": ["holidays"]}
    office = hours(open_, holidays=["12-24/01-01", "2026-06-04"])
    assert office.active(ns_of("2026-06-03T12:00"))
    assert not office.active(ns_of("2026-06-04T12:00"))
    assert office.active(ns_of("2027-06-04T12:00"))
    assert not office.active(ns_of("2026-12-31T12:00"))
    shut = hours({"only_on": ["stop"]}, stop=["2026-07-20/2026-08-02"])
    assert shut.next_change(ns_of("2026-07-01T00:00")) == ns_of("2026-07-20T00:00")
    assert shut.next_change(ns_of("2026-07-20T00:00")) == ns_of("2026-08-03T00:00")


def test_months_go_over_the_end_of_the_year() -> None:
    winter = hours({"months": ["nov-feb"]})
    assert winter.active(ns_of("2026-12-31T23:59"))
    assert winter.active(ns_of("2027-02-28T00:00"))
    assert not winter.active(ns_of("2027-03-01T00:00"))


def test_what_never_changes_is_asked_for_again_after_a_month() -> None:
    always = hours({})
    noon = ns_of("2026-06-03T12:00")
    assert always.active(noon)
    assert noon < always.next_change(noon) <= noon + 32 * 1440 * _MINUTE_NS


def test_a_calendar_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="there is no calendar 'feasts'"):
        hours({"not_on": ["feasts"]})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"zone": "Mars/Olympus"}, "there is no time zone"),
        ({"zone": "../etc/passwd"}, "there is no time zone"),
        ({"times": [{"days": ["monday"]}]}, "neither one of mon"),
        ({"times": [{"from": "25:00"}]}, "no time from 00:00"),
        ({"times": [{"from": "08:00", "to": "08:00"}]}, "another time"),
        ({"times": [{"from": "24:00", "to": "08:00"}]}, "another time"),
        ({"times": []}, "at least 1"),
        ({"months": ["jan-foo"]}, "neither one of jan"),
    ],
)
def test_what_is_no_schedule_is_refused_in_words(content: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Schedule.model_validate(content)


@pytest.mark.parametrize("text", ["2026-02-30", "2026-13-01", "24.12.", "2026-12-24/12-26", "2026-12-24/2026-12-20"])
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Calendar(dates=[text])
