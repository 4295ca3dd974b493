"""Messages that are made to harm: each harms itself alone."""

from collections.abc import Sequence

import pytest

from contracts import streams
from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.readings import Reading
from ingest.cycle import BATCH_BYTES, Cycle
from ingest.limits import Limits
from ingest.outcomes import Decoded
from ingest.parts import MOST_REFUSED
from ingest.pipeline import CYCLE_BYTES
from ingest.table import Row
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


async def test_a_decoder_that_holds_on_to_everything_raised_in_it_is_ended_even_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given_up = 0

    def stubborn(*_: object) -> Decoded:
        nonlocal given_up
        while True:
            try:
                while True:
                    pass
            except BaseException:  # as some library may
                given_up += 1
                if given_up > 1:
                    raise

    async with running(Ingest(patience=0.05)) as ingest:
        with monkeypatch.context() as patch:
            patch.setattr("ingest.formats.json._usual", stubborn)
            ingest.take("devices/d/telemetry", b'{"n": 1}', 1)
        ingest.take("devices/d/telemetry", b'{"n": 2}', 2)
        await after(ingest)
        assert ingest.acknowledged == [1, 2]
        assert [letter.reason for letter in ingest.disk.letters] == [Reason.TOO_SLOW]


async def test_what_was_decoded_is_taken_whole_however_long_that_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    add = Cycle.add

    def slow(self: Cycle, partition: int, readings: Sequence[Reading]) -> None:
        add(self, partition, readings)
        for _ in range(5_000_000):
            pass

    async with running(Ingest(patience=0.02)) as ingest:
        monkeypatch.setattr(Cycle, "add", slow)
        ingest.take("devices/d/telemetry", b'{"n": 1, "none": null}', 1)
        await after(ingest)
        assert ingest.acknowledged == [1]
        assert ingest.disk.letters == []
        assert ingest.counted("messages", outcome="stored", reason="") == 1


async def test_of_thousands_of_devices_in_a_message_that_may_not_send_few_are_told() -> None:
    devices = b",".join(b'"d%d": [{"a": 1}]' % number for number in range(10_000))
    async with running(Ingest(register=False)) as ingest:
        ingest.take("v1/gateway/telemetry", b"{%b}" % devices, 1)
        await after(ingest)
        assert len(ingest.told) == MOST_REFUSED
        assert len(ingest.disk.letters) == 1


async def test_a_reading_that_is_larger_than_the_stream_takes_is_written_in_parts() -> None:
    limits = Limits(payload_bytes=4 << 20, metrics=10_000, name_bytes=1_024, points=100_000)
    name = "n" * 1_000
    elements = b",".join(
        b'{"ts": 1767225600000, "values": {"%b": {%b}}}'
        % (b"%03d%b" % (part, name.encode()), b",".join(b'"%04d": %d' % (at, at) for at in range(400)))
        for part in range(25)
    )
    async with running(Ingest(limits=limits)) as ingest:
        ingest.take("devices/d/telemetry", b"[%b]" % elements, 1)
        await after(ingest)
        bodies = ingest.disk.on("telemetry.")
        assert sum(map(len, bodies)) > streams.MAX_PAYLOAD
        assert all(len(body) <= BATCH_BYTES for body in bodies)
        values = [item for reading in ingest.disk.readings for item in reading.values.items()]
        assert len(values) == len(dict(values)) == 10_000
        assert {reading.ts for reading in ingest.disk.readings} == {1_767_225_600_000_000_000}


@pytest.mark.parametrize("wide", ["#", "devices/#", "devices/+/+", "devices/still-2/errors"])
async def test_what_a_device_is_told_of_its_errors_is_no_reading_of_it(wide: str) -> None:
    async with running(Ingest(rows=[Row("mine", [wide], "json", "{2}")])) as ingest:
        ingest.take("devices/still-2/errors", b'{"reason": "bad_value", "received": 1767225600250}', 1)
        ingest.take("devices/still-2/other", b'{"n": 1}', 2)
        await after(ingest)
        assert [reading.values for reading in ingest.disk.readings] in ([{"n": 1.0}], [])
        assert ingest.counted("messages", outcome="ignored", reason="unsupported") >= 1
        assert ingest.told == []


async def test_what_flattening_multiplies_counts_towards_what_is_held() -> None:
    leaves = b",".join(b'"%d":1' % number for number in range(900))
    payload = b'{"%b":{%b}}' % (b"n" * 240, leaves)
    async with running(Ingest(window=10_000)) as ingest:
        ingest.disk.there.clear()
        taken = 0
        while not ingest.pipeline.full:
            ingest.take("devices/d/telemetry", payload, taken)
            taken += 1
        assert taken * 900 * 240 < 2 * CYCLE_BYTES, "of the names alone"
        ingest.disk.there.set()
        await after(ingest)
        assert ingest.acknowledged == list(range(taken))
