"""Notification: what alerting tells a receiver of the alerts of one group; AlertEvent: one alert in it."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Severity = Literal["info", "warning", "critical"]
Operator = Literal["gt", "ge", "lt", "le"]
"""How a bad value compares to a rule's threshold."""


class AlertEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as it stood after a change.

    `id` names the change, and is the same wherever that is told; `alert_id` is the same for all changes of one alert.
    `device` is empty where it is about a `group`, and the other way round. `value` is the number that the change
    rests on and `threshold` that of the rule's level, None where there is none. `no_data`: it fires because nothing
    was heard. `flapping`: it came and went so often that it stays until it has been quiet for long. `labels` are all
    by which it was routed. `reason` says why it was resolved. `acknowledged_by` is empty where nobody has acknowledged
    it. Times in ns since 1970 UTC, event time.
    """

    schema_version: Literal[2] = 2
    id: str
    alert_id: str
    state: Literal["firing", "resolved"]
    rule_id: str
    rule: str
    rule_version: int
    severity: Severity
    device: str = ""
    group: str = ""
    metric: str = ""
    value: float | None = None
    threshold: float | None = None
    no_data: bool = False
    flapping: bool = False
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    runbook: str = ""
    started_at: int
    changed_at: int
    reason: str | None = None
    acknowledged: bool = False
    acknowledged_by: str = ""


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What is said at once to one receiver; as JSON, the body of a plain webhook.

    `id` is the same in every try of one notification, so a receiver can tell repeats. `status` is resolved if none of
    `alerts` fires. `reason` says why it is sent: alerts are new, or changed (a severity, a resolution), or nothing has
    changed for the route's repeat_interval, or an escalation chain came to this receiver, or somebody tests it.
    `group_labels` are those by which alerts were put together; the common ones are those that all of them share.
    `truncated` counts the alerts of the group that were left out. `created_at` in ns since 1970 UTC, by the clock.
    """

    schema_version: Literal[2] = 2
    id: str
    receiver: str
    group_key: str
    group_labels: dict[str, str] = {}
    common_labels: dict[str, str] = {}
    common_annotations: dict[str, str] = {}
    status: Literal["firing", "resolved"]
    reason: Literal["new", "changed", "repeat", "chain", "test"]
    alerts: list[AlertEvent]
    truncated: int = 0
    created_at: int


_encoder = msgspec.json.Encoder()


def encode_notification(notification: Notification) -> bytes:
    """Write a notification as JSON."""
    return _encoder.encode(notification)


def read_notification(content: Mapping[str, Any]) -> Notification:
    """Read a notification from what its JSON holds. Raises msgspec.ValidationError if it is none of this version."""
    return msgspec.convert(content, Notification)


def common(sets: list[dict[str, str]]) -> dict[str, str]:
    """Give what all of `sets`, labels or annotations, have with the same value, in the first one's order."""
    if not sets:
        return {}
    return {name: value for name, value in sets[0].items() if all(other.get(name) == value for other in sets[1:])}


def clear_problem(op: Operator, value: float, clear: float | None) -> str | None:
    """Why `clear` cannot be the clear threshold, or None if it can."""
    if clear is None:
        return None
    if op in ("gt", "ge") and clear > value:
        return (
            f"clear ({clear:g}) has to be at most value ({value:g}) for operator {op}: an alert ends at clear or below"
        )
    if op in ("lt", "le") and clear < value:
        return (
            f"clear ({clear:g}) has to be at least value ({value:g}) for operator {op}: an alert ends at clear or above"
        )
    return None
