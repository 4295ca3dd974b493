"""What is told of rules."""

from typing import Annotated, Any, Self

from fastapi import Body
from pydantic import AfterValidator, BaseModel, Field

from alerting.rule_repository import RuleTrouble, RuleVersion, StoredRule
from alerting.rules.spec import RuleSpec
from contracts.times import format_time

RESERVED = frozenset({"dry-run", "export", "import", "validate"})
"""Words that are paths under /rules."""


def _free(rule_id: str) -> str:
    if rule_id in RESERVED:
        raise ValueError(f"{rule_id!r} is no id for a rule: it is one of {', '.join(sorted(RESERVED))}")
    return rule_id


RuleId = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"), AfterValidator(_free)]
RuleBody = Annotated[RuleSpec, Body()]


class OpenAlerts(BaseModel):
    """How many alerts of a rule are open."""

    pending: int = 0
    firing: int = 0


class RuleErrorOut(BaseModel):
    """What was last wrong with a rule as it is now, where and when, and how often."""

    message: str
    device: str
    at: str
    count: int

    @classmethod
    def of(cls, trouble: RuleTrouble) -> Self:
        """Show what is wrong."""
        return cls(message=trouble.message, device=trouble.device, at=format_time(trouble.at), count=trouble.count)


class RuleOut(BaseModel):
    """A rule: `spec` is what its author wrote, with all defaults, and can be sent back; `version` grows."""

    id: str
    version: int
    spec: RuleSpec
    error: RuleErrorOut | None = Field(description="What is wrong with this version of it; it stops nothing else")
    alerts: OpenAlerts
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, rule: StoredRule, trouble: RuleTrouble | None = None, counts: dict[str, int] | None = None) -> Self:
        """Show a rule."""
        return cls(
            id=rule.id,
            version=rule.version,
            spec=rule.spec,
            error=None if trouble is None else RuleErrorOut.of(trouble),
            alerts=OpenAlerts.model_validate(counts or {}),
            created_at=format_time(rule.created_at),
            updated_at=format_time(rule.updated_at),
        )


class RulePage(BaseModel):
    """A page of rules in the order of their ids; `next` is the cursor of the page behind it."""

    items: list[RuleOut]
    next: str | None


class RuleVersionOut(BaseModel):
    """One version of a rule: `spec` is what it was, and can be sent to restore it; null: it was deleted then."""

    version: int
    spec: dict[str, Any] | None
    changed_at: str

    @classmethod
    def of(cls, version: RuleVersion) -> Self:
        """Show a version."""
        return cls(version=version.version, spec=version.content, changed_at=format_time(version.changed_at))


class RuleVersionPage(BaseModel):
    """A page of a rule's versions, the newest first."""

    items: list[RuleVersionOut]
    next: str | None
