"""What the HTTP interface takes and gives."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from alerting.addresses import url_problem
from alerting.rules import Rule
from alerting.states import Alert
from alerting.times import format_time
from contracts.alerts import Operator, Severity, clear_problem
from contracts.durations import format_duration, parse_duration
from contracts.topics import device_id_problem

MAX_DEVICES = 1000
MAX_WEBHOOKS = 8


def _device(device: str) -> str:
    if problem := device_id_problem(device):
        raise ValueError(f"the device id {device!r} {problem}")
    return device


def _webhook(url: str) -> str:
    if problem := url_problem(url):
        raise ValueError(f"the URL {problem}")
    return url


def _duration(text: str) -> str:
    return format_duration(parse_duration(text))


Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Selector(BaseModel):
    """Which devices a rule looks at: those named, those of a profile, or all where neither is given."""

    model_config = ConfigDict(extra="forbid")

    devices: list[Annotated[str, AfterValidator(_device)]] | None = Field(
        default=None, min_length=1, max_length=MAX_DEVICES, description="Device ids"
    )
    profile: str | None = Field(default=None, min_length=1, max_length=256, description="A profile of the registry")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.devices is not None and self.profile is not None:
            raise ValueError("give devices or profile, not both")
        return self


class RuleIn(BaseModel):
    """A threshold rule as an operator writes it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    name: str = Field(min_length=1, max_length=256)
    metric: str = Field(min_length=1, max_length=256)
    operator: Operator = Field(description="How a bad value compares to `value`")
    value: Number = Field(description="Threshold")
    for_: Annotated[str, AfterValidator(_duration)] = Field(
        default="0s", alias="for", max_length=64, description="How long values have to be bad, like 0s, 30s or 5m"
    )
    clear: Number | None = Field(
        default=None, description="A firing alert lasts while values are `operator` this; `value` where it is not given"
    )
    selector: Selector = Selector()
    severity: Severity = "warning"
    enabled: bool = True
    webhooks: list[Annotated[str, AfterValidator(_webhook)]] = Field(
        default=[], max_length=MAX_WEBHOOKS, description="Receivers; the service's own one where none is given"
    )

    @model_validator(mode="after")
    def _clear_on_the_right_side(self) -> Self:
        if problem := clear_problem(self.operator, self.value, self.clear):
            raise ValueError(problem)
        return self

    def rule(self, rule_id: str, now: int) -> Rule:
        """Build the rule, in its first version."""
        return Rule(
            id=rule_id,
            version=1,
            name=self.name,
            metric=self.metric,
            operator=self.operator,
            value=self.value,
            for_ns=parse_duration(self.for_),
            clear=self.clear,
            devices=None if self.selector.devices is None else frozenset(self.selector.devices),
            profile=self.selector.profile,
            severity=self.severity,
            enabled=self.enabled,
            webhooks=tuple(dict.fromkeys(self.webhooks)),
            created_at=now,
            updated_at=now,
        )


class RuleOut(BaseModel):
    """A rule as it is kept; `version` grows with each change."""

    id: str
    version: int
    name: str
    metric: str
    operator: Operator
    value: float
    for_: str = Field(alias="for")
    clear: float | None
    selector: Selector
    severity: Severity
    enabled: bool
    webhooks: list[str]
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, rule: Rule) -> Self:
        """Show a rule."""
        devices = None if rule.devices is None else sorted(rule.devices)
        return cls.model_validate(
            {name: getattr(rule, name) for name in ("id", "version", "name", "metric", "operator", "value", "clear")}
            | {"severity": rule.severity, "enabled": rule.enabled, "webhooks": list(rule.webhooks)}
            | {"for": format_duration(rule.for_ns), "selector": {"devices": devices, "profile": rule.profile}}
            | {"created_at": format_time(rule.created_at), "updated_at": format_time(rule.updated_at)}
        )


class AlertOut(BaseModel):
    """An alert; `reason` says why it was resolved."""

    id: str
    rule_id: str
    rule: str
    device: str
    metric: str
    state: Literal["pending", "firing", "resolved"]
    severity: Severity
    value: float
    threshold: float
    started_at: str
    fired_at: str | None
    resolved_at: str | None
    reason: str | None

    @classmethod
    def of(cls, alert: Alert) -> Self:
        """Show an alert."""
        times = {name: getattr(alert, name) for name in ("started_at", "fired_at", "resolved_at")}
        return cls.model_validate(
            {name: getattr(alert, name) for name in cls.model_fields}
            | {"state": alert.state.value, "reason": alert.reason.value if alert.reason else None}
            | {name: None if at is None else format_time(at) for name, at in times.items()}
        )


class RulePage(BaseModel):
    """A page of rules, the oldest first; `next` is the cursor of the page behind it."""

    items: list[RuleOut]
    next: str | None


class AlertPage(BaseModel):
    """A page of alerts, the newest first; `next` is the cursor of the page behind it."""

    items: list[AlertOut]
    next: str | None
