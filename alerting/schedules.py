"""When something holds: times of the week in a time zone, and calendars of days. Pure."""

import re
from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, NamedTuple, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from alerting.calendars import Calendar, Days

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_YEAR = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MINUTE = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_DAY_NS = 86_400_000_000_000
_DAY_S = 86_400
_FEWEST_SHIFTS_S = 10_800  # no zone changes its clocks twice within it
_LOOK_AHEAD_DAYS = 32
_KEPT_DAYS = 4


def _numbers(text: str, names: tuple[str, ...]) -> range:
    """Read `mon` or `mon-fri`, also over the end, as numbers from 0, to be taken modulo how many there are."""
    first, dash, last = text.partition("-")
    if first not in names or (dash and last not in names):
        raise ValueError(f"{text!r} is neither one of {', '.join(names)} nor two of them like {names[0]}-{names[4]}")
    begin = names.index(first)
    end = names.index(last) if dash else begin
    return range(begin, (end if end >= begin else end + len(names)) + 1)


def _weekdays(text: str) -> str:
    _numbers(text, _WEEK)
    return text


def _months(text: str) -> str:
    _numbers(text, _YEAR)
    return text


def _time(text: str) -> str:
    if not _MINUTE.fullmatch(text):
        raise ValueError(f"{text!r} is no time from 00:00 to 24:00")
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {text!r}; write one like Europe/Berlin") from error
    return text


Weekdays = Annotated[str, AfterValidator(_weekdays)]
Months = Annotated[str, AfterValidator(_months)]
WallTime = Annotated[str, Field(max_length=5), AfterValidator(_time)]
CalendarName = Annotated[str, Field(min_length=1, max_length=64)]


class Times(BaseModel):
    """From a time of some weekdays to another, on the next day where that is earlier."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    days: list[Weekdays] | None = Field(
        default=None, min_length=1, max_length=14, description="Days like sat or mon-fri; every day where not given"
    )
    from_: WallTime = Field(default="00:00", alias="from", description="When it begins, on these days")
    to: WallTime = Field(
        default="24:00", description="When it ends; on the day after where that is earlier than `from`"
    )

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.from_ in (self.to, "24:00"):
            raise ValueError("from has to be another time than to, and before 24:00; a whole day is 00:00 to 24:00")
        return self


class Schedule(BaseModel):
    """Times at which something holds: always in the days that are given, where no `times` are.

    A time that goes over midnight belongs to the day on which it begins: that day's weekday, month and calendars count.
    It is the clock on the wall of `zone` that counts: of an hour that is shown twice when clocks are set back, both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = Field(
        default="UTC", description="IANA time zone, like Europe/Berlin"
    )
    times: list[Times] | None = Field(default=None, min_length=1, max_length=50)
    months: list[Months] | None = Field(
        default=None, min_length=1, max_length=12, description="Months like jul or oct-mar; all where not given"
    )
    only_on: list[CalendarName] | None = Field(
        default=None, min_length=1, max_length=20, description="Calendars: it holds on days in one of them alone"
    )
    not_on: list[CalendarName] = Field(
        default=[], max_length=20, description="Calendars: it does not hold on days in any of them"
    )

    @property
    def calendars(self) -> frozenset[str]:
        """The calendars that it names."""
        return frozenset([*(self.only_on or ()), *self.not_on])


class _Span(NamedTuple):
    """Seconds of a day's wall clock, from 0; `end` is beyond the day's where it ends on the next."""

    weekdays: frozenset[int]
    begin: int
    end: int


