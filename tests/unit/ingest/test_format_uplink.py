"""What devices tell that is no reading: passed on byte by byte, from whom may send it."""

import pytest

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.streams import partition_of
from contracts.uplink import UPLINK_MESSAGE, Uplink
from ingest.outcomes import Arrival, Ignored
from ingest.routes import Routes
from ingest.table import Row, built_in
from tests.unit.ingest.decoding import NOW, Ingest, decode, refused
from tests.unit.ingest.test_pipeline import Ingest as Pipeline
from tests.unit.ingest.test_pipeline import after, running

REPORTED = "devices/still-4/reported"
RESPONSE = "devices/still-4/commands/c-19/response"
PROVISION = "provision/9b1c44/request"


@pytest.mark.parametrize(
    ("topic", "device", "kind"),
    [(REPORTED, "still-4", "reported"), (RESPONSE, "still-4", "response"), (PROVISION, "", "provision")],
)
@pytest.mark.parametrize("payload", [b'{"a": 1}', b"\xff\x00", b"null"])
def test_a_message_is_passed_on_as_it_came(topic: str, device: str, kind: str, payload: bytes) -> None:
    uplink = decode(topic, payload).uplink
    assert uplink is not None
    assert (uplink.device, uplink.kind, uplink.topic, uplink.payload) == (device, kind, topic, payload)
    assert uplink.received == NOW


def test_what_is_retained_tells_the_state_still_but_asks_for_nothing() -> None:
    assert decode(REPORTED, b"{}", retained=True).uplink is not None
    assert decode(RESPONSE, b"{}", retained=True).uplink is not None
    assert decode(PROVISION, b"{}", retained=True).ignored is Ignored.RETAINED_UNTIMED


def test_only_an_answer_may_be_empty() -> None:
    assert decode(RESPONSE, b"").uplink is not None
    assert decode(REPORTED, b"").ignored is Ignored.EMPTY
    assert decode(PROVISION, b"").ignored is Ignored.EMPTY


def test_a_nonce_and_a_command_are_as_short_as_a_device_id() -> None:
    refused(decode(f"provision/{'x' * 257}/request", b"{}"), Reason.MALFORMED, "nonce", "longer")
    refused(decode("devices/a/commands//response", b"{}"), Reason.MALFORMED, "command", "empty")


def test_a_row_of_ones_own_may_name_other_topics() -> None:
    rows = [Row("twins", ["acme/+/twin"], "uplink", "{2}")]
    uplink = Ingest(rows).decode("acme/p-1/twin", b"{}").uplink
    assert uplink is not None
    assert (uplink.device, uplink.kind) == ("p-1", "reported")


def test_what_devices_are_told_is_not_read_back_however_wide_a_filter() -> None:
    routes = Routes([Row("all", ["devices/#", "provision/#"], "json", "{2}"), *built_in()], 0)
    for topic in ("devices/a/desired", "devices/a/commands/c-1", "provision/9b1c44/response", "devices/a/errors"):
        assert routes.of(Arrival(topic, b'{"a": 1}', NOW)) is None


def test_of_several_ingests_one_takes_what_replaces_what_was_said_before() -> None:
    routes = Routes(built_in(), 0)
    assert {"devices/+/reported", "devices/+/commands/+/response", "provision/+/request"} <= set(routes.ordered)
    assert "devices/+/telemetry" in routes.others


def uplinks(ingest: Pipeline) -> list[Uplink]:
    return [UPLINK_MESSAGE.decode(body) for body in ingest.disk.on("uplink.")]


async def test_it_is_acknowledged_in_turn_and_counted_as_stored() -> None:
    async with running(Pipeline()) as ingest:
        ingest.disk.there.clear()
        for number, topic in enumerate([REPORTED, "devices/still-4/telemetry/head", RESPONSE, PROVISION]):
            ingest.take(topic, b"7", number)
        assert ingest.acknowledged == []
        ingest.disk.there.set()
        await after(ingest)
        assert ingest.acknowledged == [0, 1, 2, 3]
        assert [uplink.topic for uplink in uplinks(ingest)] == [REPORTED, RESPONSE, PROVISION]
        subjects = [subject for cycle in ingest.disk.cycles for subject, _ in cycle if subject.startswith("uplink.")]
        assert subjects == [f"uplink.{partition_of(of, 16)}" for of in ("still-4", "still-4", "9b1c44")]
        assert ingest.counted("messages", outcome="stored", reason="") == 4
        assert ingest.counted("readings_stored") == 1


async def test_an_unknown_device_that_reports_is_registered_or_quarantined_as_one_that_sends_readings() -> None:
    async with running(Pipeline()) as ingest:
        ingest.take(REPORTED, b"{}")
        await after(ingest)
        assert [(presence.device, presence.state) for presence in ingest.disk.presences] == [("still-4", "seen")]
        assert len(uplinks(ingest)) == 1
    async with running(Pipeline(register=False)) as ingest:
        ingest.take(REPORTED, b"{}")
        ingest.take(PROVISION, b"{}")
        await after(ingest)
        assert [(x.reason, x.device, x.topic, x.payload) for x in ingest.disk.letters] == [
            ("unknown_device", "still-4", REPORTED, b"{}")
        ]
        assert [uplink.kind for uplink in uplinks(ingest)] == ["provision"]


async def test_what_a_disabled_device_tells_is_a_dead_letter() -> None:
    async with running(Pipeline()) as ingest:
        ingest.records["still-4"] = DeviceRecord(1, "still-4", enabled=False, profile="still")
        ingest.take(RESPONSE, b"{}")
        await after(ingest)
        assert [(x.reason, x.route, x.decoder) for x in ingest.disk.letters] == [
            ("device_disabled", "devices-response", "uplink")
        ]
        assert uplinks(ingest) == []


async def test_a_device_keeps_to_its_rate_with_whatever_it_tells() -> None:
    async with running(Pipeline()) as ingest:
        ingest.records["still-4"] = DeviceRecord(1, "still-4", enabled=True, profile="still", message_rate="2:60")
        for _ in range(3):
            ingest.take(REPORTED, b"{}")
        await after(ingest)
        assert len(uplinks(ingest)) == 2
        assert ingest.told == [("still-4", Reason.RATE_LIMITED)]
        assert ingest.counted("messages", outcome="rejected", reason="rate_limited") == 1


async def test_a_payload_that_is_too_large_is_a_dead_letter() -> None:
    async with running(Pipeline()) as ingest:
        ingest.take(PROVISION, b"x" * 65_537)
        ingest.take(REPORTED, b"x" * 65_537)
        await after(ingest)
        assert [x.reason for x in ingest.disk.letters] == ["too_large"]
        assert [uplink.kind for uplink in uplinks(ingest)] == ["reported"]
