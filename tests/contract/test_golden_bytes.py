"""Bytes that other versions of Sensorium have written: they must be read for as long as their version is supported.

A change that breaks one of these needs a new schema version beside the old one, not new bytes here.
"""

from typing import Any

import msgspec
import pytest

from contracts.activity import ACTIVITY_MESSAGE, MOST_DEVICES, Activity, Heard
from contracts.alerts import AlertEvent, Notification, common, encode_notification, read_notification
from contracts.computed import ComputedFailure, decode_failure, encode_failure, failure_key
from contracts.deadletters import DEAD_LETTER, DeadLetter
from contracts.deletions import DELETION, Deletion
from contracts.derived import DERIVED_BATCH, DerivedBatch, Window
from contracts.devices import (
    Calibration,
    DeviceRecord,
    Metric,
    ProfileRecord,
    Retention,
    decode_profile,
    decode_record,
    encode_record,
    kv_key,
    profile_key,
)
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.readings import READING_BATCH, Reading, ReadingBatch
from contracts.streams import MAX_PAYLOAD
from contracts.topics import MAX_DEVICE_ID
from contracts.uplink import UPLINK_MESSAGE, Uplink
from contracts.wire import SchemaError, Wire

TS = 1767225600250000000

GOLDEN: dict[str, tuple[Wire[Any], msgspec.Struct, str]] = {
    "reading_batch": (
        READING_BATCH,
        ReadingBatch(
            1,
            3,
            [
                Reading("orchard-07", TS, TS + 5, {"soil": 31.5, "open": True, "state": "idle"}),
                Reading("orchard-08", TS, TS, {"soil": -1.0}, {"clock": "45000"}),
            ],
        ),
        "9301039297aa6f7263686172642d3037cf18867251fce0b280cf18867251fce0b28583a4736f696ccb403f800000000000a46f70656ec3a57374617465a469646c6580a764656661756c74a097aa6f7263686172642d3038cf18867251fce0b280cf18867251fce0b28081a4736f696ccbbff000000000000081a5636c6f636ba53435303030a764656661756c74a0",
    ),
    "reading_batch of a profile": (
        READING_BATCH,
        ReadingBatch(1, 3, [Reading("orchard-07", TS, TS + 5, {"soil": 31.5}, profile="probe")]),
        "9301039197aa6f7263686172642d3037cf18867251fce0b280cf18867251fce0b28581a4736f696ccb403f80000000000080a570726f6265a0",
    ),
    "reading_batch of a route": (
        READING_BATCH,
        ReadingBatch(1, 3, [Reading("orchard-07", TS, TS + 5, {"soil": 31.5}, profile="probe", route="json")]),
        "9301039197aa6f7263686172642d3037cf18867251fce0b280cf18867251fce0b28581a4736f696ccb403f80000000000080a570726f6265a46a736f6e",
    ),
    "derived_batch": (
        DERIVED_BATCH,
        DerivedBatch(
            1,
            0,
            [
                Window("orchard-07", "probe", "soil", "1m", TS, TS + 60, 2, 2.0, 3.0, 0.5, 1.0, 2.0, 1.0),
                Window("orchard-07", "probe", "open", "1h", TS, TS + 3600, 2, last=True),
                Window("orchard-07", "probe", "state", "1d", TS, TS + 86400, 1, "idle"),
            ],
            [Reading("orchard-07", TS, TS + 5, {"dryness": 68.5}, profile="probe")],
        ),
        "940100939daa6f7263686172642d3037a570726f6265a4736f696ca2316dcf18867251fce0b280cf18867251fce0b2bc02cb4000000000000000cb4008000000000000cb3fe0000000000000cb3ff0000000000000cb4000000000000000cb3ff00000000000009daa6f7263686172642d3037a570726f6265a46f70656ea23168cf18867251fce0b280cf18867251fce0c09002c3c0c0c0c0c09daa6f7263686172642d3037a570726f6265a57374617465a23164cf18867251fce0b280cf18867251fce2040001a469646c65c0c0c0c0c09197aa6f7263686172642d3037cf18867251fce0b280cf18867251fce0b28581a76472796e657373cb405120000000000080a570726f6265a0",
    ),
    "presence": (
        PRESENCE_MESSAGE,
        Presence(1, "orchard-07", "online", TS),
        "9601aa6f7263686172642d3037a66f6e6c696e65cf18867251fce0b280a080",
    ),
    "uplink": (
        UPLINK_MESSAGE,
        Uplink(1, "orchard-07", "response", TS, "devices/orchard-07/commands/c-1/response", b"{\xff"),
        "9601aa6f7263686172642d3037a8726573706f6e7365cf18867251fce0b280d928646576696365732f6f7263686172642d30372f636f6d6d616e64732f632d312f726573706f6e7365c4027bff",
    ),
    "uplink without a device": (
        UPLINK_MESSAGE,
        Uplink(1, "", "provision", TS, "provision/5e0a/request", b"{}"),
        "9601a0a970726f766973696f6ecf18867251fce0b280b670726f766973696f6e2f356530612f72657175657374c4027b7d",
    ),
    "activity": (
        ACTIVITY_MESSAGE,
        Activity(1, TS, {"orchard-07": Heard(12, TS - 5), "orchard-08": Heard(1, TS)}),
        "9301cf18867251fce0b28082aa6f7263686172642d3037920ccf18867251fce0b27baa6f7263686172642d30389201cf18867251fce0b280",
    ),
    "deletion": (
        DELETION,
        Deletion(1, "5f2c", "orchard-07", ["soil"], TS, TS + 60, TS + 90, "grower"),
        "9801a435663263aa6f7263686172642d303791a4736f696ccf18867251fce0b280cf18867251fce0b2bccf18867251fce0b2daa667726f776572",
    ),
    "dead_letter": (
        DEAD_LETTER,
        DeadLetter(1, "malformed", "not JSON", "devices/orchard-07/telemetry", b"{\xff", TS, "ingest", "orchard-07"),
        "9d01a96d616c666f726d6564a86e6f74204a534f4ebc646576696365732f6f7263686172642d30372f74656c656d65747279c4027bffcf18867251fce0b280a6696e67657374aa6f7263686172642d3037c2a0a0a080",
    ),
}

