"""`sensorium alerts`, `rules` and `silences`: what they ask, and what they print."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from deploy.local.cli import app

KEY = "a-key-for-these-tests"
SILENCE = {
    "id": "s1",
    "status": {"state": "active"},
    "matchers": [{"name": "site", "value": "n.*", "isRegex": True, "isEqual": True}],
    "comment": "new pumps",
}
ANSWERS: dict[str, Any] = {
    "GET /api/v1/alerts": {"items": [{"id": "a1", "state": "firing"}], "next": None},
    "GET /api/v1/alerts/a1": {"id": "a1", "state": "firing"},
    "GET /api/v1/alerts/a1/history": {"items": [{"what": "firing"}], "next": None},
    "POST /api/v1/alerts/a1/acknowledge": {"id": "a1"},
    "POST /api/v1/alerts/a1/resolve": {"id": "a1"},
    "POST /api/v1/alerts/a1/shelve": {"id": "a1"},
    "POST /api/v1/rules/import": {"dry": True, "created": 1},
    "POST /api/v1/rules/hot/disable": {"id": "hot"},
    "POST /api/v1/rules/dry-run": {"alerts": 1, "timeline": []},
    "GET /api/v2/silences": [SILENCE, SILENCE | {"id": "s2", "status": {"state": "expired"}}],
    "POST /api/v2/silences": {"silenceID": "s1"},
    "DELETE /api/v2/silence/s1": None,
}


class FakeAlerting:
    """Has one answer to each thing that is asked, and remembers the last."""

    def __init__(self) -> None:
        self.last = httpx.Request("GET", "http://none")

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.last = request
        assert (request.url.port, request.headers["authorization"]) == (8081, f"Bearer {KEY}")
        if request.url.path == "/api/v1/rules/export":
            return httpx.Response(200, content=b"rules: []\n")
        return httpx.Response(200, json=ANSWERS[f"{request.method} {request.url.path}"])

    @property
    def body(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.last.content)

    def run(self, *arguments: str) -> Result:
        result = CliRunner().invoke(app, arguments, obj=httpx.MockTransport(self))
        assert result.exit_code == 0, result.output
        return result


@pytest.fixture
def alerting(monkeypatch: pytest.MonkeyPatch) -> FakeAlerting:
    monkeypatch.setenv("SENSORIUM_KEY", KEY)
    monkeypatch.setenv("USER", "kim")
    return FakeAlerting()


def test_alerts_are_listed_and_shown(alerting: FakeAlerting) -> None:
    listed = alerting.run("alerts", "list", "--state", "firing", "--label", 'site="north"', "--unacknowledged")
    assert json.loads(listed.stdout)["id"] == "a1"
    assert dict(alerting.last.url.params) == {
        "state": "firing",
        "label": 'site="north"',
        "acknowledged": "false",
        "limit": "100",
    }
    assert json.loads(alerting.run("alerts", "show", "a1").stdout) == {"id": "a1", "state": "firing"}
    assert json.loads(alerting.run("alerts", "show", "a1", "--history").stdout) == {"what": "firing"}


def test_alerts_are_acknowledged_shelved_and_ended(alerting: FakeAlerting) -> None:
    alerting.run("alerts", "ack", "a1", "--comment", "on my way")
    assert alerting.body == {"by": "kim", "comment": "on my way"}
    alerting.run("alerts", "shelve", "a1", "--until", "2026-01-01T00:00:00Z", "--by", "sam")
    assert alerting.body == {"by": "sam", "comment": "", "until": "2026-01-01T00:00:00Z"}
    alerting.run("alerts", "resolve", "a1")
    assert alerting.body == {"by": "kim", "comment": ""}


def test_rules_are_applied_exported_switched_and_run_over_history(alerting: FakeAlerting, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    alerting.run("rules", "export", "--out", str(file))
    assert file.read_text() == "rules: []\n"
    alerting.run("rules", "apply", "-f", str(file), "--dry-run")
    assert (alerting.last.content, alerting.last.url.params["dry"]) == (b"rules: []\n", "true")
    assert alerting.last.headers["content-type"] == "application/yaml"
    alerting.run("rules", "disable", "hot")
    alerting.run("rules", "dry-run", "hot", "--start", "2026-01-01T00:00:00Z", "--end", "2026-01-02T00:00:00Z")
    assert alerting.body["rule_id"] == "hot"


def test_silences_are_listed_made_and_ended(alerting: FakeAlerting) -> None:
    shown = [json.loads(line) for line in alerting.run("silences", "list").stdout.splitlines()]
    assert [(one["id"], one["matchers"]) for one in shown] == [("s1", ['site=~"n.*"'])]
    times = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-02T00:00:00Z", "--comment", "new pumps")
    alerting.run("silences", "add", 'alertname="too hot"', "site!=south", *times)
    assert alerting.body["matchers"] == [
        {"name": "alertname", "value": "too hot", "isRegex": False, "isEqual": True},
        {"name": "site", "value": "south", "isRegex": False, "isEqual": False},
    ]
    alerting.run("silences", "expire", "s1")
    assert alerting.last.method == "DELETE"
