"""AlertEvent: one change of one alert, as alerting tells it to receivers."""

from typing import Literal

import msgspec

Severity = Literal["info", "warning", "critical"]
Operator = Literal["gt", "ge", "lt", "le"]
"""How a bad value compares to a rule's threshold."""


class AlertEvent(msgspec.Struct, frozen=True):
    """Body of a notification, as JSON.

    `id` is the same in every repeat of one notification, so a receiver can tell repeats; `alert_id` is the same for
    the firing and the resolution of one alert. Times in ns since 1970 UTC, event time.
    """

    schema_version: Literal[1]
    id: str
    alert_id: str
    state: Literal["firing", "resolved"]
    rule_id: str
    rule: str
    severity: Severity
    device: str
    metric: str
    value: float
    threshold: float
    started_at: int
    changed_at: int


_encoder = msgspec.json.Encoder()


def encode_alert_event(event: AlertEvent) -> bytes:
    """Write an event as the body of a webhook."""
    return _encoder.encode(event)


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