OLDER = {
    "readings without a profile": (
        "reading_batch",
        "9301039295aa6f7263686172642d3037cf18867251fce0b280cf18867251fce0b28583a4736f696ccb403f800000000000a46f70656ec3a57374617465a469646c658095aa6f7263686172642d3038cf18867251fce0b280cf18867251fce0b28081a4736f696ccbbff000000000000081a5636c6f636ba53435303030",
    ),
    "readings without a route": (
        "reading_batch",
        "9301039296aa6f7263686172642d3037cf18867251fce0b280cf18867251fce0b28583a4736f696ccb403f800000000000a46f70656ec3a57374617465a469646c6580a764656661756c7496aa6f7263686172642d3038cf18867251fce0b280cf18867251fce0b28081a4736f696ccbbff000000000000081a5636c6f636ba53435303030a764656661756c74",
    ),
    "readings of a profile, without a route": (
        "reading_batch of a profile",
        "9301039196aa6f7263686172642d3037cf18867251fce0b280cf18867251fce0b28581a4736f696ccb403f80000000000080a570726f6265",
    ),
    "derived readings without a route": (
        "derived_batch",
        "940100939daa6f7263686172642d3037a570726f6265a4736f696ca2316dcf18867251fce0b280cf18867251fce0b2bc02cb4000000000000000cb4008000000000000cb3fe0000000000000cb3ff0000000000000cb4000000000000000cb3ff00000000000009daa6f7263686172642d3037a570726f6265a46f70656ea23168cf18867251fce0b280cf18867251fce0c09002c3c0c0c0c0c09daa6f7263686172642d3037a570726f6265a57374617465a23164cf18867251fce0b280cf18867251fce2040001a469646c65c0c0c0c0c09196aa6f7263686172642d3037cf18867251fce0b280cf18867251fce0b28581a76472796e657373cb405120000000000080a570726f6265",
    ),
    "presence without reason and facts": ("presence", "9401aa6f7263686172642d3037a66f6e6c696e65cf18867251fce0b280"),
    "dead letter without route, decoder, receiver and properties": (
        "dead_letter",
        "9901a96d616c666f726d6564a86e6f74204a534f4ebc646576696365732f6f7263686172642d30372f74656c656d65747279c4027bffcf18867251fce0b280a6696e67657374aa6f7263686172642d3037c2",
    ),
}


