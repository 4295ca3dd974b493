from typing import Any

from contracts.presence import Presence
from contracts.times import SECOND
from devices_api.access import Principal, Scope
from devices_api.lists.filters import parse
from devices_api.repository import Repository
from devices_api.twins.command_repository import LEASE_NS, Heard, Wanted
from devices_api.twins.commands import MOST_OPEN, Answer, Order
from tests.unit.devices_api.conftest import NOW, Service, problem

VALVE = "/devices/valve-3/commands"


async def with_devices(service: Service, *more: str) -> None:
    for id_ in ("valve-3", *more):
        assert (await service.client.post("/devices", json={"id": id_, "tags": {"kind": id_[:5]}})).status_code == 201


async def send(service: Service, **body: object) -> str:
    answer = await service.client.post(VALVE, json={"name": "open"} | body)
    assert answer.status_code == 201, answer.text
    made = str(answer.json()["id"])
    assert answer.headers["Location"] == f"/api/v1/commands/{made}"
    return made


async def history(service: Service, command: str) -> list[str]:
    found: dict[str, Any] = await service.get(f"/commands/{command}")
    assert found["state"] == found["history"][-1]["state"]
    return [step["state"] for step in found["history"]]


async def presence(registry: Repository, state: Any, at: int) -> None:  # noqa: ANN401 - a literal
    await registry.take_presence([Presence(1, "valve-3", state, at)], at, 100)


async def test_a_command_is_sent_answered_and_its_history_kept(service: Service, registry: Repository) -> None:
    await with_devices(service)
    command = await send(service, params={"percent": 40})
    [taken] = await registry.commands.take_due(NOW, 10)
    assert (taken.id, taken.params, taken.attempts) == (command, {"percent": 40}, 0)
    await registry.commands.sent([command], [], NOW + 1)
    answers = [("delivered", None), ("succeeded", {"was": 10}), ("failed", None), ("delivered", None)]
    for status, result in answers:
        heard = Heard("valve-3", command, Answer(status, result), NOW + 2)  # type: ignore[arg-type]  # literals
        await registry.commands.take_answers([heard])
    found = await service.get(f"/commands/{command}")
    assert (found["state"], found["result"], found["by"]) == ("succeeded", {"was": 10}, "root")
    assert await history(service, command) == ["queued", "sent", "delivered", "succeeded"]
    assert await registry.commands.end_overdue(NOW + 10_000 * SECOND, 10) == []


async def test_an_answer_may_come_before_it_is_noted_that_the_command_was_sent(
    service: Service, registry: Repository
) -> None:
    await with_devices(service)
    command = await send(service)
    await registry.commands.take_due(NOW, 10)
    await registry.commands.take_answers([Heard("valve-3", command, Answer("failed", None, "stuck"), NOW)])
    await registry.commands.sent([command], [], NOW)
    assert await history(service, command) == ["queued", "sent", "failed"]
    assert (await service.get(f"/commands/{command}"))["error"] == "stuck"


async def test_a_command_without_an_answer_has_succeeded_when_it_is_sent(
    service: Service, registry: Repository
) -> None:
    await with_devices(service)
    command = await send(service, response=False)
    await registry.commands.take_due(NOW, 10)
    await registry.commands.sent([command], [], NOW)
    assert await history(service, command) == ["queued", "sent", "succeeded"]


async def test_a_command_that_cannot_be_sent_expires_and_one_that_is_not_answered_times_out(
    service: Service, registry: Repository
) -> None:
    await with_devices(service)
    unsent, sent = await send(service, ttl=100), await send(service, timeout=5)
    await registry.commands.take_due(NOW, 10)
    await registry.commands.sent([sent], [unsent], NOW)
    assert await registry.commands.end_overdue(NOW + 4 * SECOND, 10) == []
    assert await registry.commands.end_overdue(NOW + 5 * SECOND, 10) == ["timed_out"]
    assert await registry.commands.end_overdue(NOW + 100 * SECOND, 10) == ["expired"]
    assert await registry.commands.take_due(NOW + 100 * SECOND, 10) == []
    assert await history(service, unsent) == ["queued", "expired"]
    assert await history(service, sent) == ["queued", "sent", "timed_out"]


async def test_a_command_waits_for_a_device_that_is_offline(service: Service, registry: Repository) -> None:
    await with_devices(service)
    before = await send(service)
    await presence(registry, "offline", NOW)
    after = await send(service)
    assert await registry.commands.take_due(NOW, 10) == []
    await presence(registry, "online", NOW + 1)
    assert [item.id for item in await registry.commands.take_due(NOW + 1, 10)] == sorted([before, after])


