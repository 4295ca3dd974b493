"""What rules of every kind have, as their authors write it."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from alerting.rules.selector import Name, Selector
from alerting.schedules import Schedule
from contracts.alerts import Severity
from contracts.durations import format_duration, parse_duration

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""From the least to the most severe."""

Duration = Annotated[str, Field(max_length=64), AfterValidator(lambda text: format_duration(parse_duration(text)))]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
LabelName = Annotated[str, Field(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=128)]
Template = Annotated[str, Field(max_length=4096)]


class NoData(BaseModel):
    """What silence does: nothing heard of the rule's metrics for `after`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: Literal["hold", "resolve", "fire"] = Field(
        default="hold",
        description="hold: alerts stay as they are; resolve: they end; fire: one begins, as for an absent device",
    )
    after: Duration | None = Field(
        default=None, description="How long; three of the device's expected intervals where it is not given"
    )


class Flapping(BaseModel):
    """From how many changes on, firing and resolved, an alert is damped: it then stays until quiet for `within`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    changes: int = Field(default=6, ge=0, le=100, description="Changes within that time; 0 or 1: never damped")
    within: Duration = "15m"

    @property
    def within_ns(self) -> int:
        """`within` in ns."""
        return parse_duration(self.within)


class Common(BaseModel):
    """Fields of rules of every kind."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    name: str = Field(min_length=1, max_length=256)
    description: str = Field(default="", max_length=4096)
    enabled: bool = True
    selector: Selector = Selector()
    severity: Severity = Field(default="warning", description="Of the only level, where no `levels` are given")
    for_: Duration = Field(default="0s", alias="for", description="How long values have to be bad, like 0s, 30s or 5m")
    keep_firing_for: Duration = Field(
        default="0s", description="How long values have to be good until a firing alert ends or is lowered"
    )
    no_data: NoData = NoData()
    schedule: Schedule | None = Field(default=None, description="When the rule evaluates; always where not given")
    flapping: Flapping = Flapping()
    labels: dict[LabelName, Template] = Field(
        default={}, max_length=32, description="Labels of its alerts, by which they are routed; Jinja2 templates"
    )
    annotations: dict[LabelName, Template] = Field(
        default={}, max_length=32, description="Texts for people, like summary and description; Jinja2 templates"
    )
    runbook: str = Field(default="", max_length=2000, description="Link to what to do about it")
    notify: bool = Field(default=True, description="Whether anybody is told of its alerts")

    @property
    def about(self) -> str:
        """The metric that its alerts name; empty where they are about several or none."""
        return str(getattr(self, "metric", None) or "")

    @property
    def for_ns(self) -> int:
        """`for` in ns."""
        return parse_duration(self.for_)

    @property
    def keep_ns(self) -> int:
        """`keep_firing_for` in ns."""
        return parse_duration(self.keep_firing_for)


class Level(BaseModel):
    """One of several levels of a rule, each more severe than the one before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Severity


class Leveled(Common):
    """A rule that has either the fields of one level, or `levels`."""

    levels: list[Level] | None = None

    @model_validator(mode="after")
    def _more_severe_each(self) -> Self:
        ranks = [SEVERITIES.index(level.severity) for level in self.levels or []]
        if ranks != sorted(set(ranks)):
            raise ValueError("each level has to be more severe than the one before: info, warning, critical")
        return self


Metric = Name