@pytest.mark.parametrize("written", OLDER)
def test_what_was_written_before_a_field_was_added_is_read(written: str) -> None:
    name, data = OLDER[written]
    wire, message, _ = GOLDEN[name]
    assert wire.decode(bytes.fromhex(data)) == message


@pytest.mark.parametrize("name", GOLDEN)
def test_a_message_has_the_bytes_it_has_always_had(name: str) -> None:
    wire, message, golden = GOLDEN[name]
    assert wire.encode(message).hex() == golden
    assert wire.decode(bytes.fromhex(golden)) == message


@pytest.mark.parametrize("name", GOLDEN)
def test_a_later_version_is_refused_by_name(name: str) -> None:
    wire, message, _ = GOLDEN[name]
    later = msgspec.msgpack.encode([2, *msgspec.to_builtins(message)[1:]])
    with pytest.raises(SchemaError, match="schema version 2"):
        wire.decode(later)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("data", [b"", b"\x00", b"\xc1", b"{}", b"\x91\x01", b"\x91\xff", b"\xa1\xff", b"\x95" * 2000])
def test_other_bytes_are_refused_and_nothing_else_is_raised(name: str, data: bytes) -> None:
    with pytest.raises(SchemaError):
        GOLDEN[name][0].decode(data)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_field_added_at_the_end_is_skipped_by_an_older_reader(name: str) -> None:
    wire, message, _ = GOLDEN[name]
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(wire.encode(message)), "new"])
    assert wire.decode(longer) == message


def test_a_number_that_msgpack_writes_as_an_integer_is_read_as_a_number() -> None:
    data = msgspec.msgpack.encode([1, 0, [["d", 1, 1, {"a": 5}, {}]]])
    value = READING_BATCH.decode(data).readings[0].values["a"]
    assert value == 5.0
    assert isinstance(value, float)


def test_a_device_record_is_json_that_a_person_can_read() -> None:
    record = DeviceRecord(1, "orchard-07", enabled=True, profile="pump", tags={"site": "north"}, groups=["a"])
    data = (
        b'{"schema_version":1,"id":"orchard-07","enabled":true,"profile":"pump","tags":{"site":"north"},"groups":["a"]}'
    )
    assert encode_record(record) == data
    assert decode_record(data) == record


def test_a_device_record_says_what_is_its_own_and_a_profile_record_what_is_its_profile_s() -> None:
    own = DeviceRecord(1, "a", enabled=False, profile="p", zone="UTC", calibration={"t": [Calibration(offset=0.5)]})
    assert encode_record(own) == (
        b'{"schema_version":1,"id":"a","enabled":false,"profile":"p","zone":"UTC","calibration":{"t":[{"offset":0.5}]}}'
    )
    profile = ProfileRecord(1, "pump house", {"t": Metric(unit="degC", max=85.0)}, "UTC", interval=10.0)
    data = (
        b'{"schema_version":1,"id":"pump house","metrics":{"t":{"unit":"degC","max":85.0}},"zone":"UTC",'
        b'"interval":10.0}'
    )
    assert encode_record(profile) == data
    assert decode_profile(data) == profile
    assert (profile_key("pump house"), kv_key("profile.pump house")) == (
        "profile.pump=20house",
        "profile=2Epump=20house",
    )


