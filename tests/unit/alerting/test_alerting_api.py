"""The HTTP interface, without a socket."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.api import build
from tests.unit.alerting.stories import T0
from tests.unit.alerting.test_alarms_on_disk import Service, started

KEY = "the-key-of-this-test"
RULE: dict[str, Any] = {"name": "too hot", "metric": "temperature", "operator": "gt", "value": 30}


class Api:
    """A client of the interface, and the service behind it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        numbers = iter(range(1, 10_000))
        app = build(service.alarms, service.repository, KEY, lambda: T0, lambda: f"{next(numbers):028x}")
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test", headers={"Authorization": f"Bearer {KEY}"}
        )

    async def create(self, **changes: Any) -> httpx.Response:  # noqa: ANN401 - JSON
        return await self.client.post("/api/v1/rules", json=RULE | changes)

    async def get(self, path: str, **query: str | int) -> dict[str, Any]:
        answer = await self.client.get(f"/api/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


@pytest.fixture
async def api(engine: AsyncEngine) -> AsyncIterator[Api]:
    api = Api(await started(engine))
    async with api.client:
        yield api


async def test_a_rule_is_created_with_defaults(api: Api) -> None:
    answer = await api.create()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/rules/{answer.json()['id']}"
    assert answer.json() == {
        "id": f"{1:028x}",
        "version": 1,
        "name": "too hot",
        "metric": "temperature",
        "operator": "gt",
        "value": 30.0,
        "for": "0s",
        "clear": None,
        "selector": {"devices": None, "profile": None},
        "severity": "warning",
        "enabled": True,
        "webhooks": [],
        "created_at": "2027-01-15T08:00:00.000000000Z",
        "updated_at": "2027-01-15T08:00:00.000000000Z",
    }


async def test_a_rule_is_read_changed_and_deleted(api: Api) -> None:
    path = (await api.create()).headers["location"]
    assert (await api.client.put(path, json=RULE | {"for": "90s"})).json()["for"] == "1m30s"
    assert (await api.client.get(path)).json()["version"] == 2
    assert (await api.client.delete(path)).status_code == 204
    for answer in (await api.client.get(path), await api.client.delete(path), await api.client.put(path, json=RULE)):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "urn:sensorium:problem:no-such-rule"


async def test_what_was_answered_can_be_sent_back(api: Api) -> None:
    first = (await api.create(selector={"profile": "pump"}, clear=25, webhooks=["http://a.example/"])).json()
    body = {name: value for name, value in first.items() if name not in ("id", "version", "created_at", "updated_at")}
    second = (await api.client.put(f"/api/v1/rules/{first['id']}", json=body)).json()
    assert second == first | {"version": 2}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"clear": 31}, "clear (31) has to be at most value (30) for operator gt"),
        ({"operator": "lt", "clear": 29}, "clear (29) has to be at least value (30) for operator lt"),
        ({"operator": ">"}, "'gt', 'ge', 'lt' or 'le'"),
        ({"value": "30"}, "body.value: Input should be a valid number"),
        ({"value": True}, "body.value"),
        ({"for": "soon"}, "body.for: 'soon' is no duration"),
        ({"selector": {"devices": ["a"], "profile": "b"}}, "give devices or profile, not both"),
        ({"selector": {"devices": ["a/b"]}}, "the device id 'a/b' contains one of / + #"),
        ({"selector": {"devices": []}}, "body.selector.devices"),
        ({"webhooks": ["ftp://a.example"]}, "the URL has to start with http:// or https://"),
        ({"webhooks": ["http://me:secret@a.example"]}, "the URL must not carry credentials"),
        ({"severity": "fatal"}, "'info', 'warning' or 'critical'"),
        ({"name": ""}, "body.name"),
        ({"treshold": 3}, "body.treshold: Extra inputs are not permitted"),
    ],
)
async def test_a_wrong_rule_is_explained(api: Api, changes: dict[str, Any], problem: str) -> None:
    answer = await api.create(**changes)
    assert answer.status_code == 422
    assert problem in answer.json()["detail"]


async def test_rules_are_paged(api: Api) -> None:
    ids = [(await api.create()).json()["id"] for _ in range(5)]
    seen, cursor = [], ""
    while True:
        page = await api.get("rules", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert seen == ids


async def test_alerts_are_found_by_state_rule_and_device(api: Api) -> None:
    service, rule_id = api.service, (await api.create()).json()["id"]
    await service.hear(1, 0, 31.0, "a")
    await service.hear(2, 1, 31.5, "b")
    await service.hear(3, 2, 29.0, "a")
    await service.commit()
    items = (await api.get("alerts"))["items"]
    assert [(item["device"], item["state"]) for item in items] == [("b", "firing"), ("a", "resolved")]
    assert items[1] == {
        "id": "0001",
        "rule_id": rule_id,
        "rule": "too hot",
        "device": "a",
        "metric": "temperature",
        "state": "resolved",
        "severity": "warning",
        "value": 29.0,
        "threshold": 30.0,
        "started_at": "2027-01-15T08:00:00.000000000Z",
        "fired_at": "2027-01-15T08:00:00.000000000Z",
        "resolved_at": "2027-01-15T08:00:02.000000000Z",
        "reason": "cleared",
    }
    assert await api.get("alerts/0001") == items[1]
    assert (await api.get("alerts", state="firing"))["items"] == items[:1]
    assert (await api.get("alerts", device="a"))["items"] == items[1:]
    assert (await api.get("alerts", rule="another"))["items"] == []
    assert (await api.get("alerts", limit=1))["items"] == items[:1]


@pytest.mark.parametrize("query", ["state=open", "limit=0", "limit=1001", "cursor=x"])
async def test_a_wrong_query_is_refused(api: Api, query: str) -> None:
    answer = await api.client.get(f"/api/v1/alerts?{query}")
    assert answer.status_code == 422
    assert query.split("=", maxsplit=1)[0] in answer.json()["detail"]


async def test_an_alert_that_does_not_exist(api: Api) -> None:
    assert (await api.client.get("/api/v1/alerts/none")).status_code == 404


@pytest.mark.parametrize("key", ["", "Bearer wrong", "Basic x"])
async def test_nothing_is_told_without_the_key(api: Api, key: str) -> None:
    for path in ("rules", "rules/x", "alerts", "alerts/x"):
        answer = await api.client.get(f"/api/v1/{path}", headers={"Authorization": key})
        assert answer.status_code == 401
    assert (await api.client.get("/openapi.json", headers={"Authorization": key})).status_code == 200


async def test_without_a_database_the_answer_is_503(engine: AsyncEngine) -> None:
    api = Api(Service(engine))
    async with api.client:
        answer = await api.create()
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:sensorium:problem:unavailable"


async def test_there_is_a_most_of_rules(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerting.api.MAX_RULES", 1)
    assert (await api.create()).status_code == 201
    assert (await api.create()).status_code == 409


async def test_a_body_that_is_too_large_is_refused_and_not_read(api: Api) -> None:
    answer = await api.client.post("/api/v1/rules", content=b"x" * (1 << 20))
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:sensorium:problem:body-too-large"
