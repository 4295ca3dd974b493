"""Profiles, calibration and facts over the API."""

from typing import Any

import httpx

from contracts.computed import ComputedFailure
from contracts.devices import Calibration, DeviceRecord, Metric
from contracts.presence import Presence
from devices_api.registry.profiles import NewProfile
from tests.unit.devices_api.cases import each
from tests.unit.devices_api.conftest import NOW, Service, problem

TEMPERATURE = {"unit": "°C", "min": -40, "max": 85, "calibration": [{"offset": -0.5}]}


async def put(service: Service, body: dict[str, Any], id_: str = "orchard") -> httpx.Response:
    return await service.client.put(f"/profiles/{id_}", json=body)


async def test_a_profile_from_making_to_removal(service: Service) -> None:
    body = {
        "metrics": {"temperature": TEMPERATURE, "valve": {"type": "boolean"}},
        "zone": "Europe/Paris",
        "keep_raw": True,
        "message_rate": "20:1,600:60",
        "point_rate": "100:1",
        "computed": {"power": 'm["line voltage"] * current', "flow": "rate(volume) * 60"},
        "retention": {"raw": 7, "1m": 90, "1d": 0},
    }
    made = await put(service, body)
    assert made.status_code == 201
    kept = made.json()
    assert kept["metrics"]["temperature"] == {
        "type": "number",
        "unit": "degC",
        "min": -40.0,
        "max": 85.0,
        "calibration": [
            {"since": "1970-01-01T00:00:00.000000000Z", "scale": 1.0, "offset": -0.5, "polynomial": []},
        ],
    }
    assert (kept["id"], kept["zone"], kept["keep_raw"], kept["message_rate"]) == (
        "orchard",
        "Europe/Paris",
        True,
        "20:1,600:60",
    )
    assert kept["computed"] == body["computed"]
    assert kept["retention"] == {"raw": 7, "1m": 90, "1h": 1825, "1d": 0}
    assert await service.get("/profiles/orchard") == kept | {"failing": {}}
    assert await service.get("/profiles") == {"items": [kept], "next": None}
    assert (await put(service, {"metrics": kept["metrics"]})).status_code == 200, "what is shown can be sent back"
    replaced = await service.get("/profiles/orchard")
    assert (replaced["zone"], replaced["computed"]) == ("", {}), "a profile is replaced as a whole"
    assert replaced["retention"] == {"raw": 30, "1m": 180, "1h": 1825, "1d": 0}
    assert (await service.client.delete("/profiles/orchard")).status_code == 204
    assert problem(await service.client.get("/profiles/orchard")) == (404, "unknown-profile")
    assert problem(await service.client.delete("/profiles/orchard")) == (404, "unknown-profile")
    assert service.changes == 3


@each(
    ("body", "says"),
    [
        ({"metrics": {"t": {"min": 2, "max": 1}}}, "min (2.0) is above max (1.0)"),
        ({"metrics": {"t": {"type": "text", "unit": "V"}}}, "are for numbers; the type is text"),
        ({"metrics": {"t": {"type": "float"}}}, "'number', 'boolean' or 'text'"),
        ({"metrics": {"": {}}}, "at least 1 character"),
        ({"metrics": {"é" * 129: {}}}, "at most 256 bytes"),
        ({"metrics": {f"m{n}": {} for n in range(501)}}, "at most 500 items"),
        ({"metrics": {"t": {"calibration": [{"scale": 0}]}}}, "scale of 0"),
        ({"metrics": {"t": {"calibration": [{"offset": 1}, {"offset": 2}]}}}, "in the order of `since`"),
        (
            {"metrics": {"t": {"calibration": [{"since": "2026-01-02T00:00:00Z"}, {"since": 1767225600}]}}},
            "in the order of `since`",
        ),
        ({"metrics": {"t": {"calibration": [{"since": "yesterday"}]}}}, "'yesterday' is no time"),
        ({"metrics": {"t": {"unit": "x" * 33}}}, "at most 32 characters"),
        ({"zone": "Mars/Olympus"}, "'Mars/Olympus' is no time zone"),
        ({"zone": "../../etc/passwd"}, "is no time zone"),
        ({"message_rate": "20"}, "'20' is no rate: write CAPACITY:SECONDS"),
        ({"point_rate": "0:1"}, "capacity in '0:1'"),
        ({"metric": {}}, "Extra inputs"),
        ({"computed": {"p": "voltage *"}}, "body.computed.p: line 1, column 10: it ends too early"),
        ({"computed": {"p": "voltage *\n* 2"}}, "line 2, column 1: extraneous input '*'"),
        ({"computed": {"p": "[1].map(x, x)"}}, "line 1, column 5: there is no method 'map'"),
        ({"computed": {"p": "x" * 1001}}, "at most 1000 characters"),
        ({"computed": {"": "x"}}, "at least 1 character"),
        ({"computed": {f"p{n}": "x" for n in range(101)}}, "at most 100 items"),
        ({"metrics": {"p": {}}, "computed": {"p": "x"}}, "'p' is in metrics and in computed"),
        ({"computed": {"p": "u * i", "e": "p * 2"}}, "computed.e uses 'p', which is itself computed"),
        ({"computed": {"p": "p + 1"}}, "computed.p uses 'p'"),
        ({"retention": {"raw": 0}}, "1m is kept for 180 days and raw for ever"),
        ({"retention": {"raw": 1.5}}, "valid integer"),
        ({"retention": {"1m": -1}}, "greater than or equal to 0"),
        ({"retention": {"raw": 181}}, "1m is kept for 180 days and raw for 181 days"),
        ({"retention": {"1h": 0, "1d": 400}}, "1d is kept for 400 days and 1h for ever"),
        ({"retention": {"1w": 400}}, "Extra inputs"),
    ],
)
async def test_a_wrong_profile_says_what_is_wrong(service: Service, body: dict[str, Any], says: str) -> None:
    answer = await put(service, body)
    assert problem(answer) == (422, "invalid-request")
    assert says in answer.json()["detail"]
    assert service.changes == 0


