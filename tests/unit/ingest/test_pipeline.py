import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.devices import DeviceRecord, Metric
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.readings import READING_BATCH, Reading
from contracts.streams import partition_of
from ingest import table
from ingest.admit import Admission
from ingest.context import Context
from ingest.cycle import Outgoing
from ingest.descriptions import Descriptions
from ingest.limits import MOST_PAYLOAD, Limits
from ingest.metrics import Metrics
from ingest.outcomes import Arrival
from ingest.parts import Parts
from ingest.patience import Patience
from ingest.pipeline import Pipeline
from ingest.rates import RateLimits
from ingest.routes import Routes
from ingest.table import Row

NOW = 1_767_225_700_000_000_000


class Disk:
    """A stream that can be away; it has what it acknowledged."""

    def __init__(self) -> None:
        self.there = asyncio.Event()
        self.there.set()
        self.cycles: list[list[Outgoing]] = []

    async def write(self, outgoing: list[Outgoing]) -> None:
        await self.there.wait()
        self.cycles.append(outgoing)

    def on(self, subject: str) -> list[bytes]:
        return [body for cycle in self.cycles for where, body in cycle if where.startswith(subject)]

    @property
    def readings(self) -> list[Reading]:
        return [reading for body in self.on("telemetry.") for reading in READING_BATCH.decode(body).readings]

    @property
    def letters(self) -> list[DeadLetter]:
        return [DEAD_LETTER.decode(body) for body in self.on("deadletters.")]

    @property
    def presences(self) -> list[Presence]:
        return [PRESENCE_MESSAGE.decode(body) for body in self.on("presence.")]


class Ingest:
    """The pipeline between a broker and a stream that are not there."""

    def __init__(
        self,
        *,
        register: bool = True,
        window: int = 100,
        batch_readings: int = 500,
        patience: float = 1.0,
        limits: Limits | None = None,
        rows: Sequence[Row] = (),
    ) -> None:
        self.records: dict[str, DeviceRecord] = {}
        self.disk = Disk()
        self.metrics = Metrics()
        self.acknowledged: list[object] = []
        self.told: list[tuple[str, Reason]] = []
        self.requests: list[tuple[str, bytes]] = []
        admission = Admission(self.records.get, RateLimits(), register=register)
        self.descriptions = Descriptions(lambda device: device in self.records)
        self.patience = Patience(patience)
        self.context = Context(limits or Limits(), self.records.get)
        self.pipeline = Pipeline(
            Routes([*rows, *table.built_in()], 300_000_000_000),
            self.context,
            admission,
            Parts(
                admission,
                self.descriptions,
                lambda device, reason, _, __: self.told.append((device, reason)),
                lambda topic, payload: self.requests.append((topic, payload)),
            ),
            self.patience,
            self.metrics,
            window=window,
            linger=0.0,
            batch_readings=batch_readings,
        )
        self.pipeline.divide(16)

    async def acknowledge(self, receipts: list[object]) -> None:
        self.acknowledged += receipts

    def take(self, topic: str, payload: bytes, receipt: object = "", *, retained: bool = False) -> None:
        self.pipeline.take(Arrival(topic, payload, NOW, retained), receipt)

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"ingest_{name}_total", labels) or 0.0


@contextlib.asynccontextmanager
async def running(ingest: Ingest) -> AsyncIterator[Ingest]:
    task = asyncio.create_task(ingest.pipeline.run(ingest.disk.write, ingest.acknowledge))
    ingest.patience.begin()
    try:
        yield ingest
    finally:
        ingest.patience.end()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def after(ingest: Ingest) -> None:
    async with asyncio.timeout(30):
        await ingest.pipeline.drained()


async def test_readings_are_batched_by_partition_in_the_order_of_arrival() -> None:
    async with running(Ingest()) as ingest:
        for number in range(40):
            ingest.take(f"devices/d{number % 4}/telemetry", b'{"n": %d}' % number, number)
        await after(ingest)
        assert ingest.acknowledged == list(range(40))
        for body in ingest.disk.on("telemetry."):
            batch = READING_BATCH.decode(body)
            assert {partition_of(reading.device, 16) for reading in batch.readings} == {batch.partition}
        for device in range(4):
            sent = [r.values["n"] for r in ingest.disk.readings if r.device == f"d{device}"]
            assert sent == [float(n) for n in range(40) if n % 4 == device]
        assert ingest.counted("messages", outcome="stored", reason="") == 40
        assert ingest.counted("readings_stored") == 40


