"""What receivers are sent: Alertmanager's bodies, signatures, and texts for people."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from alerting.notify.bodies import fingerprint, pushed, signature, superseded, webhook_body
from alerting.notify.mail import mail_of
from alerting.notify.messages import BODY, SUBJECT, body, line, message_problem
from alerting.notify.outcome import Result, of_status
from alerting.notify.receivers import EmailReceiver
from contracts.alerts import AlertEvent, Notification

SECOND = 10**9
AT = 1_767_225_600 * SECOND
FIRING = AlertEvent(
    id="c1",
    alert_id="a1",
    state="firing",
    rule_id="r1",
    rule="too hot",
    rule_version=1,
    severity="critical",
    device="silo-3",
    metric="temperature",
    value=31.5,
    threshold=30.0,
    labels={"alertname": "too hot", "device": "silo-3", "severity": "critical"},
    annotations={"summary": "31.5 °C"},
    runbook="https://wiki.example/hot",
    started_at=AT,
    changed_at=AT,
)
OVER = msgspec.structs.replace(
    FIRING, id="c2", alert_id="a2", state="resolved", changed_at=AT + SECOND, reason="cleared"
)
NOTIFICATION = Notification(
    id="n1",
    receiver="ops",
    group_key="g1",
    group_labels={"alertname": "too hot"},
    common_labels={"alertname": "too hot", "device": "silo-3"},
    status="firing",
    reason="new",
    alerts=[FIRING, OVER],
    truncated=2,
    created_at=AT,
)


def test_a_webhook_is_sent_what_alertmanager_would_send() -> None:
    alert = {
        "status": "firing",
        "labels": {"alertname": "too hot", "device": "silo-3", "severity": "critical"},
        "annotations": {"runbook_url": "https://wiki.example/hot", "summary": "31.5 °C"},
        "startsAt": "2026-01-01T00:00:00.000000000Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://alerts.example/api/v1/alerts/a1",
        "fingerprint": "",
    }
    sent = json.loads(webhook_body(NOTIFICATION, "https://alerts.example"))
    alert["fingerprint"] = sent["alerts"][0]["fingerprint"]
    over = alert | {
        "status": "resolved",
        "endsAt": "2026-01-01T00:00:01.000000000Z",
        "generatorURL": "https://alerts.example/api/v1/alerts/a2",
    }
    assert sent == {
        "receiver": "ops",
        "status": "firing",
        "alerts": [alert, over],
        "groupLabels": {"alertname": "too hot"},
        "commonLabels": {"alertname": "too hot", "device": "silo-3"},
        "commonAnnotations": {},
        "externalURL": "https://alerts.example",
        "version": "4",
        "groupKey": "g1",
        "truncatedAlerts": 2,
    }


def test_fingerprints_tell_labels_apart_whatever_their_order() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
    assert fingerprint({"a": "1"}) != fingerprint({"a": "2"})
    assert fingerprint({}) == "cbf29ce484222325"


def test_an_alert_that_fires_lasts_until_it_would_be_pushed_again_and_never_ends_before_it_began() -> None:
    first, over = pushed([FIRING, OVER], "", AT + 240 * SECOND)
    assert first["endsAt"] == "2026-01-01T00:04:00.000000000Z"
    assert over["endsAt"] == "2026-01-01T00:00:01.000000000Z"
    (ahead,) = pushed([FIRING], "", AT - SECOND)
    assert ahead["endsAt"] == ahead["startsAt"]


def test_what_an_alert_was_at_other_severities_is_ended() -> None:
    ended = superseded([FIRING], AT + SECOND)
    assert [one["labels"]["severity"] for one in ended] == ["info", "warning"]
    assert {one["endsAt"] for one in ended} == {"2026-01-01T00:00:01.000000000Z"}


def test_a_signature_is_that_of_the_time_and_the_body() -> None:
    # As openssl dgst -sha256 -hmac key makes it of 1767225600.{"a":1}
    made = "80f7b75f8618b9b24d72673996a625f1a43f7387a26b6739d667431724fe4d23"
    assert signature("key", b'{"a":1}', AT // SECOND) == f"t=1767225600,v1={made}"
    assert signature("other", b'{"a":1}', AT // SECOND) != signature("key", b'{"a":1}', AT // SECOND)


def test_a_receiver_checks_a_signature_as_the_readme_says() -> None:
    text = (Path(__file__).parents[3] / "alerting/README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - it is this project's own
    is_ours, at, body = names["is_ours"], AT // SECOND, '{"°": 1}'.encode()
    made = signature("key", body, at)
    assert is_ours("key", made, body, at + 299.0)
    assert not is_ours("key", made, body, at + 300.0)
    assert not is_ours("other", made, body, at)
    assert not is_ours("key", made, body + b" ", at)
    assert not is_ours("key", made.replace(f"t={at}", f"t={at + 1}"), body, at)
    assert not is_ours("key", "", body, at)


def test_people_read_what_fires_since_when_and_what_to_do() -> None:
    assert line(SUBJECT, NOTIFICATION) == "[FIRING:1] too hot silo-3"
    assert body(BODY, NOTIFICATION) == (
        "FIRING critical: too hot, device silo-3\n"
        "  temperature: 31.5 (threshold 30)\n"
        "  since 2026-01-01T00:00:00Z\n"
        "  summary: 31.5 °C\n"
        "  https://wiki.example/hot\n"
        "\n"
        "RESOLVED critical: too hot, device silo-3\n"
        "  temperature: 31.5 (threshold 30)\n"
        "  since 2026-01-01T00:00:00Z, over at 2026-01-01T00:00:01Z (cleared)\n"
        "  summary: 31.5 °C\n"
        "  https://wiki.example/hot\n"
        "\n"
        "and 2 more\n"
    )


def test_the_templates_of_messages_are_bounded_too() -> None:
    assert message_problem("{{ alerts[0].device }} {{ status }}") is None
    assert message_problem("{{ range(10) }}")
    assert len(line("x" * 4000, NOTIFICATION)) == 200


def test_a_mail_has_one_id_in_every_try_and_no_header_of_its_templates() -> None:
    receiver = EmailReceiver(
        type="email",
        host="smtp.example",
        sender="alerts@farm.example",
        to=["a@farm.example", "b@farm.example"],
        subject="{{ common_labels.alertname }}\nBcc: evil@evil.example",
    )
    mail, again = mail_of(receiver, NOTIFICATION), mail_of(receiver, NOTIFICATION)
    assert mail.as_bytes() == again.as_bytes()
    assert mail["Message-ID"] == "<n1@farm.example>"
    assert mail["References"] == "<g1@farm.example>"
    assert mail["Subject"] == "too hot Bcc: evil@evil.example"
    assert mail["Bcc"] is None
    assert mail["To"] == "a@farm.example, b@farm.example"


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Result.DELIVERED),
        (204, Result.DELIVERED),
        (302, Result.MISCONFIGURED),
        (400, Result.REJECTED),
        (401, Result.MISCONFIGURED),
        (404, Result.MISCONFIGURED),
        (408, Result.FAILED),
        (413, Result.REJECTED),
        (429, Result.FAILED),
        (500, Result.FAILED),
        (503, Result.FAILED),
    ],
)
def test_an_answer_says_whether_to_try_again_soon(status: int, result: Result) -> None:
    assert of_status(status).result is result


@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120.0), ("", 0.0), ("soon", 0.0), ("-1", 0.0), ("9" * 400, 3600.0)]
)
def test_retry_after_is_heeded_for_an_hour_at_most(text: str, seconds: float) -> None:
    assert of_status(503, text).retry_after == seconds
