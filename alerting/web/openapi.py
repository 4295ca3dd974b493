"""What the API's description says beside what the routes say themselves: words, names and examples. Pure."""

from typing import Any

from contracts.openapi import Wording, namer

_RULE = {
    "name": "too hot",
    "metric": "temperature",
    "operator": "gt",
    "value": 30,
    "clear": 28,
    "for": "5m",
    "selector": {"tags": {"site": "north"}},
}
_DONE = {"by": "kim", "comment": "on my way"}
_SILENCE = {
    "matchers": ['site="north"'],
    "ends_at": "2026-01-02T00:00:00Z",
    "comment": "new pumps",
    "created_by": "kim",
}

_BODIES: dict[str, Any] = {
    "rules_add": _RULE,
    "rules_put": _RULE,
    "rules_validate": _RULE,
    "rules_dry_run": {"rule": _RULE, "start": "2026-01-01T00:00:00Z", "end": "2026-01-08T00:00:00Z"},
    "alerts_acknowledge": _DONE | {"until": "2036-01-02T00:00:00Z"},
    "alerts_acknowledge_many": _DONE | {"which": {"matchers": ['site="north"']}},
    "alerts_unacknowledge": _DONE,
    "alerts_assign": {"by": "kim", "to": "sam"},
    "alerts_shelve": _DONE | {"until": "2036-01-02T00:00:00Z"},
    "alerts_unshelve": _DONE,
    "alerts_resolve": {"by": "kim", "comment": "replaced the fan"},
    "receivers_put": {"type": "webhook", "url": "https://example.org/hook"},
    "routing_put": {
        "route": {
            "receiver": "everybody",
            "group_by": ["alertname", "site"],
            "routes": [{"matchers": ['severity="critical"'], "receiver": "night"}],
        }
    },
    "routing_test": {"labels": {"alertname": "too hot", "severity": "critical"}},
    "silences_add": _SILENCE,
    "silences_put": _SILENCE,
    "calendars_put": {"description": "Public holidays", "dates": ["12-24/01-02", "2026-05-01"]},
    "chains_put": {"steps": [{"receivers": ["day"]}, {"after": "15m", "receivers": ["night"]}]},
    "alertmanager_silences_add": {
        "matchers": [{"name": "site", "value": "north", "isRegex": False, "isEqual": True}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2036-01-02T00:00:00Z",
        "createdBy": "kim",
        "comment": "new pumps",
    },
}

_ID = "18af3c2b1d9e4f0012ab34cd56ef"

WORDING = Wording(
    about="Rules, the alerts they give, and who is told.",
    tags={
        "rules": "When something is wrong.",
        "alerts": "What is wrong, and who knows of it.",
        "receivers": "Who can be told, and what they were told.",
        "routing": "Who is told of which alerts, and when.",
        "silences": "Of which alerts nobody is told.",
        "calendars": "Days that schedules name.",
        "chains": "Who is told next while nobody acknowledges.",
        "alertmanager": "Alerts and silences as Alertmanager's API v2 has them.",
    },
    bodies=_BODIES,
    files={
        "rules_import": {
            "application/yaml": "rules:\n- {id: hot, kind: threshold, name: too hot, metric: temperature, value: 30}\n"
        }
    },
    parameters={
        "alert_id": ("Alert", _ID),
        "delivery_id": ("Delivery", _ID),
        "group_key": ("Notification group, by its key", "9f2c6a1e0b7d4835"),
        "key": ("Notification group, by its key", "9f2c6a1e0b7d4835"),
        "limit": ("Most items of a page", 100),
        "name": ("Its id", "north"),
        "receiver_id": ("Receiver", "night"),
        "rule_id": ("", "hot"),
        "silence_id": ("Silence", _ID),
    },
    doing=frozenset(
        {
            "acknowledge",
            "assign",
            "disable",
            "dry_run",
            "enable",
            "export",
            "import",
            "resend",
            "resolve",
            "shelve",
            "status",
            "test",
            "unacknowledge",
            "unshelve",
            "validate",
        }
    ),
    one=frozenset({"routing"}),
    many=frozenset({("post", "/alerts/acknowledge")}),
    ending={"/dry-run": "404", "/enable": "412", "/disable": "412"},
)

operation_id = namer(WORDING, {"/api/v1": "", "/api/v2": "/alertmanager"})