async def test_nothing_is_acknowledged_while_the_stream_is_away() -> None:
    async with running(Ingest()) as ingest:
        ingest.disk.there.clear()
        ingest.take("devices/d/telemetry", b'{"n": 1}', 1)
        await asyncio.sleep(0.01)
        ingest.take("devices/d/telemetry", b'{"n": 2}', 2)
        await asyncio.sleep(0.01)
        assert (ingest.acknowledged, ingest.pipeline.held) == ([], 2)
        ingest.disk.there.set()
        await after(ingest)
        assert (ingest.acknowledged, ingest.pipeline.held) == ([1, 2], 0)


async def test_what_is_collected_while_the_stream_writes_is_one_cycle() -> None:
    async with running(Ingest()) as ingest:
        ingest.disk.there.clear()
        ingest.take("devices/d/telemetry", b'{"n": 0}')
        await asyncio.sleep(0.01)
        for number in range(1, 30):
            ingest.take("devices/d/telemetry", b'{"n": %d}' % number)
            await asyncio.sleep(0)
        ingest.disk.there.set()
        await after(ingest)
        assert [len(cycle) for cycle in ingest.disk.cycles] == [2, 1], "the first has the announcement too"


async def test_when_the_window_is_full_room_waits_for_the_stream() -> None:
    async with running(Ingest(window=10)) as ingest:
        ingest.disk.there.clear()
        for number in range(10):
            assert not ingest.pipeline.full
            ingest.take("devices/d/telemetry", b'{"n": 1}', number)
        assert ingest.pipeline.full
        waiting = asyncio.create_task(ingest.pipeline.room())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        ingest.disk.there.set()
        await asyncio.wait_for(waiting, 5)
        assert ingest.acknowledged == list(range(10))


async def test_a_cycle_that_failed_is_written_again() -> None:
    ingest = Ingest()
    ingest.take("devices/d/telemetry", b'{"n": 1}', 1)

    async def fail(_: list[Outgoing]) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        await ingest.pipeline.run(fail, ingest.acknowledge)
    assert ingest.acknowledged == []
    async with running(ingest):
        await until(lambda: ingest.acknowledged == [1])
    assert [reading.values for reading in ingest.disk.readings] == [{"n": 1.0}]
    assert ingest.counted("readings_stored") == 1


async def test_large_batches_are_divided() -> None:
    async with running(Ingest(batch_readings=3, window=1000)) as ingest:
        for number in range(7):
            ingest.take("devices/d/telemetry", b'{"n": %d}' % number)
        await after(ingest)
        assert [len(READING_BATCH.decode(body).readings) for body in ingest.disk.on("telemetry.")] == [3, 3, 1]
        text = b'{"t": "%s"}' % (b"x" * 8_000)
        for _ in range(3 * 300):
            ingest.take("devices/d/telemetry", text)
        await after(ingest)
        assert all(len(body) < 5 << 20 for body in ingest.disk.on("telemetry."))
        assert len(ingest.disk.readings) == 907


async def test_malformed_input_becomes_a_dead_letter_and_is_acknowledged() -> None:
    async with running(Ingest()) as ingest:
        ingest.take("devices/d/telemetry", b'{"n": 1}', 1)
        ingest.take("devices/d/telemetry", b"\xff{", 2)
        ingest.take("devices/d/telemetry", b'{"n": 3}', 3)
        await after(ingest)
        assert ingest.acknowledged == [1, 2, 3]
        assert [reading.values["n"] for reading in ingest.disk.readings] == [1.0, 3.0]
        [letter] = ingest.disk.letters
        assert (letter.reason, letter.topic, letter.payload) == (Reason.MALFORMED, "devices/d/telemetry", b"\xff{")
        assert (letter.device, letter.received, letter.service) == ("d", NOW, "ingest")
        assert ingest.disk.on("deadletters.malformed")
        assert ingest.counted("messages", outcome="rejected", reason="malformed") == 1
        assert ingest.counted("dead_letters", reason="malformed") == 1


