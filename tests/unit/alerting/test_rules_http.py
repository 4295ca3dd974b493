"""Rules over HTTP, without a socket."""

import pytest

from tests.unit.alerting.web_service import RULE, Web


async def test_a_rule_is_made_read_replaced_and_deleted(web: Web) -> None:
    made = await web.client.post("/api/v1/rules", json=RULE)
    assert made.status_code == 201, made.text
    rule = made.json()
    assert made.headers["location"] == f"/api/v1/rules/{rule['id']}"
    assert made.headers["etag"] == '"1"'
    assert rule["spec"]["for"] == "0s"
    assert await web.get(f"rules/{rule['id']}") == rule
    path = made.headers["location"]
    again = await web.client.put(path, json=rule["spec"])
    assert (again.status_code, again.json()["version"]) == (200, 1)  # nothing was changed
    changed = await web.client.put(path, json=RULE | {"for": "90s"}, headers={"If-Match": '"1"'})
    assert changed.json()["spec"]["for"] == "1m30s"
    assert changed.headers["etag"] == '"2"'
    late = await web.client.put(path, json=RULE, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["type"]) == (412, "urn:sensorium:problem:stale")
    assert (await web.client.delete(path)).status_code == 204
    for answer in (await web.client.get(path), await web.client.delete(path)):
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:sensorium:problem:no-such-rule")
    versions = (await web.get(f"rules/{rule['id']}/versions"))["items"]
    assert [version["version"] for version in versions] == [3, 2, 1]
    assert versions[0]["spec"] is None


async def test_an_old_version_is_restored_by_sending_what_it_was_also_after_a_deletion(web: Web) -> None:
    path = (await web.client.put("/api/v1/rules/hot", json=RULE)).headers["location"]
    await web.client.put(path, json=RULE | {"value": 40})
    await web.client.delete(path)
    first = (await web.get("rules/hot/versions"))["items"][-1]["spec"]
    restored = await web.client.put(path, json=first)
    assert restored.status_code == 201
    assert (restored.json()["version"], restored.json()["spec"]["value"]) == (4, 30.0)


async def test_a_rule_is_switched_off_and_on(web: Web) -> None:
    path = (await web.client.put("/api/v1/rules/hot", json=RULE)).headers["location"]
    off = (await web.client.post(f"{path}/disable")).json()
    assert (off["version"], off["spec"]["enabled"]) == (2, False)
    assert (await web.client.post(f"{path}/disable")).json()["version"] == 2
    assert [rule["id"] for rule in (await web.get("rules", enabled="false"))["items"]] == ["hot"]
    on = await web.client.post(f"{path}/enable", headers={"If-Match": '"2"'})
    assert (on.json()["version"], on.json()["spec"]["enabled"]) == (3, True)
    assert (await web.client.post(f"{path}/enable", headers={"If-Match": '"2"'})).status_code == 412
    assert (await web.client.post("/api/v1/rules/cold/enable")).status_code == 404
    assert web.changes == 4


async def test_rules_are_paged_and_found_by_kind_and_name(web: Web) -> None:
    for number in range(5):
        await web.client.put(f"/api/v1/rules/r{number}", json=RULE | {"name": f"Rule 10%{number}"})
    page = await web.get("rules", limit=2)
    seen = [rule["id"] for rule in page["items"]]
    while page["next"] is not None:
        page = await web.get("rules", limit=2, cursor=page["next"])
        seen += [rule["id"] for rule in page["items"]]
    assert seen == ["r0", "r1", "r2", "r3", "r4"]
    assert [rule["id"] for rule in (await web.get("rules", name="rule 10%3"))["items"]] == ["r3"]
    assert (await web.get("rules", name="%4%", kind="threshold"))["items"] == []
    assert (await web.get("rules", kind="rate"))["items"] == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"clear": 31}, "clear (31) has to be at most value (30) for operator gt"),
        ({"operator": ">"}, "'gt', 'ge', 'lt' or 'le'"),
        ({"value": "30"}, "value: Input should be a valid number"),
        ({"for": "soon"}, "for: 'soon' is no duration"),
        ({"selector": {"devices": ["a/b"]}}, "the device id 'a/b' contains one of / + #"),
        ({"severity": "fatal"}, "'info', 'warning' or 'critical'"),
        ({"treshold": 3}, "treshold: Extra inputs are not permitted"),
        ({"labels": {"site": "{{ tags.site"}}, "labels.site: "),
        ({"labels": {"severity": "x"}}, "every alert has this label"),
        ({"kind": "condition", "metric": None}, "metric"),
        ({"name": "a\0"}, "U+0000"),
        ({"kind": "guess"}, "does not match any of the expected tags"),
    ],
)
async def test_a_wrong_rule_is_explained(web: Web, changes: dict[str, object], problem: str) -> None:
    answer = await web.client.post("/api/v1/rules", json=RULE | changes)
    assert answer.status_code == 422
    assert problem in answer.json()["detail"]


@pytest.mark.parametrize("rule_id", ["export", "a%20b", "a" * 65, ".a"])
async def test_an_id_that_cannot_be_is_refused(web: Web, rule_id: str) -> None:
    assert (await web.client.put(f"/api/v1/rules/{rule_id}", json=RULE)).status_code == 422


async def test_there_is_a_most_of_rules(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerting.rule_repository.MAX_RULES", 1)
    assert (await web.client.post("/api/v1/rules", json=RULE)).status_code == 201
    assert (await web.client.post("/api/v1/rules", json=RULE)).json()["type"] == "urn:sensorium:problem:too-many-rules"
    assert len((await web.get("rules"))["items"]) == 1
