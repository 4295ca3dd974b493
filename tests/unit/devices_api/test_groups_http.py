"""Groups, deletion and versions of devices over the API."""

from tests.unit.devices_api.cases import each
from tests.unit.devices_api.conftest import Service, problem


async def make(service: Service, **parents: str | None) -> None:
    for id_, parent in parents.items():
        assert (await service.client.post("/groups", json={"id": id_, "parent": parent})).status_code == 201


async def test_a_group_from_making_to_removal(service: Service) -> None:
    made = await service.client.post("/groups", json={"id": "north", "name": "North site"})
    assert (made.status_code, made.headers["Location"], made.headers["ETag"]) == (201, "/api/v1/groups/north", '"1"')
    now = "2026-01-01T00:00:00.000000000Z"
    assert made.json() == {
        "id": "north",
        "name": "North site",
        "parent": None,
        "path": ["north"],
        "devices": 0,
        "devices_below": 0,
        "created": now,
        "updated": now,
        "version": 1,
    }
    assert problem(await service.client.post("/groups", json={"id": "north"})) == (409, "group-exists")
    await make(service, south=None, hall="south")
    await service.client.post("/devices", json={"id": "a", "groups": ["hall"]})
    moved = await service.client.patch("/groups/hall", json={"parent": "north"}, headers={"If-Match": '"1"'})
    assert (moved.json()["path"], moved.json()["version"]) == (["north", "hall"], 2)
    assert problem(await service.client.patch("/groups/hall", json={}, headers={"If-Match": '"1"'})) == (412, "stale")
    rows = (await service.get("/groups"))["items"]
    assert [(row["id"], row["devices"], row["devices_below"]) for row in rows] == [
        ("north", 0, 1),
        ("hall", 1, 1),
        ("south", 0, 0),
    ]
    assert problem(await service.client.patch("/groups/north", json={"parent": "hall"})) == (409, "bad-tree")
    for id_ in ("north", "hall"):
        assert problem(await service.client.delete(f"/groups/{id_}")) == (409, "group-not-empty")
    assert (await service.client.delete("/groups/hall?move_to=south")).status_code == 204
    assert (await service.get("/devices/a"))["groups"] == ["south"]
    assert (await service.client.delete("/groups/north")).status_code == 204
    assert problem(await service.client.get("/groups/north")) == (404, "unknown-group")
    assert problem(await service.client.delete("/groups/north")) == (404, "unknown-group")


async def test_the_tree_is_paged(service: Service) -> None:
    await make(service, a=None, b="a", c="b", d=None)
    page = await service.get("/groups", limit=1)
    ids = [item["id"] for item in page["items"]]
    while page["next"]:
        page = await service.get("/groups", limit=1, cursor=page["next"])
        ids += [item["id"] for item in page["items"]]
    assert ids == ["a", "b", "c", "d"]


async def test_a_device_is_put_into_groups_and_taken_out(service: Service) -> None:
    await make(service, a=None, b=None)
    await service.client.post("/devices", json={"id": "d"})
    for id_ in ("a", "b", "a"):
        assert (await service.client.put(f"/groups/{id_}/devices/d")).status_code == 204
    shown = await service.get("/devices/d")
    assert (shown["groups"], shown["version"]) == (["a", "b"], 3)
    assert (await service.client.delete("/groups/a/devices/d")).status_code == 204
    assert (await service.client.delete("/groups/a/devices/d")).status_code == 204
    assert (await service.get("/devices"))["items"][0]["groups"] == ["b"]
    assert problem(await service.client.put("/groups/x/devices/d")) == (404, "unknown-group")
    assert problem(await service.client.put("/groups/a/devices/x")) == (404, "unknown-device")
    assert problem(await service.client.patch("/devices/d", json={"groups": ["x"]})) == (422, "unknown-group")
    assert (await service.client.patch("/devices/d", json={"groups": []})).json()["groups"] == []


@each("id_", ["", "a/b", "a b", "-a", "ä", "x" * 65])
async def test_a_bad_group_is_refused(service: Service, id_: str) -> None:
    assert problem(await service.client.post("/groups", json={"id": id_})) == (422, "invalid-request")


