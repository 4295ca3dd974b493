"""Calendars: named days that schedules leave out, or keep to. Pure."""

import calendar as gregorian
import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_DATE = r"(?:([0-9]{4})-)?([0-9]{2})-([0-9]{2})"
_DAYS = re.compile(rf"{_DATE}(?:/{_DATE})?", re.ASCII)
_LEAP = 2000
MOST_DATES = 2000

_Yearly = tuple[int, int]  # month and day


def _read(text: str) -> tuple[date, date] | tuple[_Yearly, _Yearly]:
    """Read what one entry covers, first and last day. Raises ValueError with a sentence for the author."""
    found = _DAYS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no day like 2026-12-24, each year's 12-24, or two with a slash between them")
    year, month, day, last_year, last_month, last_day = found.groups()
    if last_month is None:
        last_year, last_month, last_day = year, month, day
    if (year is None) is not (last_year is None):
        raise ValueError(f"{text!r}: either both days have a year, or none")
    try:
        first = date(int(year or _LEAP), int(month), int(day))
        last = date(int(last_year or _LEAP), int(last_month), int(last_day))
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from error
    if year is None:
        return (first.month, first.day), (last.month, last.day)
    if last < first:
        raise ValueError(f"{text!r} ends before it begins")
    return first, last


def _valid(text: str) -> str:
    _read(text)
    return text


class Calendar(BaseModel):
    """Named days, such as public holidays or when a plant is shut down."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(default="", max_length=4096)
    dates: list[Annotated[str, Field(max_length=32), AfterValidator(_valid)]] = Field(
        max_length=MOST_DATES,
        description="Days: 2026-12-24, or each year's 12-24; from day to day: 2026-07-20/2026-08-02, or 12-24/01-02",
    )

    def days(self) -> "Days":
        """Give its days, to be asked for fast."""
        return Days(self.dates)


class Days:
    """Days of a calendar: `date in days`."""

    def __init__(self, dates: list[str]) -> None:
        self._yearly: set[_Yearly] = set()
        self._spans: list[tuple[date, date]] = []
        self._single: set[date] = set()
        for text in dates:
            first, last = _read(text)
            if isinstance(first, date) and isinstance(last, date):
                if first == last:
                    self._single.add(first)
                else:
                    self._spans.append((first, last))
            elif isinstance(first, tuple) and isinstance(last, tuple):
                self._yearly.update(_yearly(first, last))

    def __contains__(self, day: date) -> bool:
        return (
            (day.month, day.day) in self._yearly
            or day in self._single
            or any(first <= day <= last for first, last in self._spans)
        )


def _yearly(first: _Yearly, last: _Yearly) -> list[_Yearly]:
    """Give the days of any year from one to the other, over its end where the last comes earlier."""
    days = [(month, day) for month in range(1, 13) for day in range(1, gregorian.monthrange(_LEAP, month)[1] + 1)]
    if last >= first:
        return [day for day in days if first <= day <= last]
    return [day for day in days if day >= first or day <= last]