async def test_a_replica_that_dies_loses_no_command_and_none_is_given_out_twice_meanwhile(
    service: Service, registry: Repository
) -> None:
    await with_devices(service)
    command = await send(service)
    assert len(await registry.commands.take_due(NOW, 10)) == 1
    await presence(registry, "online", NOW + 1)
    assert await registry.commands.take_due(NOW + LEASE_NS - 1, 10) == []
    [again] = await registry.commands.take_due(NOW + LEASE_NS, 10)
    assert (again.id, again.attempts) == (command, 1)


async def test_a_queued_command_can_be_taken_back_and_one_that_is_being_sent_cannot(
    service: Service, registry: Repository
) -> None:
    await with_devices(service)
    first, second = await send(service), await send(service)
    assert (await service.client.delete(f"/commands/{first}")).json()["state"] == "cancelled"
    assert [item.id for item in await registry.commands.take_due(NOW, 10)] == [second]
    assert problem(await service.client.delete(f"/commands/{second}")) == (409, "command-not-queued")
    assert problem(await service.client.delete(f"/commands/{first}")) == (409, "command-not-queued")
    assert problem(await service.client.delete("/commands/none")) == (404, "unknown-command")


async def test_commands_are_listed_by_state_name_and_device_newest_first(service: Service) -> None:
    await with_devices(service, "other")
    sent = [await send(service, name=name) for name in ("open", "close", "open")]
    await service.client.post("/devices/other/commands", json={"name": "open"})
    page = await service.get("/commands", name="open", device="valve-3", limit=1, state="queued")
    following = await service.get("/commands", name="open", device="valve-3", cursor=page["next"])
    found = [item["id"] for item in page["items"] + following["items"]]
    assert sorted(found) == sorted([sent[0], sent[2]])
    assert len((await service.get(VALVE))["items"]) == 3
    assert problem(await service.client.get("/devices/none/commands")) == (404, "unknown-device")
    assert problem(await service.client.get("/commands?cursor=x")) == (400, "bad-cursor")


async def test_a_filter_commands_many_devices_and_says_which_have_too_many_already(service: Service) -> None:
    await with_devices(service, "valve-4", "meter-1")
    for _ in range(MOST_OPEN):
        await send(service)
    assert problem(await service.client.post(VALVE, json={"name": "open"})) == (409, "too-many-commands")
    answer = await service.client.post("/commands", json={"name": "close", "filter": 'tags.kind eq "valve"'})
    assert answer.status_code == 201, answer.text
    assert [item["device"] for item in answer.json()["items"]] == ["valve-4"]
    assert answer.json()["refused"] == ["valve-3"]
    wrong = await service.client.post("/commands", json={"name": "close", "filter": "kind"})
    assert problem(wrong) == (400, "bad-filter")


async def test_commands_that_ended_long_ago_are_dropped(service: Service, registry: Repository) -> None:
    await with_devices(service)
    kept, gone = await send(service), await send(service)
    await service.client.delete(f"/commands/{gone}")
    assert await registry.commands.drop(NOW, 10) == 0
    assert await registry.commands.drop(NOW + 1, 10) == 1
    assert [item["id"] for item in (await service.get("/commands"))["items"]] == [kept]


async def test_who_does_not_see_a_device_sees_neither_its_twin_nor_its_commands(
    service: Service, registry: Repository
) -> None:
    await with_devices(service)
    command = await send(service)
    outsider = Principal("outsider", frozenset(Scope), frozenset({"elsewhere"}))
    order = Order("open", {}, SECOND, SECOND)
    assert await registry.commands.send("valve-3", order, outsider, NOW) is None
    assert await registry.commands.send_all(parse('id eq "valve-3"'), order, outsider, NOW) == ([], [])
    assert await registry.commands.get(command, outsider.view) is None
    assert await registry.commands.cancel(command, outsider, NOW) is None
    assert await registry.commands.page(Wanted(), None, 10, outsider.view) == []
    assert await registry.commands.page(Wanted("valve-3"), None, 10, outsider.view) is None
    assert await registry.twins.get("valve-3", outsider.view) is None
    assert await registry.twins.desire("valve-3", {"a": 1}, outsider, NOW) is None
    assert await registry.twins.report("valve-3", {"a": 1}, outsider, NOW) is None
