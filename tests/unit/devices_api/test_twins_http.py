from devices_api.repository import Repository
from devices_api.twins.twins import LEASE_NS, Report
from tests.unit.devices_api.conftest import NOW, Service, problem

TWIN = "/devices/valve-3/twin"


async def with_device(service: Service) -> None:
    assert (await service.client.post("/devices", json={"id": "valve-3"})).status_code == 201


async def test_a_twin_is_empty_until_something_is_wanted(service: Service) -> None:
    await with_device(service)
    assert await service.get(TWIN) == {
        "device": "valve-3",
        "version": 0,
        "desired": {},
        "reported": {},
        "delta": {},
        "reports": 0,
        "applied": None,
        "times": {"desired": {}, "reported": {}},
    }
    assert problem(await service.client.get("/devices/none/twin")) == (404, "unknown-device")


async def test_what_is_wanted_is_merged_and_the_delta_is_what_has_not_been_reported(service: Service) -> None:
    await with_device(service)
    await service.client.patch(f"{TWIN}/desired", json={"valve": {"open": True, "speed": 2}, "mode": "auto"})
    answer = await service.client.patch(f"{TWIN}/desired", json={"mode": None, "valve": {"speed": 3}})
    assert answer.headers["ETag"] == '"2"'
    assert answer.json()["desired"] == {"valve": {"open": True, "speed": 3}}
    answer = await service.client.patch(f"{TWIN}/reported", json={"valve": {"open": True}, "firmware": "1.2"})
    assert answer.json()["delta"] == {"valve": {"speed": 3}}
    assert answer.json()["times"]["reported"]["valve"]["open"] == "2026-01-01T00:00:00.000000000Z"
    assert (await service.get(TWIN))["reports"] == 1


async def test_the_whole_state_is_replaced_and_null_is_no_value(service: Service) -> None:
    await with_device(service)
    await service.client.put(f"{TWIN}/desired", json={"a": {"b": 1, "c": 2}, "d": 3})
    answer = await service.client.put(f"{TWIN}/desired", json={"a": {"c": 2, "e": None}})
    assert (answer.json()["version"], answer.json()["desired"]) == (2, {"a": {"c": 2}})
    same = await service.client.put(f"{TWIN}/desired", json={"a": {"c": 2}})
    assert same.json()["version"] == 2


async def test_a_change_of_another_version_than_the_one_that_is_there_is_refused(service: Service) -> None:
    await with_device(service)
    first = await service.client.patch(f"{TWIN}/desired", json={"a": 1}, headers={"If-Match": '"0"'})
    assert first.status_code == 200
    again = await service.client.patch(f"{TWIN}/desired", json={"a": 2}, headers={"If-Match": '"0"'})
    assert problem(again) == (412, "stale")
    assert (await service.get(TWIN))["desired"] == {"a": 1}


async def test_states_are_bounded(service: Service) -> None:
    await with_device(service)
    large = {"a": "x" * 20_000}
    assert (await service.client.patch(f"{TWIN}/desired", json=large)).status_code == 200
    second = await service.client.patch(f"{TWIN}/desired", json={"b": "x" * 20_000})
    assert problem(second) == (422, "state-too-large")
    for body in ('{"a": NaN}', '{"a": "\\u0000"}', '{"a":' * 17 + "1" + "}" * 17, "[]"):
        answer = await service.client.patch(
            f"{TWIN}/desired", content=body, headers={"Content-Type": "application/merge-patch+json"}
        )
        assert problem(answer) == (422, "invalid-request")


async def test_a_row_of_the_outbox_is_one_replicas_until_its_lease_ends(service: Service, registry: Repository) -> None:
    await with_device(service)
    await service.client.patch(f"{TWIN}/desired", json={"a": 1})
    await service.client.patch(f"{TWIN}/desired", json={"a": 2})
    [taken] = await registry.twins.take_due(NOW, 10)
    assert taken.twin is not None
    assert (taken.device, taken.kind, taken.twin.version) == ("valve-3", "desired", 2)
    assert await registry.twins.take_due(NOW, 10) == []
    [again] = await registry.twins.take_due(NOW + LEASE_NS, 10)
    await registry.twins.told([], [again])
    [third] = await registry.twins.take_due(NOW, 10)
    await service.client.patch(f"{TWIN}/desired", json={"a": 3})
    await registry.twins.told([third], [])
    [last] = await registry.twins.take_due(NOW, 10)
    assert last.twin is not None
    assert last.twin.version == 3
    await registry.twins.told([last], [])
    assert await registry.twins.take_due(NOW + LEASE_NS, 10) == []


async def test_an_older_report_changes_nothing_that_a_newer_one_has_said(
    service: Service, registry: Repository
) -> None:
    await with_device(service)
    newer = Report("valve-3", {"a": 2, "b": {"c": 1}}, 4, (NOW, 9))
    older = Report("valve-3", {"a": 1, "b": 5, "d": 1}, 3, (NOW, 8))
    await registry.twins.take_reports([newer], NOW)
    await registry.twins.take_reports([older], NOW)
    found = await service.get(TWIN)
    assert (found["reported"], found["applied"]) == ({"a": 2, "b": {"c": 1}, "d": 1}, 4)
    assert await registry.twins.take_due(NOW, 10) == []
    await registry.twins.take_reports([Report("valve-3", {}, None, (NOW, 10))], NOW)
    assert [item.kind for item in await registry.twins.take_due(NOW, 10)] == ["delta"]


async def test_a_device_that_is_removed_for_good_takes_its_twin_with_it_and_the_broker_is_told(
    service: Service, registry: Repository
) -> None:
    await with_device(service)
    await service.client.patch(f"{TWIN}/desired", json={"a": 1})
    assert (await service.client.delete("/devices/valve-3?purge=true")).status_code == 204
    assert [(item.kind, item.twin) for item in await registry.twins.take_due(NOW, 10)] == [("desired", None)]
