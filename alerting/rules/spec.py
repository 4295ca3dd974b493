"""Any rule as its author writes it: told apart by `kind`, which is threshold where it is not given."""

from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter

from alerting.rules.kinds import (
    AbsenceSpec,
    ConditionSpec,
    DeviationSpec,
    GroupSpec,
    RateSpec,
    RepeatingSpec,
    ThresholdSpec,
    WindowSpec,
)


def _kind(value: Any) -> str:  # noqa: ANN401 - whatever was sent
    kind = value.get("kind", "threshold") if isinstance(value, dict) else getattr(value, "kind", "")
    return kind if isinstance(kind, str) else ""


RuleSpec = Annotated[
    Annotated[ThresholdSpec, Tag("threshold")]
    | Annotated[ConditionSpec, Tag("condition")]
    | Annotated[RateSpec, Tag("rate")]
    | Annotated[AbsenceSpec, Tag("absence")]
    | Annotated[RepeatingSpec, Tag("repeating")]
    | Annotated[WindowSpec, Tag("window")]
    | Annotated[DeviationSpec, Tag("deviation")]
    | Annotated[GroupSpec, Tag("group")],
    Discriminator(_kind),
]

_specs: TypeAdapter[RuleSpec] = TypeAdapter(RuleSpec)


def parse_spec(content: dict[str, Any]) -> RuleSpec:
    """Read a rule's content, as `content_of` or an author gives it. Raises pydantic.ValidationError."""
    return _specs.validate_python(content)


def content_of(spec: RuleSpec) -> dict[str, Any]:
    """Turn a rule into what is kept, as JSON: what differs from the defaults, and its kind."""
    return {"kind": spec.kind} | spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