async def test_a_bad_value_is_a_dead_letter_beside_the_rest_of_its_message() -> None:
    async with running(Ingest()) as ingest:
        ingest.take("devices/d/telemetry", b'{"good": 1, "bad": NaN, "none": null}')
        await after(ingest)
        assert [reading.values for reading in ingest.disk.readings] == [{"good": 1.0}]
        [letter] = ingest.disk.letters
        assert letter.reason == Reason.BAD_VALUE
        assert "'bad'" in letter.detail
        assert ingest.counted("messages", outcome="stored", reason="bad_value") == 1
        assert ingest.counted("left_out", reason="no_value") == 1


async def test_an_exception_nobody_foresaw_is_a_dead_letter_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async with running(Ingest()) as ingest:
        with monkeypatch.context() as patch:
            patch.setattr("ingest.formats.json._usual", fail)
            ingest.take("devices/d/telemetry", b'{"n": 1}', 1)
        ingest.take("devices/d/telemetry", b'{"n": 2}', 2)
        await after(ingest)
        [letter] = ingest.disk.letters
        assert letter.reason == Reason.UNEXPECTED
        assert "ZeroDivisionError" in letter.detail
        assert ingest.acknowledged == [1, 2]
        assert len(ingest.disk.readings) == 1


async def test_unknown_devices_are_quarantined() -> None:
    async with running(Ingest(register=False)) as ingest:
        ingest.records["known"] = DeviceRecord(1, "known", enabled=True, profile="")
        ingest.records["off"] = DeviceRecord(1, "off", enabled=False, profile="")
        for device in ("known", "off", "new"):
            ingest.take(f"devices/{device}/telemetry", b'{"n": 1}')
            ingest.take(f"devices/{device}/status", b"online")
        await after(ingest)
        assert [reading.device for reading in ingest.disk.readings] == ["known"]
        assert [(letter.device, letter.reason) for letter in ingest.disk.letters] == [
            ("off", Reason.DEVICE_DISABLED),
            ("new", Reason.UNKNOWN_DEVICE),
        ]
        assert {(p.device, p.state) for p in ingest.disk.presences} == {("known", "online"), ("off", "online")}
        assert ingest.counted("messages", outcome="ignored", reason="unknown_device") == 1


async def test_unknown_devices_are_stored_and_announced_where_they_register() -> None:
    async with running(Ingest()) as ingest:
        for _ in range(3):
            ingest.take("devices/new/telemetry", b'{"n": 1}')
        ingest.take("devices/newer/telemetry", b"{}")
        await after(ingest)
        assert len(ingest.disk.readings) == 3
        assert ingest.disk.presences == [Presence(1, "new", "seen", NOW)]


async def test_status_becomes_presence_also_when_it_was_retained() -> None:
    async with running(Ingest()) as ingest:
        ingest.take("devices/d/status", b"online", retained=True)
        ingest.take("devices/d/status", b"offline")
        ingest.take("devices/d/status", b"")
        ingest.take("devices/d/status", b"sleeping")
        await after(ingest)
        assert ingest.disk.presences == [Presence(1, "d", "online", NOW), Presence(1, "d", "offline", NOW)]
        assert [letter.reason for letter in ingest.disk.letters] == [Reason.MALFORMED]
        assert ingest.counted("messages", outcome="ignored", reason="presence") == 2
        assert ingest.counted("messages", outcome="ignored", reason="empty") == 1


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("devices/d/telemetry", b"", "empty"),
        ("devices/d/telemetry", b'{"a": null}', "no_value"),
        ("devices/d/telemetry/m", b"", "empty"),
        ("telemetry.3", b"\x93", "unsupported"),
    ],
)
async def test_what_makes_no_reading_and_should_not_is_ignored(topic: str, payload: bytes, reason: str) -> None:
    async with running(Ingest()) as ingest:
        ingest.take(topic, payload, 1)
        await after(ingest)
        assert ingest.acknowledged == [1]
        assert ingest.disk.cycles == [[]]
        assert ingest.counted("messages", outcome="ignored", reason=reason) == 1


