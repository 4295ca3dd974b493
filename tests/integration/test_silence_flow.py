"""Devices that fall silent, from the broker to the alert: what is told, and what is not told while we are away."""

import time
from pathlib import Path

import pytest

from alerting import groupwork
from alerting.partitions import clock
from contracts.devices import DeviceRecord, ProfileRecord, encode_record, kv_key, profile_key
from ingest import app as ingest_app
from ingest import watermark
from tests.conftest import Server, mosquitto_broker
from tests.integration.alerting_service import Bench, benching, receiving, until
from tests.integration.ingest_service import device, ingest, publish, settings

INTERVAL_S = 0.6
VATS = ("vat-1", "vat-2", "vat-3")
SILENT: dict[str, object] = {"name": "silent", "kind": "absence", "selector": {"profile": "vat"}}


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watermark, "LEAST_NS", 300_000_000)
    monkeypatch.setattr(ingest_app, "EVERY_S", 0.1)
    monkeypatch.setattr(clock, "_LOOK_S", 0.1)
    monkeypatch.setattr(groupwork, "EVERY_S", 0.1)


async def put_rule(bench: Bench, rule_id: str, content: dict[str, object]) -> None:
    answer = await bench.client.put(f"/api/v1/rules/{rule_id}", json=content)
    assert answer.is_success, answer.text


async def firing(bench: Bench) -> set[str]:
    """Name the devices, and groups, that have an alert that fires."""
    return {one["device"] or one["group"] for one in await bench.alerts(state="firing")}


async def test_a_group_that_falls_silent_is_one_alert_more_and_silence_that_is_ours_is_none(
    stream: Server, tmp_path: Path
) -> None:
    with mosquitto_broker(tmp_path) as broker, receiving() as receiver:
        async with benching(stream, tmp_path, receiver) as bench, device(broker) as client:
            await bench.connect()
            await bench.devices.put(profile_key("vat"), encode_record(ProfileRecord(1, "vat", interval=INTERVAL_S)))
            for vat in VATS:
                record = DeviceRecord(1, vat, enabled=True, profile="vat", groups=["cellar"])
                await bench.devices.put(kv_key(vat), encode_record(record))
            async with bench.service():
                await put_rule(bench, "silent", SILENT)
                outage: dict[str, object] = {"kind": "group", "of": "silent", "measure": "share", "by": "group"}
                outage |= {"name": "outage", "operator": "ge", "value": 1.0, "selector": {"groups": ["cellar"]}}
                await put_rule(bench, "outage", outage)
                given = settings(stream, broker, unknown_device="quarantine")
                await _nothing_more(bench, [], 3.5 * INTERVAL_S)  # without ingest nobody can know
                async with ingest(given):
                    await until(lambda: _is(bench, {*VATS, "cellar"}))
                    while await firing(bench) != {"vat-2", "vat-3"}:  # it goes on sending until that is seen
                        await publish(client, "devices/vat-1/telemetry/level", b"1.5")
                before = await bench.alerts()
                await publish(client, "devices/vat-1/telemetry/level", b"1.5")
                await _nothing_more(bench, before, 3.5 * INTERVAL_S)
                async with ingest(given):
                    await until(lambda: _is(bench, {*VATS, "cellar"}))
                history = [(one["device"] or one["group"], one["state"]) for one in await bench.alerts()]
                assert sorted(history) == [
                    ("cellar", "firing"),
                    ("cellar", "resolved"),
                    ("vat-1", "firing"),
                    ("vat-1", "resolved"),
                    ("vat-2", "firing"),
                    ("vat-3", "firing"),
                ]


async def _is(bench: Bench, wanted: set[str]) -> bool:
    return await firing(bench) == wanted


async def _nothing_more(bench: Bench, before: list[dict[str, object]], seconds: float) -> None:
    """Look at the alerts for as long as it would take one to fire."""
    known = {one["id"] for one in before}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert {one["id"] for one in await bench.alerts(state="firing")} <= known
