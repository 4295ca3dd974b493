"""What a dry run is asked with, and what it answers."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from alerting.dryrun.outcome import Change, Cut, DeviceRun, DryRun, Limits
from alerting.life.alert import Ending, What
from alerting.rules.spec import RuleSpec
from alerting.web.ruleschemas import RuleId
from contracts.alerts import Severity
from contracts.readings import Reading
from contracts.requests import TimeParam
from contracts.times import format_time
from contracts.topics import device_id_problem

SECOND = 1_000_000_000
MOST_READINGS = 5_000
LONGEST_DAYS = 92


def _number(value: object) -> object:
    return float(value) if type(value) is int else value


Value = Annotated[float | bool | str, BeforeValidator(_number)]


class ReadingIn(BaseModel):
    """A reading that was made up."""

    model_config = ConfigDict(extra="forbid")

    device: Annotated[str, Field(min_length=1, max_length=256)]
    ts: TimeParam
    values: dict[Annotated[str, Field(min_length=1, max_length=256)], Value] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def _storable(self) -> Self:
        if problem := device_id_problem(self.device):
            raise ValueError(f"the device id {self.device!r} {problem}")
        return self

    def reading(self) -> Reading:
        """Give it as evaluation takes it."""
        return Reading(self.device, self.ts, self.ts, dict(self.values))


class DryRunIn(BaseModel):
    """Which rule is to be run, over which time, and over which history where that is not the stored one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "rule": {"name": "too hot", "metric": "temperature", "operator": "gt", "value": 30, "for": "5m"},
                "start": "2026-01-01T00:00:00Z",
                "end": "2026-01-08T00:00:00Z",
            }
        },
    )

    rule: RuleSpec | None = Field(default=None, description="A rule as it is sent to be made; or give `rule_id`")
    rule_id: RuleId | None = Field(default=None, description="A rule that is there, whether it is enabled or not")
    start: TimeParam = Field(description="The rule begins here, and knows nothing of before")
    end: TimeParam
    readings: list[ReadingIn] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_READINGS,
        description="History to run over, in any order, in place of the stored one",
    )
    max_devices: int = Field(default=100, ge=1, le=1_000, description="Devices that are gone through, by their ids")
    max_changes: int = Field(default=1_000, ge=1, le=10_000, description="Changes in the answer")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.rule is None) == (self.rule_id is None):
            raise ValueError("give either rule or rule_id")
        if not 0 < self.end - self.start <= LONGEST_DAYS * 86_400 * SECOND:
            raise ValueError(f"end has to be after start, and at most {LONGEST_DAYS} days")
        return self

    @property
    def limits(self) -> Limits:
        """How far the run may go."""
        return Limits(devices=self.max_devices, changes=self.max_changes)


class DryChangeOut(BaseModel):
    """One change of an alert, and how it stood then."""

    at: str
    what: What
    state: Literal["pending", "firing", "resolved", "withdrawn"]
    level: int
    severity: Severity
    value: float | None
    no_data: bool
    reason: Ending | None

    @classmethod
    def of(cls, change: Change) -> Self:
        """Show a change."""
        return cls(
            at=format_time(change.at),
            what=change.what,
            state=change.state.value,
            level=change.level,
            severity=change.severity,
            value=change.value,
            no_data=change.no_data,
            reason=change.reason,
        )


class DryDeviceOut(BaseModel):
    """What the rule would have done at one device."""

    device: str
    events: int = Field(description="Readings, or windows, that it looked at")
    alerts: int = Field(description="How often an alert fired")
    firing_seconds: float
    open: Literal["pending", "firing"] | None = Field(description="Whether an alert is open at the end")
    failures: int
    changed: int = Field(description="How many changes there were, also where `changes` has not all of them")
    changes: list[DryChangeOut]

    @classmethod
    def of(cls, run: DeviceRun) -> Self:
        """Show a device."""
        return cls.model_validate(
            {name: getattr(run, name) for name in ("device", "events", "alerts", "failures", "changed")}
            | {"open": None if run.open is None else run.open.value, "firing_seconds": run.firing_ns / SECOND}
            | {"changes": [DryChangeOut.of(change) for change in run.changes]}
        )


class DryRunOut(BaseModel):
    """What a rule would have done, had it been made at `start`, with devices as they are registered now."""

    start: str
    end: str
    selected: int = Field(description="Devices that the rule looks at")
    devices: int = Field(description="Of these, how many were gone through")
    events: int = Field(description="Readings, or windows, that it looked at")
    alerts: int = Field(description="How often an alert fired")
    firing_seconds: float = Field(description="For how long alerts fired, all together")
    failures: int = Field(description="On how many of them the rule failed")
    failure: str | None = Field(description="Why, the first time")
    timeline: list[DryDeviceOut] = Field(description="Devices at which something would have changed, by id")
    cut: list[Cut] = Field(description="Limits that were reached: what lies beyond is not in here")

    @classmethod
    def of(cls, run: DryRun) -> Self:
        """Show a run."""
        return cls.model_validate(
            {name: getattr(run, name) for name in ("selected", "devices", "events", "alerts", "failures", "failure")}
            | {"start": format_time(run.start), "end": format_time(run.end), "cut": run.cut}
            | {"firing_seconds": run.firing_ns / SECOND, "timeline": [DryDeviceOut.of(one) for one in run.timeline]}
        )
