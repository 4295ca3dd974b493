"""Messages that are made to harm: each harms itself alone."""

import pytest

from contracts.devices import DeviceRecord
from tests.unit.ingest.test_pipeline import Ingest, after, running

HALVES_OF_A_PAIR = [
    ("devices/d/telemetry", rb'{"\ud800": 1}'),
    ("devices/d/telemetry", rb'{"ts": 1767225600000, "values": {"x\ud800": 1}}'),
    ("devices/d/telemetry", rb'{"ts": "\ud800", "values": {"x": 1}}'),
    ("devices/d/telemetry/m", rb'"\ud800"'),
    ("m/estate/c/shed", rb'[{"bn": "urn:dev:x:", "n": "t", "u": "\ud800", "v": 1}]'),
    ("v1/gateway/attributes", rb'{"d": {"\ud800": "x", "fw": "\ud800"}}'),
    ("v1/gateway/telemetry", rb'{"\ud800": [{"a": 1}]}'),
    (
        "homeassistant/binary_sensor/shed/door/config",
        rb"""{"stat_t": "shed/door", "pl_on": "\ud800", "uniq_id": "a", "dev": {"ids": ["d"], "name": "\ud800"},
        "val_tpl": "{{ value_json['\ud800'] }}"}""",
    ),
    ("tasmota/discovery/AABBCCDDEEFF/config", rb'{"t": "loft", "dn": "\ud800", "mac": "AABBCCDDEEFF"}'),
    ("zigbee2mqtt/bridge/devices", rb'[{"ieee_address": "0x0a", "friendly_name": "\ud800"}]'),
    ("homie/d/$state", rb"\ud800"),
]


@pytest.mark.parametrize(("topic", "payload"), HALVES_OF_A_PAIR)
async def test_half_a_surrogate_pair_holds_nothing_up(topic: str, payload: bytes) -> None:
    async with running(Ingest()) as ingest:
        ingest.records["d"] = DeviceRecord(1, "d", enabled=True, profile="")
        ingest.take(topic, payload, 1)
        ingest.take("devices/good/telemetry", b'{"n": 2}', 2)
        await after(ingest)
        assert ingest.acknowledged == [1, 2]
        assert {"n": 2.0} in [reading.values for reading in ingest.disk.readings]


async def test_a_cycle_that_could_not_be_finished_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    ingest = Ingest()
    ingest.take("homie/d/n/p/$unit", b"V", 1)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("ingest.parts.Parts.finish", fail)
        with pytest.raises(ZeroDivisionError):
            await ingest.pipeline.run(ingest.disk.write, ingest.acknowledge)
    async with running(ingest):
        await after(ingest)
    assert ingest.acknowledged == [1]
    assert ingest.disk.on("$KV.ingest_memory.homie."), "neither is what it taught"