class Hours:
    """A schedule with its calendars. Raises ValueError, in words for its author, where one is not there.

    Times in ns since 1970 UTC. What it has found for a day it keeps while that, or a day near it, is asked for again.
    """

    def __init__(self, schedule: Schedule, calendars: Mapping[str, Calendar]) -> None:
        if missing := sorted(schedule.calendars - calendars.keys()):
            raise ValueError(f"there is no calendar {', '.join(map(repr, missing))}")
        self._zone = ZoneInfo(schedule.zone)
        self._spans = [_span(times) for times in schedule.times or [Times()]]
        months = _members(schedule.months, _YEAR)
        self._months = frozenset(month + 1 for month in months)
        self._only = None if schedule.only_on is None else [calendars[name].days() for name in schedule.only_on]
        self._not: list[Days] = [calendars[name].days() for name in schedule.not_on]
        clock = {0} | {second % _DAY_S for span in self._spans for second in (span.begin, span.end)}
        self._clock = [(_EPOCH + timedelta(seconds=second)).time() for second in sorted(clock)]
        self._days: dict[int, tuple[bool, list[int]]] = {}
        self._from = self._until = 0
        self._active = False

    def active(self, ns: int) -> bool:
        """Whether it holds at `ns`."""
        if not self._from <= ns < self._until:
            first, changes = self._day(day := ns // _DAY_NS)
            passed = bisect_right(changes, ns)
            self._active = first is (passed % 2 == 0)
            self._from = changes[passed - 1] if passed else day * _DAY_NS
            self._until = changes[passed] if passed < len(changes) else (day + 1) * _DAY_NS
        return self._active

    def next_change(self, ns: int) -> int:
        """Give the next time after `ns` at which `active` says something else; a month on, if none is sooner."""
        day = ns // _DAY_NS
        before = self.active(ns)
        for number in range(day, day + _LOOK_AHEAD_DAYS):
            first, changes = self._day(number)
            if number > day and first is not before:
                return number * _DAY_NS
            passed = bisect_right(changes, ns)
            if passed < len(changes):
                return changes[passed]
        return (day + _LOOK_AHEAD_DAYS) * _DAY_NS

    def _day(self, day: int) -> tuple[bool, list[int]]:
        """Give whether it holds when a day of UTC begins, and when that changes within the day."""
        found = self._days.get(day)
        if found is None:
            while len(self._days) >= _KEPT_DAYS:
                del self._days[next(iter(self._days))]
            begin = day * _DAY_S
            first = before = self._holds(begin)
            changes = []
            for second in sorted(self._candidates(begin)):
                if (holds := self._holds(second)) is not before:
                    before = holds
                    changes.append(second * 1_000_000_000)
            found = self._days[day] = first, changes
        return found

    def _candidates(self, begin: int) -> set[int]:
        """Give the seconds of the day of UTC that begins at `begin` at which anything may change."""
        end = begin + _DAY_S
        found = set()
        first, last = self._local(begin).date(), self._local(end).date()
        for days in range((last - first).days + 1):
            for clock in self._clock:
                for fold in (0, 1):
                    wall = datetime.combine(first + days * _DAY, clock.replace(fold=fold), self._zone)
                    found.add(int((wall - _EPOCH).total_seconds()))
        for second in range(begin, end, _FEWEST_SHIFTS_S):
            if self._offset(second) != self._offset(second + _FEWEST_SHIFTS_S):
                found.add(self._shift(second, second + _FEWEST_SHIFTS_S))
        return {second for second in found if begin < second < end}

    def _shift(self, before: int, after: int) -> int:
        """Find the second between the two at which clocks are set."""
        offset = self._offset(before)
        while after - before > 1:
            middle = (before + after) // 2
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return after

    def _offset(self, second: int) -> timedelta | None:
        return self._local(second).utcoffset()

    def _local(self, second: int) -> datetime:
        return (_EPOCH + timedelta(seconds=second)).astimezone(self._zone)

    def _holds(self, second: int) -> bool:
        local = self._local(second)
        clock = local.hour * 3600 + local.minute * 60 + local.second
        return self._spans_on(local.date(), clock) or self._spans_on(local.date() - _DAY, clock + _DAY_S)

    def _spans_on(self, day: date, clock: int) -> bool:
        """Whether a time that begins on `day` has the second `clock` after that day's midnight by the wall."""
        weekday = day.weekday()
        if not any(weekday in span.weekdays and span.begin <= clock < span.end for span in self._spans):
            return False
        if day.month not in self._months or (self._only is not None and not any(day in days for days in self._only)):
            return False
        return not any(day in days for days in self._not)


def _span(times: Times) -> _Span:
    begin, end = _second(times.from_), _second(times.to)
    return _Span(_members(times.days, _WEEK), begin, end if end > begin else end + _DAY_S)


def _second(text: str) -> int:
    return _DAY_S if text == "24:00" else _seconds_of(time.fromisoformat(text))


def _seconds_of(clock: time) -> int:
    return clock.hour * 3600 + clock.minute * 60


def _members(texts: list[str] | None, names: tuple[str, ...]) -> frozenset[int]:
    every = range(len(names))
    if texts is None:
        return frozenset(every)
    return frozenset(number % len(names) for text in texts for number in _numbers(text, names))
