"""Routing, silences, calendars and chains over HTTP."""

from typing import Any

import pytest

from alerting.notify.document import Kind
from tests.unit.alerting.web_service import Web

SILENCE = {"matchers": ["site=plant"], "ends_at": "2100-01-01T00:00:00Z", "comment": "moving", "created_by": "ann"}
CHAIN = {"steps": [{"receivers": ["ops"]}, {"after": "5m", "receivers": ["boss"]}]}
ROUTING = {
    "route": {
        "receiver": "ops",
        "group_by": ["site"],
        "routes": [
            {"matchers": ['severity="critical"'], "chain": "night", "continue": True},
            {"matchers": ['site="x"']},
        ],
    },
    "inhibitions": [{"source": ['kind="gateway"'], "target": ['kind="sensor"'], "equal": ["site"]}],
}


async def put(web: Web, path: str, body: Any, status: int = 201, **headers: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    answer = await web.client.put(f"/api/v1/{path}", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def routed(web: Web) -> None:
    for name in ("ops", "boss"):
        await web.documents.create(Kind.RECEIVER, name, {"type": "mqtt"}, {}, 1)
    await put(web, "chains/night", CHAIN)
    await put(web, "routing", ROUTING)


async def test_routing_is_written_read_and_asked(web: Web) -> None:
    assert (await web.get("routing"))["version"] == 0
    await routed(web)
    shown = await web.get("routing")
    assert (shown["version"], shown["content"]) == (1, ROUTING)
    await web.client.post("/api/v1/silences", json=SILENCE)
    await web.put_alert("gw", labels={"kind": "gateway", "site": "plant"})
    labels = {"severity": "critical", "site": "plant", "kind": "sensor"}
    answer = await web.client.post("/api/v1/routing/test", json={"labels": labels})
    body = answer.json()
    assert [(route["chain"], route["receivers"], route["group_labels"]) for route in body["routes"]] == [
        ("night", ["ops"], {"site": "plant"})
    ]
    assert (len(body["silenced_by"]), body["inhibited_by"]) == (1, ["gw"])
    assert web.said == 3


async def test_a_version_that_nobody_has_seen_is_not_overwritten(web: Web) -> None:
    await routed(web)
    await put(web, "routing", ROUTING, 412, **{"If-Match": '"7"'})
    await put(web, "routing", {"route": {"receiver": "ops"}}, 200, **{"If-Match": '"1"'})
    answer = await web.client.delete("/api/v1/routing", headers={"If-Match": '"1"'})
    assert answer.status_code == 412
    assert (await web.client.delete("/api/v1/routing")).status_code == 204
    assert (await web.get("routing"))["version"] == 0


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("routing", {"route": {"receiver": "nobody"}}, 409),
        ("routing", {"route": {"chain": "none"}}, 409),
        ("routing", {"route": {"matchers": ["x"]}}, 422),
        ("routing", {"route": {"receiver": "ops", "mute": {"not_on": ["holidays"]}}}, 409),
        ("chains/night", {"steps": [{"receivers": ["nobody"]}]}, 409),
        ("chains/night", {"steps": []}, 422),
        ("calendars/holidays", {"dates": ["never"]}, 422),
        ("silences/s", SILENCE | {"matchers": []}, 422),
    ],
)
async def test_what_does_not_fit_is_refused_and_changes_nothing(
    web: Web, path: str, body: dict[str, Any], status: int
) -> None:
    await routed(web)
    before = await web.documents.all()
    await put(web, path, body, status)
    assert await web.documents.all() == before


async def test_what_is_named_cannot_be_deleted(web: Web) -> None:
    await routed(web)
    await put(web, "calendars/holidays", {"dates": ["12-24"]})
    await put(web, "silences/feast", SILENCE | {"schedule": {"only_on": ["holidays"]}})
    for path in ("chains/night", "calendars/holidays"):
        assert (await web.client.delete(f"/api/v1/{path}")).status_code == 409
    assert (await web.client.delete("/api/v1/silences/feast")).status_code == 204
    assert (await web.client.delete("/api/v1/calendars/holidays")).status_code == 204
    assert (await web.client.get("/api/v1/silences/feast")).status_code == 404


async def test_lists_are_read_in_pages(web: Web) -> None:
    for name in ("a", "b", "c"):
        await put(web, f"silences/{name}", SILENCE)
    first = await web.get("silences", limit=2)
    assert ([one["id"] for one in first["items"]], first["next"]) == (["a", "b"], "b")
    assert [one["id"] for one in (await web.get("silences", cursor="b"))["items"]] == ["c"]
    assert await web.get("notification-groups") == {"items": [], "next": None}
