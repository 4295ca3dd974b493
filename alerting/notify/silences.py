"""Silences: of which alerts nobody is told for a time. Pure."""

from collections.abc import Mapping
from typing import Annotated, Self

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from alerting.calendars import Calendar
from alerting.notify.matching import Matcher, Matchers, compiled, match_all
from alerting.schedules import Hours, Schedule


class SilenceSpec(BaseModel):
    """Alerts that meet all `matchers` are not told from `starts_at` to `ends_at`, in the hours of `schedule`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    matchers: Annotated[Matchers, Field(min_length=1)]
    starts_at: AwareDatetime | None = Field(default=None, description="At once where it is not given")
    ends_at: AwareDatetime | None = Field(default=None, description="Only with a schedule it may have no end")
    schedule: Schedule | None = Field(default=None, description="Hours that come again; always where not given")
    comment: str = Field(min_length=1, max_length=4096)
    created_by: str = Field(min_length=1, max_length=256)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.ends_at is None and self.schedule is None:
            raise ValueError("ends_at is needed where there is no schedule")
        if self.ends_at is not None and self.starts_at is not None and self.ends_at < self.starts_at:
            raise ValueError("ends_at has to be after starts_at")
        if all(matcher.matches({}) for matcher in compiled(self.matchers)):
            raise ValueError("at least one matcher has to be one that an empty value does not meet")
        return self


class Silence(msgspec.Struct, frozen=True):
    """A silence ready for use: from `start` until before `end`, ns since 1970 UTC; `end` None for ever."""

    id: str
    matchers: tuple[Matcher, ...]
    start: int
    end: int | None
    hours: Hours | None

    def active(self, now: int) -> bool:
        """Whether it holds `now`."""
        if now < self.start or (self.end is not None and now >= self.end):
            return False
        return self.hours is None or self.hours.active(now)

    def until(self, now: int) -> int | None:
        """Give the time up to which it holds at least, if it holds `now`; None for ever."""
        if self.hours is None:
            return self.end
        change = self.hours.next_change(now)
        return change if self.end is None else min(change, self.end)

    def silences(self, labels: Mapping[str, str], now: int) -> bool:
        """Whether nobody is to be told `now` of an alert with these labels."""
        return self.active(now) and match_all(self.matchers, labels)


def compile_silence(name: str, spec: SilenceSpec, calendars: Mapping[str, Calendar]) -> Silence:
    """Make a silence ready for use. Raises ValueError if it names a calendar that is not there."""
    return Silence(
        name,
        compiled(spec.matchers),
        0 if spec.starts_at is None else _ns(spec.starts_at),
        None if spec.ends_at is None else _ns(spec.ends_at),
        None if spec.schedule is None else Hours(spec.schedule, calendars),
    )


def _ns(at: AwareDatetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1000