async def test_a_profile_shows_which_computed_metrics_fail(service: Service) -> None:
    await put(service, {"computed": {"p": "u / i"}})
    service.failures = {"p": ComputedFailure(1, "orchard", "p", "u / i", "no finite number", "d", NOW, NOW + 1, 7)}
    assert (await service.get("/profiles/orchard"))["failing"] == {
        "p": {
            "error": "no finite number",
            "device": "d",
            "since": "2026-01-01T00:00:00.000000000Z",
            "last": "2026-01-01T00:00:00.000000001Z",
            "count": 7,
        }
    }
    service.failures = None
    assert (await service.get("/profiles/orchard"))["failing"] is None, "they cannot be known now"


async def test_numbers_that_are_none_are_refused(service: Service) -> None:
    answer = await service.client.put(
        "/profiles/orchard",
        content='{"metrics": {"t": {"max": NaN}}}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 422


async def test_a_profile_in_use_stays(service: Service) -> None:
    await put(service, {})
    await service.client.post("/devices", json={"id": "d", "profile": "orchard"})
    assert problem(await service.client.delete("/profiles/orchard")) == (409, "profile-in-use")
    await service.client.patch("/devices/d", json={"profile": "other"})
    assert (await service.client.delete("/profiles/orchard")).status_code == 204


async def test_profiles_come_in_pages(service: Service) -> None:
    for id_ in ("c", "a", "b"):
        await put(service, {}, id_)
    first = await service.get("/profiles", limit=2)
    assert [item["id"] for item in first["items"]] == ["a", "b"]
    second = await service.get("/profiles", limit=2, cursor=first["next"])
    assert ([item["id"] for item in second["items"]], second["next"]) == (["c"], None)
    too_many = await service.client.get("/profiles", params={"limit": 101})
    assert problem(too_many) == (400, "bad-limit")
    devices = await service.client.get("/devices", params={"cursor": first["next"]})
    assert problem(devices) == (400, "bad-cursor")


async def test_a_device_has_its_own_zone_and_calibration(service: Service) -> None:
    registry = service.registry
    assert registry is not None
    entries = [{"offset": 1.0}, {"since": "2026-02-01T00:00:00Z", "scale": 2.0, "polynomial": [0.0, 1.0]}]
    made = await service.client.post("/devices", json={"id": "d", "zone": "Asia/Tokyo", "calibration": {"t": entries}})
    assert made.json()["zone"] == "Asia/Tokyo"
    shown = await service.get("/devices/d")
    assert shown == made.json()
    assert [entry["since"][:10] for entry in shown["calibration"]["t"]] == ["1970-01-01", "2026-02-01"]
    changed = await service.client.patch("/devices/d", json={"calibration": {"u": shown["calibration"]["t"]}})
    assert list(changed.json()["calibration"]) == ["u"]
    assert (await service.client.patch("/devices/d", json={"zone": "Nowhere"})).status_code == 422
    [item] = await registry.outbox.pending(10)
    own = [
        Calibration(offset=1.0),
        Calibration(since=1_769_904_000_000_000_000, scale=2.0, polynomial=[0.0, 1.0]),
    ]
    assert item.record == DeviceRecord(
        1, "d", enabled=True, profile="default", zone="Asia/Tokyo", calibration={"u": own}
    )
    assert "calibration" not in (await service.get("/devices"))["items"][0]


async def test_what_a_device_says_of_itself_is_shown(service: Service) -> None:
    registry = service.registry
    assert registry is not None
    await service.client.post("/devices", json={"id": "d"})
    facts = {"model": "ST-2", "unit.temperature": "degC"}
    told = [Presence(1, "d", "described", 1, facts=facts), Presence(1, "d", "offline", 2, "the will")]
    await registry.take_presence(told, 1, 10)
    shown = await service.get("/devices/d")
    assert shown["facts"] == facts
    assert (shown["online"], shown["reason"]) == (False, "the will")
    changed = await service.client.patch("/devices/d", json={"name": "Still"})
    assert changed.json()["facts"] == facts
    listed = (await service.get("/devices"))["items"][0]
    assert "facts" not in listed
    assert listed["reason"] == "the will"


async def test_a_profile_that_is_put_is_what_was_asked(service: Service) -> None:
    registry = service.registry
    assert registry is not None
    await put(service, {"metrics": {"t": TEMPERATURE}, "message_rate": " 5:1 "})
    profile = await registry.profiles.get("orchard")
    assert profile is not None
    assert profile.metrics == {"t": Metric("number", "degC", -40.0, 85.0, [Calibration(offset=-0.5)])}
    assert profile.message_rate == "5:1"
    assert NewProfile(profile.metrics, message_rate="5:1") == NewProfile(
        **{name: getattr(profile, name) for name in vars(NewProfile())}
    )


ALERT = {"name": "too hot", "metric": "temperature", "operator": "gt", "value": 80, "for": "90s", "clear": 75}


async def test_each_change_makes_a_version_and_an_old_one_can_be_put_again(service: Service) -> None:
    first = {"zone": "UTC", "interval": 10, "alerts": [ALERT]}
    made = await put(service, first)
    assert (made.json()["version"], made.headers["ETag"]) == (1, '"1"')
    assert made.json()["alerts"] == [ALERT | {"for": "1m30s", "severity": "warning", "enabled": True}]
    assert (await put(service, {"keep_raw": True})).json()["version"] == 2
    assert (await put(service, {"keep_raw": True})).json()["version"] == 2, "it is put as it is"
    page = await service.get("/profiles/orchard/versions", limit=1)
    assert [item["version"] for item in page["items"]] == [2]
    page = await service.get("/profiles/orchard/versions", cursor=page["next"])
    assert page == {"items": [{"version": 1, "at": made.json()["updated"], "by": "root"}], "next": None}
    old = await service.get("/profiles/orchard/versions/1")
    assert old["content"] == {name: value for name, value in made.json().items() if name in old["content"]}
    assert (old["content"]["zone"], old["content"]["interval"]) == ("UTC", 10)
    again = await service.client.post("/profiles/orchard/versions/1/restore")
    assert (again.status_code, again.json()["version"]) == (200, 3)
    assert again.json() == made.json() | {"version": 3}
    assert (await put(service, old["content"])).json()["version"] == 3, "what is shown can be sent back"
    for path in ("/profiles/orchard/versions/9", "/profiles/other/versions/1"):
        assert problem(await service.client.get(path)) == (404, "unknown-version")
        assert problem(await service.client.post(f"{path}/restore")) == (404, "unknown-version")
    assert problem(await service.client.get("/profiles/other/versions")) == (404, "unknown-profile")


async def test_versions_outlast_their_profile_and_go_on_after_it(service: Service) -> None:
    await put(service, {"zone": "UTC"})
    await service.client.delete("/profiles/orchard")
    assert [item["version"] for item in (await service.get("/profiles/orchard/versions"))["items"]] == [1]
    restored = await service.client.post("/profiles/orchard/versions/1/restore")
    assert (restored.json()["zone"], restored.json()["version"]) == ("UTC", 2)


async def test_a_change_of_another_version_is_refused(service: Service) -> None:
    url = "/profiles/orchard"
    for match in ("*", '"1"'):
        refused = await service.client.put(url, json={}, headers={"If-Match": match})
        assert problem(refused) == (412, "stale"), "there is none yet"
    await put(service, {})
    for match in ("*", '"1"', '"7", "1"'):
        assert (await service.client.put(url, json={}, headers={"If-Match": match})).status_code == 200
    for match in ('"2"', 'W/"1"', '"x"'):
        refused = await service.client.put(url, json={"zone": "UTC"}, headers={"If-Match": match})
        assert problem(refused) == (412, "stale")
        assert problem(await service.client.delete(url, headers={"If-Match": match})) == (412, "stale")
    assert problem(await service.client.put(url, json={}, headers={"If-Match": "1"})) == (400, "bad-if-match")
    assert (await service.client.delete(url, headers={"If-Match": '"1"'})).status_code == 204


@each(
    "alerts",
    [
        [ALERT, ALERT],
        [ALERT | {"clear": 81}],
        [ALERT | {"operator": "near"}],
        [ALERT | {"for": "soon"}],
        [ALERT | {"selector": {"profile": "orchard"}}],
        [ALERT | {"metric": "valve"}],
        [ALERT | {"name": str(n)} for n in range(51)],
    ],
)
async def test_alerts_that_could_not_be_rules_are_refused(service: Service, alerts: list[object]) -> None:
    body = {"metrics": {"valve": {"type": "boolean"}}, "alerts": alerts}
    assert problem(await put(service, body)) == (422, "invalid-request")
