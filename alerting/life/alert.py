"""An alert as it stands after a change, and what there is to say of a change."""

from enum import StrEnum

import msgspec

from contracts.alerts import Severity
from contracts.readings import Value


class State(StrEnum):
    """Where an alert stands."""

    PENDING = "pending"
    """The condition is met, but not yet for as long as the rule's `for`."""
    FIRING = "firing"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"
    """It was pending and its condition ended: it leaves no trace."""


class Ending(StrEnum):
    """Why an alert was resolved."""

    CLEARED = "cleared"
    NO_DATA = "no_data"
    """Nothing was heard for too long, and the rule says that this resolves."""
    OFF_SCHEDULE = "off_schedule"
    OPERATOR = "operator"
    """Somebody resolved it; the next bad reading begins another."""
    DEVICE_GONE = "device_gone"
    """The device was deleted or disabled."""
    RULE_DELETED = "rule_deleted"
    RULE_DISABLED = "rule_disabled"
    RULE_CHANGED = "rule_changed"
    """The rule looks at something else now, or no longer at this device."""


class What(StrEnum):
    """What happened to an alert."""

    PENDING = "pending"
    FIRING = "firing"
    ESCALATED = "escalated"
    DEESCALATED = "deescalated"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"
    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    ASSIGNED = "assigned"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    END_ASKED = "end_asked"
    """Somebody wants it resolved; that follows."""


class Subject(msgspec.Struct, frozen=True):
    """What an alert is about: a device, or a group of them (`group` is its id, or "*" for all that a rule selects)."""

    device: str = ""
    group: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as it stands after a change, without what operators have added to it.

    `level` counts the rule's levels from 1, and `severity` is that level's. `value` is the number that the last change
    rests on, where there is one, and `threshold` the level's, where it has one. `no_data`: it fires because
    nothing was heard. `flapping`: it came and went so often that it stays until it has been quiet for long. Times in ns
    since 1970 UTC, event time, in order: `started_at` is the first bad reading's, `fired_at` and `resolved_at` those of
    the changes.
    """

    id: str
    rule_id: str
    rule: str
    rule_version: int
    subject: Subject
    metric: str
    state: State
    level: int
    severity: Severity
    started_at: int
    value: float | None = None
    threshold: float | None = None
    no_data: bool = False
    flapping: bool = False
    fired_at: int | None = None
    resolved_at: int | None = None
    reason: Ending | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    runbook: str = ""


class Change(msgspec.Struct, frozen=True):
    """One change of an alert, at event time `at`, with the values that caused it: metric -> (event time, value)."""

    alert: Alert
    what: What
    at: int
    evidence: dict[str, tuple[int, Value]] = {}