async def test_a_deleted_device_is_kept_apart_and_can_be_restored(service: Service) -> None:
    assert service.registry is not None
    await make(service, g=None)
    body = {"id": "a", "tags": {"x": "1"}, "groups": ["g"], "attributes": {"rack": [1, {"u": None}]}}
    body["location"] = {"latitude": 48.5, "longitude": -2.25}
    made = (await service.client.post("/devices", json=body)).json()
    assert made.items() >= body.items()
    assert (await service.client.delete("/devices/a")).status_code == 204
    assert problem(await service.client.get("/devices/a")) == (404, "unknown-device")
    assert problem(await service.client.patch("/devices/a", json={"name": "x"})) == (404, "unknown-device")
    assert problem(await service.client.delete("/devices/a")) == (404, "unknown-device")
    assert (await service.get("/devices"))["items"] == []
    [kept] = (await service.get("/devices", filter="exists deleted"))["items"]
    assert (kept["id"], kept["deleted"], kept["version"]) == ("a", "2026-01-01T00:00:00.000000000Z", 2)
    assert (await service.get("/devices/a", deleted="true"))["deleted"] is not None
    [pending] = await service.registry.outbox.pending(9)
    assert getattr(pending.record, "enabled", None) is False, "its readings are to become dead letters"
    again = await service.client.post("/devices", json={"id": "a"})
    assert problem(again) == (409, "device-exists")
    assert "/devices/a/restore" in again.json()["detail"]
    restored = await service.client.post("/devices/a/restore")
    assert restored.json() == made | {"version": 3}
    assert problem(await service.client.post("/devices/a/restore")) == (409, "not-deleted")
    assert problem(await service.client.post("/devices/b/restore")) == (404, "unknown-device")


async def test_a_device_is_removed_for_good_by_admins_alone(service: Service) -> None:
    await service.client.post("/devices", json={"id": "a"})
    key = (await service.client.post("/keys", json={"name": "kim", "scopes": ["write"]})).json()["key"]
    async with service.asking(key) as client:
        assert problem(await client.delete("/devices/a?purge=true")) == (403, "scope-missing")
    await service.client.delete("/devices/a")
    assert (await service.client.delete("/devices/a?purge=true")).status_code == 204
    assert problem(await service.client.get("/devices/a?deleted=true")) == (404, "unknown-device")
    assert (await service.client.post("/devices", json={"id": "a"})).status_code == 201


async def test_a_change_of_a_device_at_another_version_is_refused(service: Service) -> None:
    await service.client.post("/devices", json={"id": "a"})
    first = {"If-Match": '"1"'}
    assert (await service.client.patch("/devices/a", json={"name": "x"}, headers=first)).headers["ETag"] == '"2"'
    assert problem(await service.client.patch("/devices/a", json={"name": "y"}, headers=first)) == (412, "stale")
    assert problem(await service.client.delete("/devices/a", headers=first)) == (412, "stale")
    assert problem(await service.client.delete("/devices/a?purge=true", headers=first)) == (412, "stale")
    assert (await service.client.get("/devices/a")).headers["ETag"] == '"2"'
    assert (await service.client.delete("/devices/a", headers={"If-Match": '"2"'})).status_code == 204


def nested(levels: int) -> object:
    return {"a": nested(levels - 1)} if levels else 1


@each(
    "more",
    [
        {"attributes": {"a": "x" * 17_000}},
        {"attributes": {"a": nested(17)}},
        {"attributes": {"a": "\0"}},
        {"attributes": [1]},
        {"location": {"latitude": 91, "longitude": 0}},
        {"location": {"latitude": 1}},
        {"groups": [f"g{n}" for n in range(33)]},
        {"name": "a\0b"},
        {"tags": {"x": "\0"}},
    ],
)
async def test_what_no_database_could_hold_or_is_too_much_is_refused(service: Service, more: dict[str, object]) -> None:
    await service.client.post("/devices", json={"id": "a"})
    assert problem(await service.client.post("/devices", json={"id": "b"} | more)) == (422, "invalid-request")
    assert problem(await service.client.patch("/devices/a", json=more)) == (422, "invalid-request")


@each("body", ['{"attributes": {"a": NaN}}', '{"attributes": {"a": "\\ud800"}}'])
async def test_json_that_is_none_is_refused(service: Service, body: str) -> None:
    await service.client.post("/devices", json={"id": "a"})
    headers = {"Content-Type": "application/json"}
    answer = await service.client.patch("/devices/a", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text


async def test_a_place_can_be_taken_away(service: Service) -> None:
    place = {"latitude": 1.0, "longitude": 2.0}
    await service.client.post("/devices", json={"id": "a", "location": place})
    assert (await service.client.patch("/devices/a", json={"name": "x"})).json()["location"] == place
    assert (await service.client.patch("/devices/a", json={"location": None})).json()["location"] is None
