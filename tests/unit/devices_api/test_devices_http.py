"""The API, over ASGI: registry and store are real files, the dead letters a list."""

from collections.abc import AsyncIterator

import pytest

from contracts.presence import Presence
from contracts.times import SECOND
from tests.unit.devices_api.cases import each
from tests.unit.devices_api.conftest import KEY, NOW, Service, StoreFile, problem

MINUTE = 60 * SECOND


async def test_a_device_from_registration_to_removal(service: Service) -> None:
    body = {"id": "pump 7", "tags": {"site": "north"}}
    made = await service.client.post("/devices", json=body)
    assert made.status_code == 201
    assert made.headers["Location"] == "/api/v1/devices/pump%207"
    assert made.json() == body | {
        "name": "pump 7",
        "profile": "default",
        "enabled": True,
        "created": "2026-01-01T00:00:00.000000000Z",
        "updated": "2026-01-01T00:00:00.000000000Z",
        "online": None,
        "last_changed": None,
        "reason": None,
        "last_seen": None,
        "messages": 0,
        "zone": "",
        "calibration": {},
        "facts": {},
        "groups": [],
        "attributes": {},
        "location": None,
        "deleted": None,
        "version": 1,
    }
    assert made.headers["ETag"] == '"1"'
    assert (await service.client.get("/devices/pump 7")).json() == made.json()
    changed = await service.client.patch("/devices/pump 7", json={"enabled": False, "name": "Pump"})
    assert changed.json() == made.json() | {"enabled": False, "name": "Pump", "version": 2}
    assert (await service.client.delete("/devices/pump 7")).status_code == 204
    assert problem(await service.client.get("/devices/pump 7")) == (404, "unknown-device")
    assert service.changes == 3


async def test_presence_is_shown(service: Service) -> None:
    assert service.registry is not None
    await service.registry.take_presence([Presence(1, "a", "seen", 1), Presence(1, "a", "online", NOW + 1)], NOW, 10)
    device = await service.get("/devices/a")
    assert (device["online"], device["last_changed"]) == (True, "2026-01-01T00:00:00.000000001Z")


async def test_the_list_is_paged(service: Service) -> None:
    for n in range(5):
        await service.client.post("/devices", json={"id": f"d{n}"})
    page = await service.get("/devices", limit=2)
    ids = [item["id"] for item in page["items"]]
    while page["next"]:
        page = await service.get("/devices", limit=2, cursor=page["next"])
        ids += [item["id"] for item in page["items"]]
    assert ids == ["d0", "d1", "d2", "d3", "d4"]


@each(
    "body",
    [
        {},
        {"id": ""},
        {"id": "a/b"},
        {"id": "a+"},
        {"id": "x" * 257},
        {"id": "a\u0000"},
        {"id": 7},
        {"id": "a", "colour": "red"},
        {"id": "a", "name": ""},
        {"id": "a", "tags": {"x": 1}},
        {"id": "a", "tags": {f"t{n}": "" for n in range(65)}},
        {"id": "a", "enabled": "maybe"},
    ],
)
async def test_a_bad_device_is_refused(service: Service, body: dict[str, object]) -> None:
    assert problem(await service.client.post("/devices", json=body)) == (422, "invalid-request")
    assert service.changes == 0


@each("body", [{"id": "b"}, {"name": None}, {"name": ""}, {"tags": None}, {"enabled": None}, []])
async def test_a_bad_change_is_refused(service: Service, body: object) -> None:
    await service.client.post("/devices", json={"id": "a"})
    assert problem(await service.client.patch("/devices/a", json=body)) == (422, "invalid-request")


async def test_a_second_registration_is_a_conflict(service: Service) -> None:
    await service.client.post("/devices", json={"id": "a"})
    assert problem(await service.client.post("/devices", json={"id": "a"})) == (409, "device-exists")


