"""What is told of alerts, and asked about them."""

from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from alerting.alert_repository import Entry
from alerting.life.alert import Ending, State, What
from alerting.standing import Standing
from contracts.alerts import Severity
from contracts.times import format_time


def moment(ns: int | None) -> str | None:
    """Write a time that may be missing."""
    return None if ns is None else format_time(ns)


class AcknowledgementOut(BaseModel):
    """Who knows of an alert; `holds` no more once its time is over, or the alert has escalated since."""

    by: str
    comment: str
    at: str
    until: str | None
    holds: bool


class ShelvingOut(BaseModel):
    """Who put an alert on the shelf, and until when; `holds` while nobody is told of it."""

    by: str
    comment: str
    at: str
    until: str
    holds: bool


class AlertOut(BaseModel):
    """An alert; `reason` says why it was resolved. Times are event time, but those of what operators did."""

    id: str
    rule_id: str
    rule: str
    rule_version: int
    device: str
    group: str
    metric: str
    state: Literal["pending", "firing", "resolved"]
    level: int = Field(description="Which of the rule's levels, counted from 1; `severity` is that level's")
    severity: Severity
    value: float | None
    threshold: float | None
    no_data: bool = Field(description="It fires because nothing was heard")
    flapping: bool = Field(description="It came and went so often that it stays until it was quiet for long")
    started_at: str
    fired_at: str | None
    resolved_at: str | None
    reason: Ending | None
    labels: dict[str, str]
    annotations: dict[str, str]
    runbook: str
    revision: int = Field(description="Counts what operators did; its ETag")
    acknowledged: AcknowledgementOut | None
    assignee: str | None
    shelved: ShelvingOut | None
    end_asked_by: str | None = Field(description="Who asked for its end, which follows")
    silenced_by: list[str] = Field(default=[], description="Ids of silences that hold for it now")
    inhibited_by: list[str] = Field(default=[], description="Ids of alerts for whose sake nobody is told of it now")

    @classmethod
    def of(cls, standing: Standing, now: int) -> Self:
        """Show an alert as it is `now`."""
        alert, given, shelf = standing.alert, standing.acknowledgement, standing.shelving
        plain = ("id", "rule_id", "rule", "rule_version", "metric", "level", "severity", "value", "threshold", "reason")
        more = ("no_data", "flapping", "labels", "annotations", "runbook")
        return cls.model_validate(
            {name: getattr(alert, name) for name in (*plain, *more)}
            | {name: moment(getattr(alert, name)) for name in ("started_at", "fired_at", "resolved_at")}
            | {"device": alert.subject.device, "group": alert.subject.group, "state": alert.state.value}
            | {"revision": standing.revision, "assignee": standing.assignee, "end_asked_by": standing.end_asked_by}
            | {"acknowledged": None, "shelved": None}
            | ({"acknowledged": {
                "by": given.by, "comment": given.note, "at": moment(given.at), "until": moment(given.until),
                "holds": standing.acknowledged(now),
            }} if given else {})
            | ({"shelved": {
                "by": shelf.by, "comment": shelf.note, "at": moment(shelf.at), "until": moment(shelf.until),
                "holds": standing.shelved(now),
            }} if shelf else {})
        )  # fmt: skip


class AlertPage(BaseModel):
    """A page of alerts, the newest first; `next` is the cursor of the page behind it."""

    items: list[AlertOut]
    next: str | None


class EvidenceOut(BaseModel):
    """One value that caused a change, and its event time."""

    ts: str
    value: float | bool | str


class ChangeOut(BaseModel):
    """One change of an alert: `at` in event time, `changed_at` by the clock; `by` a person, where it was one."""

    what: What
    at: str
    changed_at: str
    state: State
    severity: Severity
    value: float | None
    reason: str | None
    evidence: dict[str, EvidenceOut] = Field(description="By metric")
    by: str
    comment: str

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Show a change."""
        evidence = {
            metric: EvidenceOut(ts=format_time(ts), value=value) for metric, (ts, value) in entry.evidence.items()
        }
        plain: dict[str, Any] = {
            name: getattr(entry, name) for name in ("what", "state", "severity", "value", "reason")
        }
        return cls(
            **plain,
            at=format_time(entry.at),
            changed_at=format_time(entry.changed_at),
            evidence=evidence,
            by=entry.who,
            comment=entry.note,
        )


class ChangePage(BaseModel):
    """A page of an alert's history, the oldest change first."""

    items: list[ChangeOut]
    next: str | None