async def test_a_retained_reading_without_a_time_is_ignored_and_counted() -> None:
    async with running(Ingest()) as ingest:
        ingest.take("devices/d/telemetry", b'{"a": 1}', retained=True)
        await after(ingest)
        assert ingest.counted("messages", outcome="ignored", reason="retained_untimed") == 1
        assert ingest.counted("left_out", reason="retained_untimed") == 1


async def test_a_wrong_clock_is_counted() -> None:
    async with running(Ingest()) as ingest:
        ingest.take("devices/d/telemetry", b'{"ts": 5, "values": {"a": 1}}')
        await after(ingest)
        assert [(r.ts, r.flags) for r in ingest.disk.readings] == [(NOW, {"clock": "5"})]
        assert ingest.counted("flagged_readings", flag="clock") == 1


async def test_a_rejected_payload_is_kept_up_to_a_limit() -> None:
    async with running(Ingest()) as ingest:
        ingest.take("devices/d/telemetry", b"x" * (MOST_PAYLOAD + 1))
        await after(ingest)
        [letter] = ingest.disk.letters
        assert letter.reason == Reason.TOO_LARGE
        assert len(letter.payload) == MOST_PAYLOAD
        assert f"of its {MOST_PAYLOAD + 1} bytes" in letter.detail


async def test_a_bad_device_id_is_rejected() -> None:
    async with running(Ingest()) as ingest:
        ingest.take("devices//telemetry", b'{"n": 1}')
        await after(ingest)
        assert [(letter.reason, letter.detail) for letter in ingest.disk.letters] == [
            (Reason.BAD_DEVICE, "the device id is empty")
        ]


async def test_whoever_waits_for_a_message_hears_when_it_is_stored() -> None:
    async with running(Ingest()) as ingest:
        ingest.disk.there.clear()
        good, bad = asyncio.Event(), asyncio.Event()
        ingest.pipeline.take(Arrival("devices/d/telemetry", b'{"n": 1}', NOW), None, good)
        ingest.pipeline.reject(Arrival("replays", b"?", NOW), Reason.UNKNOWN_SCHEMA, "no known message", bad)
        await asyncio.sleep(0.01)
        assert not good.is_set()
        ingest.disk.there.set()
        async with asyncio.timeout(30):
            await good.wait()
            await bad.wait()
        assert [letter.reason for letter in ingest.disk.letters] == [Reason.UNKNOWN_SCHEMA]


async def test_a_decoder_that_does_not_come_to_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def loop(*_: object) -> None:
        while True:
            pass

    async with running(Ingest(patience=0.1)) as ingest:
        with monkeypatch.context() as patch:
            patch.setattr("ingest.formats.json._usual", loop)
            ingest.take("devices/d/telemetry", b'{"n": 1}', 1)
        ingest.take("devices/d/telemetry", b'{"n": 2}', 2)
        await after(ingest)
        [letter] = ingest.disk.letters
        assert (letter.reason, letter.payload, letter.decoder) == (Reason.TOO_SLOW, b'{"n": 1}', "auto")
        assert ingest.acknowledged == [1, 2]
        assert len(ingest.disk.readings) == 1


async def test_a_payload_that_is_too_large_is_rejected() -> None:
    async with running(Ingest()) as ingest:
        ingest.take("devices/d/telemetry", b" " * ((1 << 20) + 1))
        await after(ingest)
        [letter] = ingest.disk.letters
        assert letter.reason == Reason.TOO_LARGE
        assert "1048577 bytes long; 1048576 are allowed" in letter.detail
        assert ingest.told == [("d", Reason.TOO_LARGE)]


async def test_what_decoders_learn_is_written_with_the_message_that_taught_them() -> None:
    async with running(Ingest()) as ingest:
        ingest.context.memory.put("kind.name", Metric(unit="bar"))
        ingest.take("devices/d/telemetry", b'{"n": 1}')
        await after(ingest)
        assert ingest.disk.on("$KV.ingest_memory.kind.name") == [b'{"unit":"bar"}']


