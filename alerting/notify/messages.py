"""What notifications say to people: templates over a Notification, and their defaults. Pure."""

from typing import Any

import msgspec

from alerting.templates import Templates
from contracts.alerts import AlertEvent, Notification
from contracts.times import format_time

MOST_SUBJECT = 200
"""Characters of a subject or title."""

MOST_TOPIC = 1024

SUBJECT = (
    "[{{ status | upper }}{% if firing %}:{{ firing }}{% endif %}]"
    " {{ common_labels.alertname or (alerts | length) }}{% if not common_labels.alertname %} alerts{% endif %}"
    "{% if common_labels.device %} {{ common_labels.device }}{% endif %}"
)
TITLE = SUBJECT
BODY = """\
{% for alert in alerts %}\
{{ alert.state | upper }} {{ alert.severity }}: {{ alert.rule }}\
{% if alert.device %}, device {{ alert.device }}{% elif alert.group %}, group {{ alert.group }}{% endif %}
{% if alert.no_data %}  Nothing is heard of it.
{% elif alert.value is not none %}  {{ alert.metric or "value" }}: {{ alert.value }}\
{% if alert.threshold is not none %} (threshold {{ alert.threshold }}){% endif %}
{% endif %}\
  since {{ alert.started_at }}\
{% if alert.state == "resolved" %}, over at {{ alert.changed_at }} ({{ alert.reason }}){% endif %}
{% if alert.acknowledged_by %}  acknowledged by {{ alert.acknowledged_by }}
{% endif %}\
{% for name, text in alert.annotations.items() %}  {{ name }}: {{ text }}
{% endfor %}\
{% if alert.runbook %}  {{ alert.runbook }}
{% endif %}
{% endfor %}\
{% if truncated %}and {{ truncated }} more
{% endif %}\
"""
TOPIC = "alerts/{{ receiver }}"

_NAMES = (
    "id", "receiver", "reason", "status", "firing", "resolved", "alerts", "group_labels", "common_labels",
    "common_annotations", "truncated", "created_at",
)  # fmt: skip

_templates = Templates(_NAMES, most_output=65_536, most_steps=50_000, cached=512)


def message_problem(text: str) -> str | None:
    """Why `text` cannot be the template of a subject, body or topic, or None if it can."""
    return _templates.problem(text)


def body(template: str, notification: Notification) -> str:
    """Write a text of several lines. Raises TemplateFailedError."""
    return _templates.render(template, _variables(notification))


def line(template: str, notification: Notification, most: int = MOST_SUBJECT) -> str:
    """Write a text of one line, of at most `most` characters. Raises TemplateFailedError."""
    text = " ".join(body(template, notification).split())
    return "".join(character for character in text if character.isprintable())[:most]


def _variables(notification: Notification) -> dict[str, Any]:
    firing = sum(alert.state == "firing" for alert in notification.alerts)
    return msgspec.structs.asdict(notification) | {
        "alerts": [_alert(alert) for alert in notification.alerts],
        "created_at": _time(notification.created_at),
        "firing": firing,
        "resolved": len(notification.alerts) - firing,
    }


def _alert(alert: AlertEvent) -> dict[str, Any]:
    return msgspec.structs.asdict(alert) | {
        "started_at": _time(alert.started_at),
        "changed_at": _time(alert.changed_at),
    }


def _time(ns: int) -> str:
    return f"{format_time(ns)[:19]}Z"
