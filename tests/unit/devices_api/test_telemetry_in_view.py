"""A key that is limited to a group gets telemetry of the group's devices, and nothing of others."""

import httpx
import pytest

from contracts.times import SECOND
from tests.unit.devices_api.conftest import NOW, Service, StoreFile, problem

START, END = NOW // SECOND, NOW // SECOND + 60


@pytest.fixture
async def limited(service: Service, store: StoreFile) -> httpx.AsyncClient:
    """Give a client whose key sees `inside`, below its group, but neither `outside` nor what nobody has registered."""
    for group, parent in (("north", None), ("hall", "north")):
        assert (await service.client.post("/groups", json={"id": group, "parent": parent})).status_code == 201
    for device in ("inside", "outside", "unregistered"):
        store.write(device, "m", [(NOW, 1.0), (NOW + 1, 2.0)])
    for device in ("inside", "outside"):
        assert (await service.client.post("/devices", json={"id": device})).status_code == 201
    assert (await service.client.put("/groups/hall/devices/inside")).is_success
    made = await service.client.post("/keys", json={"name": "guest", "scopes": ["read"], "groups": ["north"]})
    return service.asking(made.json()["key"])


@pytest.mark.parametrize("device", ["outside", "unregistered", "nowhere"])
async def test_what_it_does_not_see_is_unknown(limited: httpx.AsyncClient, device: str) -> None:
    body = {"devices": ["inside", device], "metrics": ["m"], "start": START, "end": END}
    for answer in (
        await limited.get("/telemetry/latest", params={"device": ["inside", device]}),
        await limited.get("/telemetry/export", params={"device": [device, "inside"]}),
        await limited.post("/telemetry/query", json=body),
        await limited.post("/telemetry/query", json=body | {"aggregates": ["count"], "interval": "1d", "fill": 0}),
        await limited.get(f"/devices/{device}/telemetry/latest"),
        await limited.get(f"/devices/{device}/telemetry", params={"metric": "m", "start": START, "end": END}),
    ):
        assert problem(answer) == (404, "unknown-device")


async def test_a_filter_takes_of_those_that_it_sees(limited: httpx.AsyncClient) -> None:
    everything = "enabled eq true"
    page = (await limited.get("/telemetry/latest", params={"filter": everything})).json()
    assert [item["device"] for item in page["items"]] == ["inside"]
    for query in ({"filter": everything}, {}):
        lines = (await limited.get("/telemetry/export", params={"format": "jsonl"} | query)).text.splitlines()
        assert len(lines) == 2
        assert all('"inside"' in line for line in lines)
    body = {"filter": everything, "metrics": ["m"], "start": START, "end": END}
    found = (await limited.post("/telemetry/query", json=body)).json()
    assert [item["device"] for item in found["items"]] == ["inside"]
    named = body | {"filter": None, "devices": ["inside"], "aggregates": ["count"], "interval": "1w"}
    weeks = (await limited.post("/telemetry/query", json=named)).json()
    assert [point["count"] for point in weeks["items"][0]["points"]] == [2]
