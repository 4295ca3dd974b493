"""The life of one alert: inactive → pending → firing → resolved, in event time. README.md has the rules in words."""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from alerting.rules import Rule
from contracts.alerts import Severity

LONGEST_SILENCE = 60_000_000_000
"""Age in ns of the last bad reading from which on the clock alone fires nothing."""


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
    RULE_DELETED = "rule_deleted"
    RULE_DISABLED = "rule_disabled"
    RULE_CHANGED = "rule_changed"
    """The rule looks at another metric now, or no longer at this device."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as it stands after a change.

    `value` is the value that the last change rests on. Times in ns since 1970 UTC, event time, in order:
    `started_at` is the first bad reading's, `fired_at` and `resolved_at` those of the changes.
    """

    id: str
    rule_id: str
    rule: str
    device: str
    metric: str
    state: State
    severity: Severity
    value: float
    threshold: float
    started_at: int
    fired_at: int | None = None
    resolved_at: int | None = None
    reason: Ending | None = None


class Track:
    """What is known of one rule and device: the last evaluated reading's time and value, and the open alert."""

    __slots__ = ("alert", "device", "rule_id", "ts", "value")

    def __init__(self, rule_id: str, device: str, ts: int = -1, value: float = 0.0, alert: Alert | None = None) -> None:
        self.rule_id, self.device, self.ts, self.value, self.alert = rule_id, device, ts, value, alert


def on_reading(rule: Rule, track: Track, *, fresh: bool, new_id: Callable[[], str]) -> Alert | None:
    """Judge the reading that `track` has just taken as its last. Returns the alert if that changed it.

    A reading that is not `fresh` can end an alert, but neither begin nor fire one.
    """
    alert, ts, value = track.alert, track.ts, track.value
    if alert is None:
        return _keep(track, _begin(rule, track, new_id())) if fresh and rule.breached(value) else None
    if alert.state is State.PENDING:
        if not rule.breached(value):
            return _keep(track, msgspec.structs.replace(alert, state=State.WITHDRAWN))
        if fresh and ts - alert.started_at >= rule.for_ns:
            return _keep(track, _fire(rule, alert, ts, value))
        return None
    return None if rule.holds(value) else _keep(track, _resolve(alert, ts, value, Ending.CLEARED))


def on_clock(rule: Rule, track: Track, now: int, max_age: int) -> Alert | None:
    """Fire a pending alert whose `for` has passed by the clock. Returns it if so.

    Only while readings keep coming: the last one is bad, and no older than half of `for`, a minute and `max_age`.
    So silence makes up less than half of the time that an alert rests on, and one reading alone never fires.
    """
    alert = track.alert
    if alert is None or alert.state is not State.PENDING or not rule.breached(track.value):
        return None
    silence = now - track.ts
    if now - alert.started_at < rule.for_ns or silence > min(rule.for_ns // 2, LONGEST_SILENCE, max_age):
        return None
    return _keep(track, _fire(rule, alert, alert.started_at + rule.for_ns, track.value))


def on_ending(track: Track, now: int, reason: Ending) -> Alert | None:
    """End the open alert because of what happened to its rule. Returns it, or None if there is none."""
    alert = track.alert
    if alert is None:
        return None
    if alert.state is State.PENDING:
        return _keep(track, msgspec.structs.replace(alert, state=State.WITHDRAWN))
    return _keep(track, _resolve(alert, now, alert.value, reason))


def _keep(track: Track, alert: Alert) -> Alert:
    track.alert = alert if alert.state in (State.PENDING, State.FIRING) else None
    return alert


def _begin(rule: Rule, track: Track, alert_id: str) -> Alert:
    now_firing = rule.for_ns == 0
    return Alert(
        id=alert_id,
        rule_id=rule.id,
        rule=rule.name,
        device=track.device,
        metric=rule.metric,
        state=State.FIRING if now_firing else State.PENDING,
        severity=rule.severity,
        value=track.value,
        threshold=rule.value,
        started_at=track.ts,
        fired_at=track.ts if now_firing else None,
    )


def _fire(rule: Rule, alert: Alert, at: int, value: float) -> Alert:
    """Fire a pending alert, as the rule is now: it may have been renamed or made more severe since it began."""
    return msgspec.structs.replace(
        alert, state=State.FIRING, fired_at=at, value=value, rule=rule.name, severity=rule.severity
    )


def _resolve(alert: Alert, at: int, value: float, reason: Ending) -> Alert:
    # The clock may have fired it later, in event time, than a reading that was then under way.
    resolved_at = max(at, alert.fired_at or at)
    return msgspec.structs.replace(alert, state=State.RESOLVED, resolved_at=resolved_at, value=value, reason=reason)
