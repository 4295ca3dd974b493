"""Notifications: what is said about a change, and to whom."""

from collections.abc import Iterable

import msgspec

from alerting.rules import Rule
from alerting.states import Alert, State
from contracts.alerts import AlertEvent, encode_alert_event


class Notice(msgspec.Struct, frozen=True):
    """One notification to one receiver; `body` is the same bytes in every try."""

    alert_id: str
    url: str
    body: str


def notices(changes: Iterable[tuple[Alert, Rule]], default_url: str) -> list[Notice]:
    """Write what firing and resolved alerts have to say, in order. A rule that names no receiver uses the default.

    An alert fires once and is resolved once, so its id and state name the event, in every repeat.
    """
    written = []
    for alert, rule in changes:
        if alert.state is State.FIRING or alert.state is State.RESOLVED:
            body = encode_alert_event(_event(alert)).decode()
            urls = rule.webhooks or ((default_url,) if default_url else ())
            written += [Notice(alert.id, url, body) for url in urls]
    return written


def _event(alert: Alert) -> AlertEvent:
    firing = alert.state is State.FIRING
    changed_at = alert.fired_at if firing else alert.resolved_at
    return AlertEvent(
        schema_version=1,
        id=f"{alert.id}.{alert.state.value}",
        alert_id=alert.id,
        state="firing" if firing else "resolved",
        rule_id=alert.rule_id,
        rule=alert.rule,
        severity=alert.severity,
        device=alert.device,
        metric=alert.metric,
        value=alert.value,
        threshold=alert.threshold,
        started_at=alert.started_at,
        changed_at=alert.started_at if changed_at is None else changed_at,
    )
