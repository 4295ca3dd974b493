"""Alerts over HTTP, and what operators do to them, without a socket."""

from typing import Any

import pytest
import sqlalchemy as sa

from alerting import acts, tables
from contracts.times import format_time
from tests.unit.alerting.web_service import NOW, Web

HOUR = 3600 * 10**9


async def ids(web: Web, **query: Any) -> list[str]:  # noqa: ANN401 - what httpx takes
    return [alert["id"] for alert in (await web.get("alerts", **query))["items"]]


async def do(web: Web, alert: str, act: str, status: int = 200, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    answer = await web.client.post(f"/api/v1/alerts/{alert}/{act}", json={"by": "kim"} | body)
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.fixture
async def some(web: Web) -> Web:
    """Put six alerts there, of which a5 is the newest."""
    await web.put_alert("a0", state="resolved", resolved_at=NOW - HOUR // 2, reason="cleared", rule_id="cold")
    await web.put_alert("a1", severity="critical", started_at=NOW - 3 * HOUR)
    await web.put_alert("a2", acknowledged_at=NOW, acknowledged_by="kim", acknowledged_note="", acknowledged_level=1)
    await web.put_alert("a3", device="", group_id="north", labels={"alertname": "many hot", "site": "north"})
    await web.put_alert("a4", state="pending", fired_at=None, assignee="sam")
    await web.put_alert("a5", device="tank", labels={"site": "south", "team": 'the "A"'}, value=None)
    return web


async def test_an_alert_is_shown(some: Web) -> None:
    shown = await some.get("alerts/a0")
    assert shown["state"] == "resolved"
    assert (shown["rule"], shown["device"], shown["value"]) == ("too hot", "pump-a0", 31.5)
    assert shown["started_at"] == "2025-12-31T23:00:00.000000000Z"
    assert (shown["reason"], shown["acknowledged"], shown["shelved"], shown["revision"]) == ("cleared", None, None, 0)
    assert (await some.client.get("/api/v1/alerts/none")).status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "543210"),
        ({"state": "firing"}, "5321"),
        ({"state": ["pending", "resolved"]}, "40"),
        ({"rule": "cold"}, "0"),
        ({"device": "tank"}, "5"),
        ({"group": "north"}, "3"),
        ({"severity": "critical"}, "1"),
        ({"assignee": "sam"}, "4"),
        ({"acknowledged": "true"}, "2"),
        ({"acknowledged": "false"}, "54310"),
        ({"label": 'site="north"'}, "3"),
        ({"label": ['site=~"n.*|s.*"', 'site!="north"']}, "5"),
        ({"label": 'team="the \\"A\\""'}, "5"),
        ({"label": 'site=""'}, "4210"),
        ({"until": "2025-12-31T22:30:00Z"}, "1"),
        ({"since": "2025-12-31T22:30:00Z", "state": "firing"}, "532"),
    ],
)
async def test_alerts_are_found(some: Web, query: dict[str, Any], found: str) -> None:
    assert await ids(some, **query) == [f"a{number}" for number in found]


@pytest.mark.parametrize("matcher", ["", 'state=~"f.*"'])
async def test_alerts_are_paged(web: Web, matcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerting.alert_repository._AT_ONCE", 2)
    for number in range(7):
        await web.put_alert(f"b{number}", labels={"state": "fine" if number % 3 else "bad"})
    query = {"limit": 2} | ({"label": matcher} if matcher else {})
    page = await web.get("alerts", **query)
    seen = [alert["id"] for alert in page["items"]]
    while page["next"] is not None:
        page = await web.get("alerts", **query, cursor=page["next"])
        assert len(page["items"]) <= 2
        seen += [alert["id"] for alert in page["items"]]
    assert seen == [f"b{number}" for number in ((5, 4, 2, 1) if matcher else range(6, -1, -1))]


@pytest.mark.parametrize(
    "query", ["state=open", "limit=0", "limit=1001", "cursor=%20", "label=x", "since=soon", "acknowledged=perhaps"]
)
async def test_a_wrong_query_is_refused(web: Web, query: str) -> None:
    answer = await web.client.get(f"/api/v1/alerts?{query}")
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]


async def test_an_acknowledgement_is_kept_told_and_part_of_history(web: Web) -> None:
    await web.put_alert("a1")
    until = format_time(NOW + HOUR)
    after = await do(web, "a1", "acknowledge", comment="on my way", until=until)
    assert after["acknowledged"] == {
        "by": "kim",
        "comment": "on my way",
        "at": format_time(NOW),
        "until": until,
        "holds": True,
    }
    assert [(row["alert_id"], row["what"]) for row in await web.rows(tables.outbox)] == [("a1", "acknowledged")]
    assert web.said == 1
    assert (await do(web, "a1", "unacknowledge"))["acknowledged"] is None
    history = (await web.get("alerts/a1/history"))["items"]
    assert [(one["what"], one["by"], one["comment"]) for one in history] == [
        ("acknowledged", "kim", "on my way"),
        ("unacknowledged", "kim", ""),
    ]
    first = await web.get("alerts/a1/history", limit=1)
    assert (await web.get("alerts/a1/history", limit=1, cursor=first["next"]))["items"] == history[1:]


