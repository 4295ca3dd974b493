"""The kinds of rules, as their authors write them."""

from functools import lru_cache
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from alerting.rules.common import Duration, Level, Leveled, Metric, NoData, Number
from alerting.rules.selector import Name
from contracts.alerts import Operator, clear_problem
from contracts.durations import parse_duration
from contracts.expressions import MOST_CHARACTERS, Expression
from contracts.timeseries import DAY, HOUR, MINUTE

MOST_WINDOWS = 120
"""Most windows that a rule joins."""
TIERS = {"1m": MINUTE, "1h": HOUR, "1d": DAY}
"""Width of a tier's windows in ns; a day may be an hour shorter or longer."""


class NumberLevel(Level):
    """A level that has a number, and perhaps another at which it ends."""

    value: Number
    clear: Number | None = None


class Numbered(Leveled):
    """A rule that compares a number to that of its level, or of its `levels`."""

    operator: Operator = Field(default="gt", description="How a bad value compares to `value`")
    value: Number | None = Field(default=None, description="Threshold")
    clear: Number | None = Field(
        default=None, description="A firing alert lasts while values are `operator` this; `value` where it is not given"
    )
    levels: Annotated[list[NumberLevel], Field(min_length=1, max_length=3)] | None = Field(  # type: ignore[assignment]  # a list of a subclass, never changed
        default=None, description="Several thresholds, from the least severe on, in place of value, clear and severity"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.value is None) == (self.levels is None):
            raise ValueError("give either value or levels")
        if self.clear is not None and self.levels is not None:
            raise ValueError("with levels, each level has its own clear")
        for level in self.all_levels:
            if problem := clear_problem(self.operator, level.value, level.clear):
                raise ValueError(problem)
        numbers = [level.value for level in self.all_levels]
        if numbers != sorted(set(numbers), reverse=self.operator in ("lt", "le")):
            raise ValueError("each level's value has to be further out than the one before")
        return self

    @property
    def all_levels(self) -> list[NumberLevel]:
        """The levels; one where only `value` is given."""
        if self.levels is not None:
            return self.levels
        return [NumberLevel(severity=self.severity, value=self.value or 0.0, clear=self.clear)]


class ThresholdSpec(Numbered):
    """Bad while a metric is `operator` `value`."""

    kind: Literal["threshold"] = "threshold"
    metric: Metric


class RateSpec(Numbered):
    """Bad while a metric changes by `operator` `value` a second, measured over at least `over`.

    A change downward is below 0: what falls too fast is `lt` a number below 0.
    """

    kind: Literal["rate"]
    metric: Metric
    over: Duration = Field(
        default="0s", description="Between readings that are so far apart, or further; 0s: two that follow"
    )
    counter: bool = Field(default=False, description="It counts up: one that falls has begun anew at 0")


class RepeatingSpec(Numbered):
    """Bad while at least `times` of the last `of` values of a metric are `operator` `value`."""

    kind: Literal["repeating"]
    metric: Metric
    times: int = Field(ge=1, le=1000)
    of: int = Field(ge=1, le=1000)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.times > self.of:
            raise ValueError("times must not be more than of")
        return self


class WindowSpec(Numbered):
    """Bad while `function` of a metric's closed windows, over the last `over`, is `operator` `value`."""

    kind: Literal["window"]
    metric: Metric
    function: Literal["mean", "min", "max", "sum", "count", "last", "first", "stddev", "range"]
    tier: Literal["1m", "1h", "1d"] = "1m"
    over: Duration | None = Field(
        default=None, description=f"1 to {MOST_WINDOWS} windows of the tier; one where it is not given"
    )

    @property
    def over_ns(self) -> int:
        """`over` in ns."""
        return TIERS[self.tier] if self.over is None else parse_duration(self.over)

    @model_validator(mode="after")
    def _whole_windows(self) -> Self:
        windows, rest = divmod(self.over_ns, TIERS[self.tier])
        if rest or not 1 <= windows <= MOST_WINDOWS:
            raise ValueError(
                f"over ({self.over}) has to be 1 to {MOST_WINDOWS} whole windows of the tier ({self.tier})"
            )
        return self


