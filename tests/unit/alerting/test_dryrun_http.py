"""Dry runs over HTTP, without a socket; history is given, or kept in memory."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import httpx

from alerting.dryrun.history import GivenHistory, History
from alerting.web.api import build
from contracts.devices import DeviceRecord
from contracts.readings import Reading
from contracts.times import SECOND, format_time
from tests.unit.alerting.web_service import KEY, NOW, RULE, Web

RECORDS = {name: DeviceRecord(1, name, True, "pump", {"site": name[0]}) for name in ("a1", "a2", "b1")}  # noqa: FBT003
HISTORY = [
    Reading(device, NOW + n * 10 * SECOND, 0, {"temperature": 31.0 if n % 4 else 20.0})
    for device in RECORDS
    for n in range(20)
]
WEEK = {"start": format_time(NOW), "end": format_time(NOW + 7 * 86_400 * SECOND)}


def asking(web: Web, stored: History | None, times: Iterable[int] = ()) -> httpx.AsyncClient:
    clock = iter(times)
    parts = replace(
        web.parts,
        history=stored,
        devices=lambda: RECORDS,
        record=RECORDS.get,
        now=lambda: NOW + next(clock, 0) * SECOND,
    )
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(build(parts)),
        base_url="http://test/api/v1/rules",
        headers={"Authorization": f"Bearer {KEY}"},
    )


async def ran(web: Web, stored: History | None = None, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON
    async with asking(web, stored) as client:
        answer = await client.post("/dry-run", json=WEEK | body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_rule_is_run_over_what_is_stored(web: Web) -> None:
    rule = RULE | {"selector": {"tags": {"site": "a"}}, "flapping": {"changes": 0}}
    found = await ran(web, GivenHistory(HISTORY), rule=rule)
    assert {name: found[name] for name in ("selected", "devices", "events", "alerts", "firing_seconds", "cut")} == {
        "selected": 2,
        "devices": 2,
        "events": 40,
        "alerts": 10,
        "firing_seconds": 8 * 30 + 2 * (7 * 86_400 - 170),
        "cut": [],
    }
    one = found["timeline"][0]
    assert (one["device"], one["open"], one["changed"]) == ("a1", "firing", 9)
    assert one["changes"][0] == {
        "at": format_time(NOW + 10 * SECOND),
        "what": "firing",
        "state": "firing",
        "level": 1,
        "severity": "warning",
        "value": 31.0,
        "no_data": False,
        "reason": None,
    }
    few = await ran(web, GivenHistory(HISTORY), rule=rule, max_devices=1, max_changes=3)
    assert (len(few["timeline"]), len(few["timeline"][0]["changes"]), few["cut"]) == (1, 3, ["devices", "changes"])


async def test_a_rule_that_is_there_is_run_also_if_it_is_disabled(web: Web) -> None:
    await web.client.put("/api/v1/rules/hot", json=RULE | {"enabled": False})
    assert (await ran(web, GivenHistory(HISTORY), rule_id="hot"))["alerts"] > 0


async def test_a_rule_is_run_over_what_is_sent(web: Web) -> None:
    readings = [
        {"device": device, "ts": WEEK["start"], "values": {"temperature": 31, "on": True}} for device in ("a1", "new")
    ]
    found = await ran(web, readings=readings, rule={"name": "r", "kind": "condition", "condition": "temperature > 30"})
    assert [one["device"] for one in found["timeline"]] == ["a1", "new"]


async def test_a_run_that_takes_too_long_is_cut_off(web: Web) -> None:
    async with asking(web, GivenHistory(HISTORY), [0, 0, 1, 21]) as client:
        answer = await client.post("/dry-run", json=WEEK | {"rule": RULE})
    assert (answer.json()["devices"], answer.json()["cut"]) == (1, ["time"])


async def test_what_cannot_be_run_is_refused_with_the_reason(web: Web) -> None:
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"rule": RULE}, 503, "ALERTING_DEVICES_API_URL is not set"),
        ({}, 422, "give either rule or rule_id"),
        ({"rule": RULE, "end": WEEK["start"]}, 422, "end has to be after start"),
        ({"rule": RULE, "readings": [{"device": "a/b", "ts": 1, "values": {"x": 1}}]}, 422, "contains one of / +"),
        ({"rule": {"name": "g", "kind": "group", "of": "hot", "value": 3}}, 422, "run that one"),
        ({"rule_id": "cold"}, 404, "There is no rule 'cold'"),
    ]
    async with asking(web, None) as client:
        for body, status, says in cases:
            answer = await client.post("/dry-run", json=WEEK | body)
            assert answer.status_code == status, body
            assert says in answer.text
