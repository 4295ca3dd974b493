"""What a notification says, from the alerts as they stand."""

from collections.abc import Mapping

import msgspec

from alerting.life.alert import State
from alerting.notify.grouping import Facts, Group, Say
from alerting.standing import Standing
from contracts.alerts import AlertEvent, Notification, common


class Moment(msgspec.Struct, frozen=True):
    """The last change of an alert that people are told of: its number, and its time in event time, in ns."""

    seq: int
    at: int


def event_of(standing: Standing, moment: Moment | None, now: int) -> AlertEvent:
    """Write an alert as it stands, after its change at `moment`, which an earlier version did not note."""
    alert = standing.alert
    if moment is None:
        moment = Moment(0, alert.resolved_at or alert.fired_at or alert.started_at)
    known = standing.acknowledgement if standing.acknowledged(now) else None
    return AlertEvent(
        id=f"{alert.id}.{moment.seq}",
        alert_id=alert.id,
        state="firing" if alert.state is State.FIRING else "resolved",
        rule_id=alert.rule_id,
        rule=alert.rule,
        rule_version=alert.rule_version,
        severity=alert.severity,
        device=alert.subject.device,
        group=alert.subject.group,
        metric=alert.metric,
        value=alert.value,
        threshold=alert.threshold,
        no_data=alert.no_data,
        flapping=alert.flapping,
        labels=alert.labels,
        annotations=alert.annotations,
        runbook=alert.runbook,
        started_at=alert.started_at,
        changed_at=moment.at,
        reason=None if alert.reason is None else alert.reason.value,
        acknowledged=known is not None,
        acknowledged_by="" if known is None else known.by,
    )


def facts_of(standing: Standing, now: int, *, notify: bool) -> Facts:
    """Give what decides who is told of an alert."""
    alert, given, shelving = standing.alert, standing.acknowledgement, standing.shelving
    return Facts(
        id=alert.id,
        labels=alert.labels,
        firing=alert.state is State.FIRING,
        level=alert.level,
        acknowledged=standing.acknowledged(now),
        acknowledged_until=None if given is None else given.until,
        shelved_until=None if shelving is None else shelving.until,
        notify=notify,
    )


def notification(
    notification_id: str, key: str, group: Group, say: Say, events: Mapping[str, AlertEvent], now: int
) -> Notification:
    """Write what `say` says, with the `events` of its alerts, by id."""
    alerts = [events[name] for name in say.alerts]
    return Notification(
        id=notification_id,
        receiver=say.receiver,
        group_key=key,
        group_labels=group.labels,
        common_labels=common([event.labels for event in alerts]),
        common_annotations=common([event.annotations for event in alerts]),
        status="firing" if any(event.state == "firing" for event in alerts) else "resolved",
        reason=say.reason,
        alerts=alerts,
        truncated=say.truncated,
        created_at=now,
    )