async def test_an_acknowledgement_holds_until_its_time_or_until_the_alert_escalates(web: Web) -> None:
    await web.put_alert("a1")
    await do(web, "a1", "acknowledge", until=format_time(NOW + HOUR))
    await web.write(sa.update(tables.alert).values(level=2))
    assert (await web.get("alerts/a1"))["acknowledged"]["holds"] is False
    assert await ids(web, acknowledged="false") == ["a1"]
    await do(web, "a1", "acknowledge", until=format_time(NOW + HOUR))
    assert await ids(web, acknowledged="true") == ["a1"]
    web.now += HOUR
    assert await ids(web, acknowledged="true") == []
    assert (await web.get("alerts/a1"))["acknowledged"]["holds"] is False


async def test_only_a_firing_alert_is_acknowledged(some: Web) -> None:
    for alert in ("a0", "a4"):
        assert (await do(some, alert, "acknowledge", 409))["type"] == "urn:sensorium:problem:wrong-state"
    assert await some.rows(tables.outbox) == []


async def test_an_alert_is_assigned_shelved_and_taken_off_the_shelf(web: Web) -> None:
    await web.put_alert("a1")
    assert (await do(web, "a1", "assign", to="sam"))["assignee"] == "sam"
    shelved = await do(web, "a1", "shelve", until=format_time(NOW + HOUR), comment="known")
    assert (shelved["shelved"]["by"], shelved["shelved"]["holds"], shelved["assignee"]) == ("kim", True, "sam")
    web.now += HOUR
    assert (await web.get("alerts/a1"))["shelved"]["holds"] is False
    assert (await do(web, "a1", "unshelve"))["shelved"] is None
    assert (await do(web, "a1", "unshelve"))["revision"] == 3  # there was nothing to do
    assert (await do(web, "a1", "assign", to=None))["assignee"] is None
    assert (await do(web, "a1", "shelve", 400, until=format_time(NOW)))["type"] == "urn:sensorium:problem:bad-time"


async def test_the_end_of_an_alert_is_asked_for(web: Web) -> None:
    await web.put_alert("a1")
    asked = await do(web, "a1", "resolve", 202, comment="replaced the fan")
    assert (asked["state"], asked["end_asked_by"], web.changes) == ("firing", "kim", 1)
    history = (await web.get("alerts/a1/history"))["items"]
    assert [(one["what"], one["comment"]) for one in history] == [("end_asked", "replaced the fan")]


async def test_of_two_changes_at_once_one_is_lost_and_says_so(web: Web) -> None:
    await web.put_alert("a1")
    stale = await web.client.post(
        "/api/v1/alerts/a1/assign", json={"by": "kim", "to": "sam"}, headers={"If-Match": '"7"'}
    )
    assert stale.status_code == 412
    found = await web.alerts.one("a1")
    await do(web, "a1", "assign", to="sam")
    assert found is not None
    assert await web.alerts.act(found, acts.assign("kim", "kim", ""), NOW) is None
    assert (await web.get("alerts/a1"))["assignee"] == "sam"


async def test_many_alerts_are_acknowledged_at_once(some: Web) -> None:
    path = "/api/v1/alerts/acknowledge"
    assert (await some.client.post(path, json={"by": "kim", "which": {}})).status_code == 400
    assert (await some.client.post(path, json={"by": "kim", "which": {"rules": "hot"}})).status_code == 422
    answer = await some.client.post(path, json={"by": "kim", "which": {"matchers": ['site=~".+"']}})
    assert answer.json() == {"done": 2, "more": False}
    assert await ids(some, acknowledged="true") == ["a5", "a3", "a2"]
    assert (await some.client.post(path, json={"by": "kim", "which": {"rule": "hot"}})).json()["done"] == 1
    assert len(await some.rows(tables.outbox)) == 3


async def test_text_that_a_database_cannot_keep_is_refused(web: Web) -> None:
    await web.put_alert("a1")
    await do(web, "a1", "assign", 422, to="a\0b")
    assert (await web.client.get("/api/v1/alerts?device=%00")).status_code == 400


@pytest.mark.parametrize("key", ["", "Bearer wrong", "Basic x"])
async def test_nothing_is_told_without_the_key(web: Web, key: str) -> None:
    for path in ("rules", "rules/x", "alerts", "alerts/x", "alerts/x/history"):
        answer = await web.client.get(f"/api/v1/{path}", headers={"Authorization": key})
        assert answer.status_code == 401
    assert (await web.client.get("/openapi.json", headers={"Authorization": key})).status_code == 200
