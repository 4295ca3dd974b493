"""Bodies of webhooks and their signature, and alerts as Alertmanager takes them. Pure."""

import hashlib
import hmac
from typing import Any

import msgspec

from contracts.alerts import AlertEvent, Notification, encode_notification
from contracts.times import format_time

SIGNATURE = "Sensorium-Signature"
NEVER = "0001-01-01T00:00:00Z"
"""What Alertmanager writes for an alert that has not ended."""

_SEVERITIES = ("info", "warning", "critical")
_json = msgspec.json.Encoder()


def signature(key: str, body: bytes, at: int) -> str:
    """Sign `body` at `at`, seconds since 1970 UTC: HMAC-SHA256 of "SECONDS." and the body, in hex, after the time.

    The receiver makes the same of what it got, compares, and refuses what is older than it likes.
    """
    made = hmac.new(key.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={made}"


def plain_body(notification: Notification) -> bytes:
    """Write a Notification as it is."""
    return encode_notification(notification)


def webhook_body(notification: Notification, public_url: str) -> bytes:
    """Write what Alertmanager's webhooks have as a body, version 4.

    `public_url` is where people reach this service, or empty.
    """
    return _json.encode(
        {
            "receiver": notification.receiver,
            "status": notification.status,
            "alerts": [_alert(alert, public_url) for alert in notification.alerts],
            "groupLabels": notification.group_labels,
            "commonLabels": notification.common_labels,
            "commonAnnotations": notification.common_annotations,
            "externalURL": public_url,
            "version": "4",
            "groupKey": notification.group_key,
            "truncatedAlerts": notification.truncated,
        }
    )


def _alert(alert: AlertEvent, public_url: str) -> dict[str, Any]:
    return {
        "status": alert.state,
        "labels": alert.labels,
        "annotations": annotations_of(alert.annotations, alert.runbook),
        "startsAt": format_time(alert.started_at),
        "endsAt": format_time(alert.changed_at) if alert.state == "resolved" else NEVER,
        "generatorURL": generator_url(public_url, alert.alert_id),
        "fingerprint": fingerprint(alert.labels),
    }


def fingerprint(labels: dict[str, str]) -> str:
    """Tell label sets apart by 16 hex digits, as Alertmanager does: FNV-1a over the sorted names and values."""
    digest = 0xCBF29CE484222325
    for name in sorted(labels):
        for byte in (*name.encode(), 0xFF, *labels[name].encode(), 0xFF):
            digest = (digest ^ byte) * 0x100000001B3 & 0xFFFF_FFFF_FFFF_FFFF
    return f"{digest:016x}"


def annotations_of(annotations: dict[str, str], runbook: str) -> dict[str, str]:
    """Give annotations with the link to the runbook under the name that others' dashboards look for."""
    return ({"runbook_url": runbook} if runbook else {}) | annotations


def generator_url(public_url: str, alert_id: str) -> str:
    """Say where an alert can be looked at; empty where nobody knows."""
    return f"{public_url}/api/v1/alerts/{alert_id}" if public_url else ""


def pushed(alerts: list[AlertEvent], public_url: str, until: int) -> list[dict[str, Any]]:
    """Write alerts for `POST /api/v2/alerts`; those that fire end at `until` (ns since 1970 UTC) if unheard of."""
    written = []
    for alert in alerts:
        firing = alert.state == "firing"
        one = {
            "labels": alert.labels,
            "annotations": annotations_of(alert.annotations, alert.runbook),
            "startsAt": format_time(alert.started_at),
            "endsAt": format_time(max(until, alert.started_at) if firing else alert.changed_at),
            "generatorURL": generator_url(public_url, alert.alert_id),
        }
        written.append(one)
    return written


def superseded(alerts: list[AlertEvent], now: int) -> list[dict[str, Any]]:
    """Write, for the same, the end at `now` of what `alerts` may have been before at another severity.

    Alertmanager knows an alert by its labels: one whose severity has changed is another to it.
    """
    return [
        {
            "labels": alert.labels | {"severity": severity},
            "startsAt": format_time(alert.started_at),
            "endsAt": format_time(max(now, alert.started_at + 1)),
        }
        for alert in alerts
        for severity in _SEVERITIES
        if "severity" in alert.labels and severity != alert.severity
    ]