@each(
    ("path", "query", "expected"),
    [
        ("/devices", "limit=0", (400, "bad-limit")),
        ("/devices", "limit=1001", (400, "bad-limit")),
        ("/devices", "limit=ten", (400, "bad-limit")),
        ("/devices", "cursor=nonsense", (400, "bad-cursor")),
        ("/devices/a/telemetry", "metric=m&start=yesterday&end=2", (400, "bad-time")),
        ("/devices/a/telemetry", "metric=m&start=2&end=1", (400, "bad-time")),
        ("/devices/a/telemetry", "metric=m&start=1&end=1", (400, "bad-time")),
        ("/devices/a/telemetry", "metric=m&start=1&end=2&limit=10001", (400, "bad-limit")),
        ("/devices/a/telemetry", "metric=m&start=1&end=2&cursor=zzz", (400, "bad-cursor")),
        ("/devices/a/telemetry", "metric=m&start=1&end=2&aggregate=mean&interval=2w", (400, "bad-interval")),
        ("/devices/a/telemetry", "metric=m&start=0&end=100001&aggregate=mean&interval=10s", (400, "query-too-large")),
        ("/devices/a/telemetry", "metric=m&start=1&end=2&aggregate=mean&interval=1d&zone=Mars/Base", (400, "bad-zone")),
        ("/devices/a/telemetry", "metric=m&start=1&end=2&aggregate=mean&interval=1h&zone=UTC", (400, "bad-zone")),
        ("/devices/a/telemetry", "metric=m&start=1&end=2&aggregate=median", (422, "invalid-request")),
        ("/devices/a/telemetry", "metric=m&start=1", (422, "invalid-request")),
        ("/devices/a/telemetry", "metric=m&start=1&end=2", (404, "unknown-device")),
        ("/devices/a/telemetry/latest", "", (404, "unknown-device")),
        ("/dead-letters", "reason=boredom", (422, "invalid-request")),
        ("/dead-letters", "cursor=zzz", (400, "bad-cursor")),
        ("/dead-letters/7", "", (404, "unknown-dead-letter")),
        ("/nothing", "", (404, "not-found")),
    ],
)
async def test_errors(service: Service, path: str, query: str, expected: tuple[int, str]) -> None:
    assert problem(await service.client.get(f"{path}?{query}")) == expected


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}])
async def test_without_the_key_there_is_nothing(service: Service, header: dict[str, str]) -> None:
    service.client.headers.pop("Authorization")
    for path in ("/devices", "/devices/a", "/devices/a/telemetry/latest", "/dead-letters"):
        assert problem(await service.client.get(path, headers=header)) == (401, "unauthorized")


async def test_the_description_is_open_and_names_the_routes(service: Service) -> None:
    service.client.headers.pop("Authorization")
    described = (await service.client.get("http://api/openapi.json")).json()
    assert set(described["paths"]) >= {
        "/api/v1/devices",
        "/api/v1/devices/{device_id}",
        "/api/v1/devices/{device_id}/restore",
        "/api/v1/devices/{device_id}/telemetry",
        "/api/v1/devices/{device_id}/telemetry/latest",
        "/api/v1/groups",
        "/api/v1/groups/{group_id}",
        "/api/v1/groups/{group_id}/devices/{device_id}",
        "/api/v1/profiles",
        "/api/v1/profiles/{profile_id}",
        "/api/v1/profiles/{profile_id}/versions",
        "/api/v1/profiles/{profile_id}/versions/{version}",
        "/api/v1/profiles/{profile_id}/versions/{version}/restore",
        "/api/v1/dead-letters",
        "/api/v1/dead-letters/replay",
        "/api/v1/dead-letters/{id}",
        "/api/v1/dead-letters/{id}/replay",
    }
    for route in (route for methods in described["paths"].values() for route in methods.values()):
        assert route["responses"]["401"] == {"$ref": "#/components/responses/Unauthorized"}
    for error in described["components"]["responses"].values():
        assert set(error["content"]) == {"application/problem+json"}, "what FastAPI makes of an error is not answered"


async def test_the_page_of_the_description_can_be_read_without_scripts_from_elsewhere(service: Service) -> None:
    service.client.headers.pop("Authorization")
    page = await service.client.get("http://api/docs")
    assert page.status_code == 200
    assert "<code>DELETE /api/v1/dead-letters</code></dt><dd>Delete dead letters for good" in page.text
    assert "SwaggerUIBundle" in page.text


async def test_a_registered_device_without_data_has_empty_answers(service: Service) -> None:
    await service.client.post("/devices", json={"id": "a"})
    assert await service.get("/devices/a/telemetry/latest") == {"device": "a", "values": {}}
    assert await service.get("/devices/a/telemetry", metric="m", start=1, end=2) == {
        "device": "a",
        "metric": "m",
        "points": [],
        "next": None,
    }