class DeviationSpec(Numbered):
    """Bad while a metric is more than `value` standard deviations off its exponentially weighted mean."""

    kind: Literal["deviation"]
    metric: Metric
    direction: Literal["both", "above", "below"] = "both"
    memory: Duration = Field(default="1h", description="Time constant of the mean and the deviation")
    warm_up: int = Field(default=30, ge=2, le=100_000, description="Values before it judges, also after a long gap")
    least: Number = Field(
        default=0.0,
        ge=0,
        description="Smallest standard deviation that is believed, in the metric's unit; of one that often stands "
        "still, give about the smallest step that it takes",
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.operator not in ("gt", "ge"):
            raise ValueError("operator has to be gt or ge: deviations are far or not, `direction` says to which side")
        if any(level.value <= 0 or (level.clear or 0) < 0 for level in self.all_levels):
            raise ValueError("value counts standard deviations and has to be more than 0, clear no less than 0")
        if parse_duration(self.memory) == 0:
            raise ValueError("memory has to be more than 0s")
        return self


@lru_cache(maxsize=1024)
def expression_of(text: str) -> Expression:
    """Compile a condition; of the last thousand texts, once. Raises ValueError."""
    return Expression(text, attributes=True)


def _expression(text: str) -> str:
    expression_of(text)
    return text


Condition = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS), AfterValidator(_expression)]


class ConditionLevel(Level):
    """A level with an expression that is true while it is breached, and perhaps one that is true while it is held."""

    condition: Condition
    hold: Condition | None = None


class ConditionSpec(Leveled):
    """Bad while an expression over metrics and attributes of a device is true."""

    kind: Literal["condition"]
    condition: Condition | None = Field(
        default=None, description='As in `temperature > 30 && door == "open" && tags.site == "north"`'
    )
    hold: Condition | None = Field(
        default=None, description="A firing alert lasts while this is true; `condition` where it is not given"
    )
    max_age: Duration | None = Field(
        default=None,
        description="A metric whose newest value is older than this, at the time of the reading that is judged, counts "
        "as absent; of any age where not given",
    )
    levels: Annotated[list[ConditionLevel], Field(min_length=1, max_length=3)] | None = None  # type: ignore[assignment]  # as above

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.condition is None) == (self.levels is None):
            raise ValueError("give either condition or levels")
        if self.hold is not None and self.levels is not None:
            raise ValueError("with levels, each level has its own hold")
        return self

    @property
    def all_levels(self) -> list[ConditionLevel]:
        """The levels; one where only `condition` is given."""
        if self.levels is not None:
            return self.levels
        return [ConditionLevel(severity=self.severity, condition=self.condition or "", hold=self.hold)]


class AbsenceLevel(Level):
    """A level that is reached after a time without anything heard."""

    after: Duration


class AbsenceSpec(Leveled):
    """Bad while a device, or one metric of it, has not been heard of for `after`; also if it never was."""

    kind: Literal["absence"]
    metric: Metric | None = Field(
        default=None,
        description="A metric that devices send, not one that is computed; anything that they send where not given",
    )
    after: Duration | None = Field(
        default=None, description="How long; `intervals` times the device's expected interval where it is not given"
    )
    intervals: Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=1000)] = Field(
        default=3.0, description="A device whose profile expects no interval is not absent by them, however long it is"
    )
    levels: Annotated[list[AbsenceLevel], Field(min_length=1, max_length=3)] | None = None  # type: ignore[assignment]  # as above

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.after is not None and self.levels is not None:
            raise ValueError("give either after or levels")
        if self.for_ns:
            raise ValueError("an absence has no `for`: how long is said by after, intervals or levels")
        if self.no_data != NoData():
            raise ValueError("an absence has no `no_data`: it is about nothing else")
        times = self.afters
        if any(ns == 0 for ns in times):
            raise ValueError("after has to be more than 0s")
        if times != sorted(set(times)):
            raise ValueError("each level's after has to be longer than the one before")
        return self

    @property
    def afters(self) -> list[int]:
        """How long, in ns, by level; empty where that is counted in the device's intervals."""
        if self.levels is not None:
            return [parse_duration(level.after) for level in self.levels]
        return [] if self.after is None else [parse_duration(self.after)]


class GroupSpec(Numbered):
    """Bad while the count, or share, of a group's devices that have an alert of another rule is `operator` `value`."""

    kind: Literal["group"]
    of: Name = Field(description="Id of the other rule, which is of a kind that looks at devices")
    state: Literal["firing", "pending"] = Field(default="firing", description="pending: firing ones count too")
    measure: Literal["count", "share"] = Field(
        default="count", description="share: from 0 to 1, of the registered and enabled devices that are selected"
    )
    by: Literal["group", "all"] = Field(
        default="all", description="group: one alert for each of the selector's groups; all: one for all its devices"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.by == "group" and self.selector.groups is None:
            raise ValueError("by group asks for a selector with groups")
        if self.measure == "share" and any(not 0 <= level.value <= 1 for level in self.all_levels):
            raise ValueError("a share is from 0 to 1")
        if self.no_data != NoData():
            raise ValueError("a group rule has no `no_data`: no device of the group is silent to it")
        return self
