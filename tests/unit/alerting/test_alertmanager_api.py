"""Alerts and silences as Alertmanager's API v2 shows them, without a socket."""

from typing import Any

from alerting.notify.document import Kind
from tests.unit.alerting.web_service import NOW, Web

HOUR = 3600 * 10**9
ROUTING = {
    "route": {
        "receiver": "everybody",
        "group_by": ["alertname"],
        "routes": [{"matchers": ['severity="critical"'], "receiver": "night"}],
    },
    "inhibitions": [
        {"source": ['severity="critical"'], "target": ['severity="warning"'], "equal": ["site"]},
    ],
}
SILENCE: dict[str, Any] = {
    "matchers": [{"name": "site", "value": "so.*", "isRegex": True, "isEqual": True}],
    "startsAt": "2025-12-31T23:00:00Z",
    "endsAt": "2026-01-01T02:00:00Z",
    "createdBy": "kim",
    "comment": "new pumps",
}


async def v2(web: Web, path: str, **query: Any) -> Any:  # noqa: ANN401 - JSON
    answer = await web.client.get(f"/api/v2/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def some(web: Web) -> None:
    for name in ("everybody", "night"):
        content = {"type": "webhook", "url": "https://example.com/"}
        await web.documents.create(Kind.RECEIVER, name, content, {}, NOW)
    await web.documents.create(Kind.ROUTING, "routing", ROUTING, {}, NOW)
    for name, severity, site in (("a1", "critical", "north"), ("a2", "warning", "north"), ("a3", "warning", "south")):
        labels = {"alertname": "too hot", "severity": severity, "site": site}
        await web.put_alert(name, severity=severity, labels=labels, annotations={"summary": "hot"}, runbook="see")
    await web.put_alert("a4", state="resolved")
    await web.put_alert("a5", state="pending")


async def test_firing_alerts_have_alertmanagers_shape(web: Web) -> None:
    await some(web)
    silence = (await web.client.post("/api/v2/silences", json=SILENCE)).json()["silenceID"]
    found = await v2(web, "alerts", filter='site="south"')
    assert found == [
        {
            "labels": {"alertname": "too hot", "severity": "warning", "site": "south"},
            "annotations": {"runbook_url": "see", "summary": "hot"},
            "startsAt": "2025-12-31T23:00:00.000000000Z",
            "endsAt": "2026-01-01T00:05:00.000000000Z",
            "updatedAt": "2025-12-31T23:00:00.000000000Z",
            "generatorURL": "https://alerting.example/api/v1/alerts/a3",
            "fingerprint": found[0]["fingerprint"],
            "receivers": [{"name": "everybody"}],
            "status": {"state": "suppressed", "silencedBy": [silence], "inhibitedBy": [], "mutedBy": []},
        }
    ]
    assert len({alert["fingerprint"] for alert in await v2(web, "alerts")}) == 3


async def test_alerts_are_found_by_what_mutes_them_and_by_receiver(web: Web) -> None:
    await some(web)
    await web.client.post("/api/v2/silences", json=SILENCE)

    async def sites(**query: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - what httpx takes
        return [(one["labels"]["site"], one["status"]["state"]) for one in await v2(web, "alerts", **query)]

    assert await sites() == [("south", "suppressed"), ("north", "suppressed"), ("north", "active")]
    assert await sites(silenced="false") == [("north", "suppressed"), ("north", "active")]
    assert await sites(inhibited="false") == [("south", "suppressed"), ("north", "active")]
    assert await sites(active="false") == [("south", "suppressed"), ("north", "suppressed")]
    assert await sites(receiver="ni.*") == [("north", "active")]
    assert await sites(filter='site=~"s.+"') == [("south", "suppressed")]
    assert (await web.get("alerts/a2"))["inhibited_by"] == ["a1"]
    assert len((await web.get("alerts/a3"))["silenced_by"]) == 1
    assert (await web.client.get("/api/v2/alerts?filter=%3D")).status_code == 400


async def test_a_shelved_alert_is_suppressed(web: Web) -> None:
    await web.put_alert("a1", shelved_at=NOW, shelved_by="kim", shelved_until=NOW + HOUR)
    assert (await v2(web, "alerts"))[0]["status"]["state"] == "suppressed"
    assert await v2(web, "alerts", silenced="false") == []


async def test_groups_are_as_they_are_told(web: Web) -> None:
    await some(web)
    groups = await v2(web, "alerts/groups")
    shown = [(one["labels"], one["receiver"]["name"], len(one["alerts"])) for one in groups]
    assert shown == [({"alertname": "too hot"}, "everybody", 2), ({"alertname": "too hot"}, "night", 1)]
    assert [one["receiver"]["name"] for one in await v2(web, "alerts/groups", receiver="night")] == ["night"]


async def test_status_and_receivers_are_told(web: Web) -> None:
    await some(web)
    assert await v2(web, "receivers") == [{"name": "everybody"}, {"name": "night"}]
    status = await v2(web, "status")
    assert status["cluster"] == {"status": "disabled", "peers": []}
    assert "receiver: everybody" in status["config"]["original"]


async def test_a_silence_is_made_read_replaced_and_ended(web: Web) -> None:
    made = (await web.client.post("/api/v2/silences", json=SILENCE)).json()["silenceID"]
    shown = await v2(web, f"silence/{made}")
    assert shown["matchers"] == SILENCE["matchers"]
    assert (shown["startsAt"], shown["endsAt"]) == ("2025-12-31T23:00:00.000000000Z", "2026-01-01T02:00:00.000000000Z")
    assert (shown["status"], shown["comment"], shown["createdBy"]) == ({"state": "active"}, "new pumps", "kim")
    assert await v2(web, "silences", filter='site="so.*"') == [shown]
    assert await v2(web, "silences", filter='site="north"') == []
    later = SILENCE | {"id": made, "startsAt": "2026-01-01T01:00:00Z"}
    assert (await web.client.post("/api/v2/silences", json=later)).json() == {"silenceID": made}
    assert (await v2(web, f"silence/{made}"))["status"]["state"] == "pending"
    for _ in range(2):
        assert (await web.client.delete(f"/api/v2/silence/{made}")).status_code == 200
    assert (await v2(web, f"silence/{made}"))["status"]["state"] == "expired"
    assert web.said == 3
    assert (await web.client.delete("/api/v2/silence/none")).status_code == 404
    assert (await web.client.post("/api/v2/silences", json=SILENCE | {"id": "none"})).status_code == 404
    wrong = SILENCE | {"matchers": [{"name": "site", "value": "(", "isRegex": True}]}
    assert (await web.client.post("/api/v2/silences", json=wrong)).status_code == 400


async def test_the_key_is_needed_here_too(web: Web) -> None:
    for path in ("status", "alerts", "silences", "receivers"):
        assert (await web.client.get(f"/api/v2/{path}", headers={"Authorization": "x"})).status_code == 401