async def test_points_are_answered_page_by_page_for_a_device_with_data_alone(
    service: Service, store: StoreFile
) -> None:
    store.write("a", "m", [(NOW + n * SECOND, float(n)) for n in range(5)])
    points: list[object] = []
    cursor: dict[str, str] = {}
    while True:
        page = await service.get(
            "/devices/a/telemetry", metric="m", start="2026-01-01T00:00:01Z", end=1_767_225_604, limit=2, **cursor
        )
        points += page["points"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert points == [{"ts": f"2026-01-01T00:00:0{n}.000000000Z", "value": float(n)} for n in (1, 2, 3)]


async def test_latest_has_every_metric_as_it_was_sent(service: Service, store: StoreFile) -> None:
    store.write("a", "n", [(NOW, 1.0), (NOW + 1, 2.5)])
    store.write("a", "on", [(NOW, True)])
    store.write("a", "mode", [(NOW, "auto")])
    ts = "2026-01-01T00:00:00.000000000Z"
    assert await service.get("/devices/a/telemetry/latest") == {
        "device": "a",
        "values": {
            "n": {"ts": "2026-01-01T00:00:00.000000001Z", "value": 2.5},
            "on": {"ts": ts, "value": True},
            "mode": {"ts": ts, "value": "auto"},
        },
    }


async def test_an_aggregate_says_what_answered_it(service: Service, store: StoreFile) -> None:
    store.write("a", "m", [(NOW + n * 20 * SECOND, float(n)) for n in range(6)])
    query: dict[str, str | int] = {"metric": "m", "start": NOW, "end": NOW + 2 * MINUTE, "aggregate": "mean"}
    assert await service.get("/devices/a/telemetry", **query) == {
        "device": "a",
        "metric": "m",
        "points": [
            {"ts": "2026-01-01T00:00:00.000000000Z", "value": 1.0},
            {"ts": "2026-01-01T00:01:00.000000000Z", "value": 4.0},
        ],
        "next": None,
        "aggregate": "mean",
        "interval": "1m",
        "source": "rollup_1m",
    }
    raw = await service.get("/devices/a/telemetry", **query, interval="30s")
    assert raw["source"] == "raw"
    assert [point["value"] for point in raw["points"]] == [0.5, 2.0, 3.5, 5.0]


async def test_days_are_those_of_the_zone_that_is_asked_for_or_else_of_the_device(
    service: Service, store: StoreFile
) -> None:
    await service.client.put("/profiles/far", json={"zone": "Asia/Tokyo"})
    await service.client.post("/devices", json={"id": "a", "profile": "far"})
    store.write("a", "m", [(NOW + n * 3600 * SECOND, float(n)) for n in range(24)], profile="far", zone="Asia/Tokyo")
    query: dict[str, str | int] = {"metric": "m", "start": NOW - 9 * 3600 * SECOND, "end": NOW + 39 * 3600 * SECOND}
    query |= {"aggregate": "count", "interval": "1d"}

    async def counts(**zone: str) -> tuple[list[tuple[str, int]], str]:
        page = await service.get("/devices/a/telemetry", **query, **zone)
        return [(point["ts"][:13], point["value"]) for point in page["points"]], page["source"]

    tokyo = ([("2025-12-31T15", 15), ("2026-01-01T15", 9)], "rollup_1d")
    assert await counts() == await counts(zone="Asia/Tokyo") == tokyo
    assert await counts(zone="UTC") == ([("2026-01-01T00", 24)], "rollup_1h")
    await service.client.patch("/devices/a", json={"zone": "UTC"})
    assert await counts() == ([("2026-01-01T00", 24)], "rollup_1h"), "its own zone goes before its profile's"


async def test_windows_are_paged_too(service: Service, store: StoreFile) -> None:
    store.write("a", "m", [(NOW + n * MINUTE, float(n)) for n in range(5)])
    query: dict[str, str | int] = {
        "metric": "m", "start": NOW + 1, "end": NOW + 10 * MINUTE, "aggregate": "sum", "limit": 2,
    }  # fmt: skip
    page = await service.get("/devices/a/telemetry", **query)
    values, pages = [point["value"] for point in page["points"]], 1
    while page["next"]:
        page = await service.get("/devices/a/telemetry", **query, cursor=page["next"])
        values += [point["value"] for point in page["points"]]
        pages += 1
    assert (values, pages) == ([1.0, 2.0, 3.0, 4.0], 5)


async def test_what_is_away_is_503_with_a_time_to_come_back(service: Service, store: StoreFile) -> None:
    store.write("a", "m", [(NOW, 1.0)])
    service.registry = None
    service.letters.away = True
    for path in ("/devices", "/dead-letters", "/devices/b/telemetry/latest"):
        answer = await service.client.get(path)
        assert problem(answer) == (503, "unavailable")
        assert answer.headers["Retry-After"] == "2"
    assert (await service.get("/devices/a/telemetry/latest"))["values"], "the store has it, the registry is not asked"


async def test_a_body_without_end_is_refused(service: Service) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 1024

    answer = await service.client.post("/devices", content=endless(), headers={"Content-Type": "application/json"})
    assert problem(answer) == (413, "body-too-large")


async def test_requests_are_counted_by_route_and_bounded_labels(service: Service) -> None:
    await service.client.get("/devices/a")
    await service.client.get("/devices/b")
    await service.client.request("BREW", "/devices")
    await service.client.get("/what/ever")
    samples = {
        (s.labels["route"], s.labels["method"], s.labels["status"]): s.value
        for family in service.metrics.registry.collect()
        for s in family.samples
        if s.name == "devices_api_requests_total"
    }
    assert samples == {
        ("/devices/{device_id}", "GET", "404"): 2,
        ("/devices", "other", "405"): 1,
        ("none", "GET", "404"): 1,
    }
