"""Rules that a profile offers its devices: alerting's, without devices, profile and receivers."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from contracts.alerts import Operator, Severity, clear_problem
from contracts.durations import format_duration, parse_duration

MOST_ALERTS = 50
"""Of a profile."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class AlertDefault(BaseModel):
    """A threshold rule for the devices of a profile. Who is told of it is for alerting to say."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    name: str = Field(min_length=1, max_length=256)
    metric: str = Field(min_length=1, max_length=256)
    operator: Operator = Field(description="How a bad value compares to `value`")
    value: Number = Field(description="Threshold")
    for_: Annotated[str, AfterValidator(lambda text: format_duration(parse_duration(text)))] = Field(
        default="0s", alias="for", max_length=64, description="How long values have to be bad, like 0s, 30s or 5m"
    )
    clear: Number | None = Field(
        default=None, description="A firing alert lasts while values are `operator` this; `value` where it is not given"
    )
    severity: Severity = "warning"
    enabled: bool = True

    @model_validator(mode="after")
    def _clear_on_the_right_side(self) -> Self:
        if problem := clear_problem(self.operator, self.value, self.clear):
            raise ValueError(problem)
        return self

    def content(self) -> dict[str, Any]:
        """Turn it into what is kept."""
        return self.model_dump(by_alias=True)


def _named_apart(alerts: list[AlertDefault]) -> list[AlertDefault]:
    names = [alert.name for alert in alerts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two alerts are named {twice[0]!r}")
    return alerts


Alerts = Annotated[
    list[AlertDefault],
    Field(
        max_length=MOST_ALERTS,
        description="Rules that its devices are offered",
        examples=[[{"name": "too hot", "metric": "temperature", "operator": "gt", "value": 80, "for": "1m"}]],
    ),
    AfterValidator(_named_apart),
]