def test_a_device_record_of_before_profiles_had_records_is_read() -> None:
    data = (
        b'{"schema_version":1,"id":"a","enabled":true,"profile":"p","tags":{"x":"1"},"metrics":{"t":{"unit":"degC"}},'
        b'"keep_raw":true,"message_rate":"1:1","computed":{"p":"u * i"},"retention":{"raw":7}}'
    )
    expected = DeviceRecord(
        1,
        "a",
        enabled=True,
        profile="p",
        tags={"x": "1"},
        metrics={"t": Metric(unit="degC")},
        keep_raw=True,
        message_rate="1:1",
        computed={"p": "u * i"},
        retention=Retention(raw=7),
    )
    assert decode_record(data) == expected


def test_a_failure_of_a_computed_metric_is_json_that_a_person_can_read() -> None:
    failure = ComputedFailure(1, "pump house", "power.kW", "u * i", "wrong types", "orchard-07", TS, TS + 1, 2)
    data = (
        b'{"schema_version":1,"profile":"pump house","metric":"power.kW","expression":"u * i","error":"wrong types",'
        b'"device":"orchard-07","since":1767225600250000000,"last":1767225600250000001,"count":2}'
    )
    assert encode_failure(failure) == data
    assert decode_failure(data) == failure
    assert failure_key(failure.profile, failure.metric) == "pump=20house.power=2EkW"
    for other in (b"", b"[]", b"\xff", data.replace(b":1,", b":2,", 1), b"[" * 100_000):
        with pytest.raises(msgspec.DecodeError):
            decode_failure(other)


def test_the_largest_activity_is_taken_by_the_stream_server() -> None:
    ids = (str(number).zfill(MAX_DEVICE_ID) for number in range(MOST_DEVICES))
    largest = ACTIVITY_MESSAGE.encode(Activity(1, TS, dict.fromkeys(ids, Heard(1 << 40, TS))))
    assert len(largest) < MAX_PAYLOAD * 0.75


def test_a_notification_is_the_json_that_receivers_know() -> None:
    event = AlertEvent(
        id="e1",
        alert_id="a1",
        state="firing",
        rule_id="r1",
        rule="too hot",
        rule_version=3,
        severity="critical",
        device="orchard-07",
        metric="temperature",
        value=91.5,
        threshold=90.0,
        labels={"alertname": "too hot", "site": "north"},
        annotations={"summary": "hot"},
        started_at=TS,
        changed_at=TS + 1,
    )
    notification = Notification(
        id="n1",
        receiver="ops",
        group_key="g1",
        group_labels={"site": "north"},
        common_labels=common([event.labels, {"site": "north"}]),
        status="firing",
        reason="new",
        alerts=[event],
        created_at=TS + 2,
    )
    data = (
        b'{"schema_version":2,"id":"n1","receiver":"ops","group_key":"g1","group_labels":{"site":"north"},'
        b'"common_labels":{"site":"north"},"common_annotations":{},"status":"firing","reason":"new","alerts":['
        b'{"schema_version":2,"id":"e1","alert_id":"a1","state":"firing","rule_id":"r1","rule":"too hot",'
        b'"rule_version":3,"severity":"critical","device":"orchard-07","group":"","metric":"temperature",'
        b'"value":91.5,"threshold":90.0,"no_data":false,"flapping":false,'
        b'"labels":{"alertname":"too hot","site":"north"},"annotations":{"summary":"hot"},"runbook":"",'
        b'"started_at":1767225600250000000,"changed_at":1767225600250000001,"reason":null,"acknowledged":false,'
        b'"acknowledged_by":""}],"truncated":0,"created_at":1767225600250000002}'
    )
    assert encode_notification(notification) == data
    assert read_notification(msgspec.json.decode(data)) == notification
    with pytest.raises(msgspec.ValidationError):
        read_notification(msgspec.json.decode(data.replace(b":2,", b":3,", 1)))


def test_wire_writes_equal_messages_as_equal_bytes() -> None:
    again = Wire(Presence)
    assert again.encode(Presence(1, "d", "seen", 1)) == PRESENCE_MESSAGE.encode(Presence(1, "d", "seen", 1))


def test_what_is_said_of_a_foreign_message_is_short() -> None:
    with pytest.raises(SchemaError) as refused:
        READING_BATCH.decode(msgspec.msgpack.encode(["v" * 5_000_000]))
    assert len(str(refused.value)) < 1000
