"""Faults of clocks: devices whose own time is not the time."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from simulators.faults import dialects
from simulators.faults.schedule import Family, Hit, Lasting
from simulators.faults.target import Target
from simulators.plan.load import SECOND
from simulators.scenario.quantities import Seconds

_DAY = 86_400
_KEPT = 28 * _DAY
"""How old a reading may claim to be: what is older than raw points are kept, 30 days, is a dead letter."""

_MARGIN_S = 3600
"""How far beyond what ingest believes a clock has to be: a message that is held up is less far ahead on arrival."""
_UNSET = {"1970": 0, "2000": 946_684_800 * SECOND}


class ClockSkew(Lasting):
    """A clock is off by `seconds`. What is ahead by more than `limit`, which is ingest's, is stored when it arrives."""

    family: ClassVar[Family] = "clocks"
    kind: Literal["clock_skew"]
    seconds: float = Field(ge=-_KEPT, le=3650 * _DAY)
    limit: Seconds = Field(default=300.0, ge=0)

    @model_validator(mode="after")
    def _certain(self) -> Self:
        if self.limit < self.seconds < self.limit + _MARGIN_S:
            raise ValueError(
                f"{self.kind}: whether a clock that is ahead by {self.seconds:g} s is believed depends on when the "
                f"message arrives; take at most {self.limit:g} s, or {self.limit + _MARGIN_S:g} s and more"
            )
        return self

    def fit(self, target: Target) -> Self:
        """Raise ValueError for a format without times."""
        dialects.timed(self.kind, target)
        return self

    def before(self, hit: Hit) -> None:
        """Shift the time."""
        ahead = round(self.seconds * SECOND)
        for row in hit.rows:
            ts = hit.draft.ts[row]
            if ts is not None:
                hit.draft.ts[row] = ts + ahead
        if self.seconds > self.limit:
            hit.draft.arrival.update(hit.rows)


class ClockJump(ClockSkew):
    """A clock jumps by `seconds` and comes back after `length`, once in each `every`.

    It jumps out of the run, by a day: two readings that claim the same moment would be one.
    """

    kind: Literal["clock_jump"]  # type: ignore[assignment]  # another one
    seconds: float = Field(default=-_DAY, ge=-_KEPT, le=3650 * _DAY)

    @model_validator(mode="after")
    def _back(self) -> Self:
        if self.every is None:
            raise ValueError(f"{self.kind}: it needs every and length")
        return self


class ClockUnset(Lasting):
    """A clock was never set: it counts from 1970 or 2000, or the device tells no time. It is stored when it arrives."""

    family: ClassVar[Family] = "clocks"
    kind: Literal["clock_unset"]
    says: Literal["1970", "2000", "nothing"] | None = None

    def fit(self, target: Target) -> Self:
        """Choose what it says. Raises ValueError for a format without times, or one that would have it believed."""
        dialects.timed(self.kind, target)
        says = dialects.possible(self.kind, [self.says] if self.says else ["1970", "2000"], target)
        return self.model_copy(update={"says": says[0]})

    def before(self, hit: Hit) -> None:
        """Count from the start of the run, or say nothing."""
        base = _UNSET.get(self.says or "")
        for row in hit.rows:
            hit.draft.ts[row] = None if base is None else base + hit.draft.due[row] - hit.draft.began
        hit.draft.arrival.update(hit.rows)
