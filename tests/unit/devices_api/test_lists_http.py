import pytest

from contracts.activity import Activity, Heard
from contracts.times import format_time
from devices_api.lists.choice import Chosen, Order, Position, write_cursor
from devices_api.repository import Repository
from tests.unit.devices_api.cases import each
from tests.unit.devices_api.conftest import Service, problem


@pytest.fixture
async def fleet(service: Service) -> Service:
    for n in range(6):
        body = {"id": f"d{n}", "name": f"Pump {5 - n}", "profile": "pump" if n < 4 else "fan"}
        made = await service.client.post("/devices", json=body | {"tags": {"site": "north" if n % 2 else "south"}})
        assert made.status_code == 201, made.text
    await service.client.delete("/devices/d0")
    return service


async def ids(service: Service, **query: str | int) -> list[str]:
    return [item["id"] for item in (await service.get("/devices", **query))["items"]]


async def test_devices_are_listed_by_filter_search_and_order(fleet: Service) -> None:
    assert await ids(fleet) == ["d1", "d2", "d3", "d4", "d5"]
    assert await ids(fleet, filter='profile eq "pump" and tags.site eq "north" and online ne true') == ["d1", "d3"]
    assert await ids(fleet, search="PUMP south") == ["d2", "d4"]
    assert await ids(fleet, search="pump", filter='profile eq "fan"', sort="name") == ["d5", "d4"]
    assert await ids(fleet, sort="-id", limit=2) == ["d5", "d4"]


async def test_deleted_devices_are_listed_where_the_filter_asks_for_them(fleet: Service) -> None:
    assert await ids(fleet, filter="exists deleted") == ["d0"]
    assert await ids(fleet, filter='deleted eq false and profile eq "pump"') == ["d1", "d2", "d3"]


async def test_what_changes_is_searched_as_it_is_now(fleet: Service) -> None:
    await fleet.client.patch("/devices/d1", json={"name": "Ventil", "tags": {"site": "east"}})
    assert await ids(fleet, search="ventil east") == ["d1"]
    assert "d1" not in await ids(fleet, search="pump")


async def test_pages_go_on_where_the_last_one_ended(fleet: Service) -> None:
    page = await fleet.get("/devices", sort="name", limit=2)
    found = [item["id"] for item in page["items"]]
    while page["next"]:
        page = await fleet.get("/devices", sort="name", limit=2, cursor=page["next"])
        found += [item["id"] for item in page["items"]]
    assert found == ["d5", "d4", "d3", "d2", "d1"]


async def test_a_cursor_of_another_list_is_refused(fleet: Service) -> None:
    cursor = (await fleet.get("/devices", sort="name", limit=2))["next"]
    for other in ({"sort": "-name"}, {"sort": "name", "search": "x"}, {"sort": "name", "filter": "online eq true"}, {}):
        answer = await fleet.client.get("/devices", params={**other, "cursor": cursor})
        assert problem(answer) == (400, "bad-cursor")


@each(
    ("order", "value"),
    [("created", "x"), ("created", 1 << 63), ("created", None), ("name", 5), ("name", "\0"), ("online", 1)],
)
async def test_a_forged_cursor_is_refused(service: Service, order: str, value: str | int | None) -> None:
    cursor = write_cursor(Chosen(), Order(order), Position(value, "d1"))
    answer = await service.client.get("/devices", params={"sort": order, "cursor": cursor})
    assert problem(answer) == (400, "bad-cursor")


@each(
    ("path", "query", "expected"),
    [
        ("/devices", {"filter": "profile eq 5"}, "bad-filter"),
        ("/devices", {"filter": ""}, "bad-filter"),
        ("/devices", {"sort": "colour"}, "bad-sort"),
        ("/devices", {"sort": "tags.site"}, "bad-sort"),
        ("/devices", {"search": "a b c d e f g h i j k"}, "bad-search"),
        ("/devices", {"search": "\0"}, "bad-text"),
        ("/device-counts", {"by": "name"}, "bad-by"),
        ("/device-counts", {"by": "tags.a.b"}, "bad-by"),
        ("/device-counts", {"by": "profile", "limit": "0"}, "bad-limit"),
    ],
)
async def test_what_cannot_be_understood_is_refused(
    service: Service, path: str, query: dict[str, str], expected: str
) -> None:
    answer = await service.client.get(path, params=query)
    assert problem(answer) == (400, expected)


async def test_counts_tell_the_largest_first_and_how_many_are_in_none(fleet: Service) -> None:
    await fleet.client.patch("/devices/d5", json={"tags": {}})
    counts = await fleet.get("/device-counts", by="tags.site")
    buckets = [(item["value"], item["devices"]) for item in counts["items"]]
    assert (counts["total"], buckets, counts["other"]) == (5, [("north", 2), ("south", 2), (None, 1)], 0)
    counts = await fleet.get("/device-counts", by="profile", limit=1)
    assert counts == {"total": 5, "items": [{"value": "pump", "devices": 3, "direct": None}], "other": 2}
    counts = await fleet.get("/device-counts", by="state", filter='profile eq "fan"')
    assert counts["items"] == [{"value": "unknown", "devices": 2, "direct": None}]


async def test_a_list_shows_what_the_device_itself_shows(service: Service) -> None:
    await service.client.post("/groups", json={"id": "north"})
    rich = {
        "id": "dé",
        "name": 'Pump "7"',
        "profile": "pump",
        "tags": {"site": "nörd", "😀": ""},
        "enabled": False,
        "zone": "Europe/Paris",
        "groups": ["north"],
        "attributes": {"large": 12345678901234567890123, "deep": [1.5, {"no": None}], "": "ü"},
        "location": {"latitude": 0.0, "longitude": 2.5},
    }
    for body in (rich, {"id": "plain"}):
        assert (await service.client.post("/devices", json=body)).status_code == 201
    for item in (await service.get("/devices"))["items"]:
        detail = await service.get(f"/devices/{item['id']}")
        assert item == {name: value for name, value in detail.items() if name not in ("calibration", "facts")}


async def test_devices_are_found_and_ordered_by_what_is_shown_of_their_messages(
    fleet: Service, registry: Repository
) -> None:
    heard = {"d1": Heard(3, 9_000), "d2": Heard(30, 7_000), "d4": Heard(4, 8_000), "stranger": Heard(5, 7_500)}
    await registry.activities.take({1: Activity(1, 0, heard)}, 9)
    items = (await fleet.get("/devices"))["items"]
    shown = {item["id"]: (item["last_seen"], item["messages"]) for item in items}
    assert shown == {id_: (format_time(heard[id_].last), heard[id_].messages) for id_ in ("d1", "d2", "d4")} | {
        "d3": (None, 0),
        "d5": (None, 0),
    }
    assert await ids(fleet, sort="last_seen") == ["d2", "d4", "d1", "d3", "d5"]
    assert await ids(fleet, sort="-last_seen") == ["d1", "d4", "d2", "d5", "d3"]
    assert await ids(fleet, sort="messages") == ["d3", "d5", "d1", "d4", "d2"]
    assert await ids(fleet, sort="-messages") == ["d2", "d4", "d1", "d5", "d3"]
    for id_, (seen, messages) in shown.items():
        same = {other for other, of in shown.items() if of[0] == seen}
        asked = "not exists last_seen" if seen is None else f'last_seen eq "{seen}"'
        assert set(await ids(fleet, filter=asked)) == same
        assert id_ in await ids(fleet, filter=f"messages eq {messages}")