async def test_a_profile_makes_the_values_what_the_registry_wants_and_a_bad_one_loses_itself_alone() -> None:
    metrics = {"t": Metric(unit="degC", min=-40, max=85), "open": Metric(type="boolean"), "serial": Metric(type="text")}
    async with running(Ingest()) as ingest:
        ingest.records["d"] = DeviceRecord(1, "d", enabled=True, profile="p", metrics=metrics)
        ingest.take("devices/d/telemetry", b'{"t": 900, "open": "ON", "serial": "0123", "other": 5}')
        await after(ingest)
        [reading] = ingest.disk.readings
        assert reading.values == {"open": True, "serial": "0123", "other": 5.0}
        [letter] = ingest.disk.letters
        assert letter.reason == Reason.OUT_OF_RANGE
        assert ingest.counted("messages", outcome="stored", reason="out_of_range") == 1
        assert ingest.told == [("d", Reason.OUT_OF_RANGE)]


@pytest.mark.parametrize(
    ("metrics", "payload"),
    [
        ({}, b'{"t": 1}'),  # stored whole
        ({}, b'[{"t": 1}, {"t": 2}]'),
        ({"t": Metric()}, b'{"t": 1}'),
        ({"t": Metric("boolean")}, b'{"t": 1}'),  # changed by the profile
    ],
)
async def test_a_reading_names_the_profile_that_its_device_had_when_it_was_admitted(
    metrics: dict[str, Metric], payload: bytes
) -> None:
    async with running(Ingest()) as ingest:
        ingest.records["d"] = DeviceRecord(1, "d", enabled=True, profile="probe", metrics=metrics)
        ingest.take("devices/d/telemetry", payload)
        ingest.take("devices/stranger/telemetry", payload)
        await after(ingest)
        assert {(reading.device, reading.profile) for reading in ingest.disk.readings} == {
            ("d", "probe"),
            ("stranger", "default"),
        }


async def test_what_a_device_sends_beyond_its_rate_is_counted_and_told_to_it() -> None:
    async with running(Ingest()) as ingest:
        ingest.records["d"] = DeviceRecord(1, "d", enabled=True, profile="", message_rate="2:60")
        for number in range(5):
            ingest.take("devices/d/telemetry", b'{"n": %d}' % number, number)
        await after(ingest)
        assert [reading.values["n"] for reading in ingest.disk.readings] == [0.0, 1.0]
        assert ingest.disk.letters == []
        assert ingest.counted("messages", outcome="rejected", reason="rate_limited") == 3
        assert ingest.told == [("d", Reason.RATE_LIMITED)] * 3
        assert ingest.acknowledged == list(range(5))


async def test_a_replayed_message_that_no_route_takes_any_more_is_a_dead_letter_again() -> None:
    async with running(Ingest()) as ingest:
        stored = asyncio.Event()
        ingest.pipeline.take(Arrival("once/routed", b"{}", NOW, replayed=True), None, stored)
        await after(ingest)
        assert stored.is_set()
        [letter] = ingest.disk.letters
        assert (letter.topic, letter.payload, letter.received) == ("once/routed", b"{}", NOW)
        assert "no route takes its topic now" in letter.detail
        assert ingest.counted("messages", outcome="rejected", reason="malformed") == 1


async def test_a_replay_whose_device_has_another_id_by_now_is_not_passed_over() -> None:
    async with running(Ingest()) as ingest:
        replay = Arrival("v1/gateway/telemetry", b'{"new": [{"n": 1}]}', NOW, replayed=True, about="old")
        ingest.pipeline.take(replay, None)
        both = Arrival(
            "v1/gateway/telemetry", b'{"new": [{"n": 2}], "old": [{"n": 3}]}', NOW, replayed=True, about="old"
        )
        ingest.pipeline.take(both, None)
        await after(ingest)
        assert {(reading.device, reading.values["n"]) for reading in ingest.disk.readings} == {
            ("new", 1.0),
            ("old", 3.0),
        }
