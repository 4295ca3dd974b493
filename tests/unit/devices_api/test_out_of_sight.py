"""What a key that is limited to groups must not learn of what is outside of them."""

import asyncio
import base64
from collections.abc import AsyncIterator

import httpx
import pytest

from contracts.computed import ComputedFailure
from devices_api.repository import Repository
from devices_api.twins.command_repository import Heard
from devices_api.twins.commands import Answer
from tests.unit.devices_api.conftest import NOW, Service, StoreFile, problem


@pytest.fixture
async def limited(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client with a key of all scopes for the group `hall`, which is below `secret-site`."""
    for body in ({"id": "secret-site"}, {"id": "hall", "parent": "secret-site"}, {"id": "bay", "parent": "hall"}):
        assert (await service.client.post("/groups", json=body)).status_code == 201
    key = await service.client.post("/keys", json={"name": "hall", "scopes": ["admin"], "groups": ["hall"]})
    async with service.asking(key.json()["key"]) as client:
        yield client


async def test_a_cursor_of_the_tree_does_not_name_the_groups_above(limited: httpx.AsyncClient) -> None:
    page = (await limited.get("/groups?limit=1")).json()
    assert [item["id"] for item in page["items"]] == ["hall"]
    assert b"secret-site" not in base64.urlsafe_b64decode(page["next"] + "==")
    rest = (await limited.get("/groups", params={"limit": 1, "cursor": page["next"]})).json()
    assert ([item["id"] for item in rest["items"]], rest["next"]) == (["bay"], None)


async def test_what_fails_of_a_profile_is_not_told_of_other_devices(
    service: Service, limited: httpx.AsyncClient
) -> None:
    await service.client.put("/profiles/still", json={"computed": {"power": "u * i"}})
    service.failures = {"power": ComputedFailure(1, "still", "power", "u * i", "no such key: i", "elsewhere", 1, 2, 9)}
    assert (await service.get("/profiles/still"))["failing"]["power"]["device"] == "elsewhere"
    assert (await limited.get("/profiles/still")).json()["failing"] is None


async def test_telemetry_of_an_id_that_is_free_is_not_taken_over_by_registering_it(
    service: Service, limited: httpx.AsyncClient, store: StoreFile
) -> None:
    store.write("old", "t", [(NOW, 1.0)])
    taken = await limited.post("/devices", json={"id": "old", "groups": ["hall"]})
    assert problem(taken) == (409, "device-exists")
    assert (await service.client.post("/devices", json={"id": "old", "groups": ["hall"]})).status_code == 201


async def test_what_becomes_of_a_command_is_not_told_when_its_device_is_out_of_sight(
    service: Service, limited: httpx.AsyncClient, registry: Repository
) -> None:
    await service.client.post("/devices", json={"id": "valve", "groups": ["hall"]})
    sending = asyncio.create_task(limited.post("/devices/valve/commands?wait=1", json={"name": "open"}))
    async with asyncio.timeout(20):
        while not (taken := await registry.commands.take_due(NOW, 1)):
            await asyncio.sleep(0)
    await service.client.patch("/devices/valve", json={"groups": []})
    await registry.commands.sent([taken[0].id], [], NOW)
    answer = Heard("valve", taken[0].id, Answer("succeeded", {"secret": 1}), NOW)
    assert await registry.commands.take_answers([answer])
    assert ((await sending).json()["state"], (await service.get(f"/commands/{taken[0].id}"))["state"]) == (
        "queued",
        "succeeded",
    )
