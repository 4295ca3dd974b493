import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

ADDRESS = "0x00aa11bb22cc33dd"
OTHER = "0x00aa11bb22cc44ee"
EXPOSES = [
    {"type": "numeric", "property": "temperature", "unit": "°C", "access": 1},
    {"type": "numeric", "property": "voltage", "unit": "mV", "category": "diagnostic", "access": 1},
    {"type": "binary", "property": "contact", "value_on": False, "value_off": True, "access": 1},
    {
        "type": "light",
        "features": [
            {"type": "binary", "property": "state", "value_on": "ON", "value_off": "OFF", "access": 7},
            {
                "type": "composite",
                "property": "color",
                "features": [{"type": "numeric", "property": "x", "unit": "cd"}, {"type": "numeric", "property": "y"}],
            },
        ],
    },
]
DEVICES: list[Any] = [
    {"ieee_address": "0x00aa11bb22cc0000", "friendly_name": "Coordinator", "type": "Coordinator", "definition": None},
    {
        "ieee_address": ADDRESS,
        "friendly_name": "barn/hay loft",
        "software_build_id": "7.2",
        "definition": {"model": "TH-1", "vendor": "Meadow", "description": "Loft sensor", "exposes": EXPOSES},
    },
    {"ieee_address": OTHER, "friendly_name": "barn", "definition": None},
]


def bridge(devices: list[Any] = DEVICES, base: str = "zigbee2mqtt", rows: tuple[Row, ...] = ()) -> Ingest:
    ingest = Ingest(rows)
    told = ingest.decode(f"{base}/bridge/devices", json.dumps(devices), retained=True)
    assert told.ignored is Ignored.METADATA
    return ingest


def loft(body: object, suffix: str = "", **more: Any) -> Decoded:  # noqa: ANN401 - as Ingest.decode takes it
    payload = body if isinstance(body, str) else json.dumps(body)
    return bridge().decode(f"zigbee2mqtt/barn/hay loft{suffix}", payload, **more)


def by_flags(decoded: Decoded) -> dict[tuple[str, ...], dict[str, Value]]:
    assert decoded.problems is None
    return {tuple(sorted(reading.flags)): reading.values for reading in decoded.readings}


def test_a_device_is_its_address_and_its_units_are_what_it_exposes() -> None:
    decoded = loft({"temperature": 4.5, "color": {"x": 0.25}})
    assert only(decoded) == Reading(ADDRESS, NOW, NOW, {"temperature": 4.5, "color.x": 0.25})
    assert decoded.units == {ADDRESS: {"temperature": "°C", "color.x": "cd"}}


@pytest.mark.parametrize(
    ("last_seen", "ts"),
    [
        ("2026-01-01T00:00:07.112Z", 1_767_225_607_112_000_000),
        ("2026-01-01T02:00:07+02:00", 1_767_225_607_000_000_000),
        (1_767_225_607_112, 1_767_225_607_112_000_000),
        (None, NOW),
    ],
)
def test_last_seen_is_the_time_in_each_of_its_forms(last_seen: object, ts: int) -> None:
    reading = only(loft({"temperature": 4.5, "last_seen": last_seen}))
    assert (reading.ts, reading.values) == (ts, {"temperature": 4.5})


def test_a_last_seen_that_is_no_time_is_a_problem() -> None:
    refused(loft({"temperature": 4.5, "last_seen": "yesterday"}), Reason.BAD_TIME)


def test_radio_and_battery_and_what_is_exposed_as_diagnostic_are_health() -> None:
    decoded = loft({"temperature": 4.5, "linkquality": 96, "battery": 83, "voltage": 2950})
    assert by_flags(decoded) == {
        (): {"temperature": 4.5},
        ("health",): {"linkquality": 96.0, "battery": 83.0, "voltage": 2950.0},
    }


def test_what_is_as_it_was_in_the_message_before_is_marked() -> None:
    ingest = bridge()
    topic = "zigbee2mqtt/barn/hay loft"
    assert by_flags(ingest.decode(topic, '{"temperature": 4, "state": "ON"}')) == {
        (): {"temperature": 4, "state": True}
    }
    assert by_flags(ingest.decode(topic, '{"temperature": 4.0, "state": "OFF"}')) == {
        ("repeated",): {"temperature": 4.0},
        (): {"state": False},
    }
    assert by_flags(ingest.decode(topic, '{"temperature": 5, "state": "OFF"}', replayed=True)) == {
        (): {"temperature": 5.0, "state": False}
    }
    assert by_flags(ingest.decode(f"{topic}/temperature", "4")) == {("repeated",): {"temperature": 4.0}}
    assert by_flags(ingest.decode(topic, '{"temperature": 5}')) == {(): {"temperature": 5.0}}


def test_the_longest_name_wins_and_the_rest_is_a_property() -> None:
    ingest = bridge()
    assert only(ingest.decode("zigbee2mqtt/barn/hay loft/temperature", "4.75")).device == ADDRESS
    reading = only(ingest.decode("zigbee2mqtt/barn/hay", "7"))
    assert (reading.device, reading.values) == (OTHER, {"hay": 7.0})
    assert only(ingest.decode("zigbee2mqtt/barn", '{"hay": 8}')).device == OTHER


@pytest.mark.parametrize(
    ("suffix", "payload", "values"),
    [
        ("/temperature", "4.75", {"temperature": 4.75}),
        ("/state", "ON", {"state": True}),
        ("/contact", "false", {"contact": False}),
        ("/color-x", "0.31", {"color.x": 0.31}),
        ("/color", '{"x": 0.31}', {"color.x": 0.31}),
        ("/power-on", "previous", {"power-on": "previous"}),
    ],
)
def test_a_property_may_have_a_topic_of_its_own(suffix: str, payload: str, values: dict[str, Value]) -> None:
    assert only(loft(payload, suffix)).values == values


@pytest.mark.parametrize(
    ("suffix", "payload"),
    [("/update-state", "idle"), ("/device-friendlyName", "barn"), ("/last_seen", "2026-01-01T00:00:07Z")],
)
def test_of_properties_on_topics_of_their_own_the_same_are_none(suffix: str, payload: str) -> None:
    assert loft(payload, suffix).ignored is Ignored.METADATA


@pytest.mark.parametrize(("suffix", "payload"), [("/color", "{"), ("/temperature", b"\xff"), ("", "4.5"), ("", "{")])
def test_what_cannot_be_read_is_malformed(suffix: str, payload: bytes | str) -> None:
    refused(bridge().decode(f"zigbee2mqtt/barn/hay loft{suffix}", payload), Reason.MALFORMED)


def test_a_bad_value_leaves_its_neighbours_alone() -> None:
    decoded = loft('{"temperature": NaN, "humidity": 40}')
    assert [reading.values for reading in decoded.readings] == [{"humidity": 40.0}]
    refused(decoded, Reason.BAD_VALUE, "'temperature'")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"temperature": None}, Ignored.NO_VALUE),
        ({"update": {"state": "idle", "installed_version": 7}}, Ignored.METADATA),
        ({"action": ""}, Ignored.NO_VALUE),
        ({}, Ignored.EMPTY),
        ("", Ignored.EMPTY),
    ],
)
def test_an_object_with_no_value_is_ignored(body: object, why: Ignored) -> None:
    assert loft(body).ignored is why


def test_an_action_is_kept_and_its_end_is_none() -> None:
    assert only(loft({"action": "double"})).values == {"action": "double"}
    assert loft("", "/action").ignored is Ignored.EMPTY


def test_what_the_broker_had_kept_makes_a_reading_only_with_a_time() -> None:
    assert loft({"temperature": 4.5}, retained=True).ignored is Ignored.RETAINED_UNTIMED
    assert only(loft({"temperature": 4.5, "last_seen": 1_767_225_607_112}, retained=True)).values == {
        "temperature": 4.5
    }


@pytest.mark.parametrize("payload", ["online", '{"state": "online"}', "Online"])
def test_availability_is_presence_in_both_forms(payload: str) -> None:
    decoded = loft(payload, "/availability", retained=True)
    assert [(state.device, state.online) for state in decoded.states] == [(ADDRESS, True)]
    assert loft('{"state": "offline"}', "/availability").states[0].online is False


@pytest.mark.parametrize("payload", ["on", "{", '{"state": 1}', "[]", '{"condition": "online"}'])
def test_another_availability_is_malformed(payload: str) -> None:
    refused(loft(payload, "/availability"), Reason.MALFORMED, "availability")


def test_the_state_of_the_bridge_is_its_own() -> None:
    rows = (Row("farm", ["farm/z2m/#"], "zigbee2mqtt"),)
    assert bridge().decode("zigbee2mqtt/bridge/state", '{"state": "offline"}').states[0].device == "zigbee2mqtt"
    assert bridge(base="farm/z2m", rows=rows).decode("farm/z2m/bridge/state", "online").states[0].device == "farm:z2m"


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("barn/hay loft/set", Ignored.COMMAND),
        ("barn/hay loft/set/state", Ignored.COMMAND),
        ("barn/hay loft/get", Ignored.COMMAND),
        ("barn/hay loft/left/set", Ignored.COMMAND),
        ("barn/hay loft/left/set/state", Ignored.COMMAND),
        ("somebody/set", Ignored.COMMAND),
        ("somebody/set/state", Ignored.COMMAND),
        ("bridge/request/restart", Ignored.COMMAND),
        ("bridge/response/restart", Ignored.COMMAND),
        ("bridge/event", Ignored.EVENT),
        ("bridge/info", Ignored.METADATA),
        ("bridge/logging", Ignored.METADATA),
        ("bridge/definitions", Ignored.METADATA),
        ("somebody/availability", Ignored.METADATA),
        ("barn/hay loft/a/b", Ignored.UNSUPPORTED),
    ],
)
def test_what_is_no_value_is_ignored(topic: str, why: Ignored) -> None:
    assert bridge().decode(f"zigbee2mqtt/{topic}", '{"a": 1}').ignored is why
    assert bridge().decode("zigbee2mqtt", "1").ignored is Ignored.UNSUPPORTED


def test_a_group_is_no_device() -> None:
    ingest = bridge()
    ingest.decode("zigbee2mqtt/bridge/groups", '[{"id": 1, "friendly_name": "all/lights"}, 5]', retained=True)
    assert ingest.decode("zigbee2mqtt/all/lights", '{"state": "ON"}').ignored is Ignored.UNSUPPORTED
    assert only(ingest.decode("zigbee2mqtt/barn/hay loft", '{"temperature": 1}')).device == ADDRESS


def test_a_name_that_is_not_known_has_no_identity_unless_it_is_the_address() -> None:
    refused(Ingest().decode("zigbee2mqtt/barn", '{"a": 1}'), Reason.NO_IDENTITY, "has not come yet")
    refused(bridge().decode("zigbee2mqtt/cellar", '{"a": 1}'), Reason.NO_IDENTITY, "'cellar'", "does not have it")
    assert Ingest().decode("zigbee2mqtt/barn", '{"a": 1}', retained=True).ignored is Ignored.RETAINED_UNTIMED
    assert Ingest().decode("zigbee2mqtt/barn", "").ignored is Ignored.EMPTY
    assert only(Ingest().decode("zigbee2mqtt/0x00AA11BB22CC33DD", '{"a": 1}')).device == ADDRESS


def test_a_device_that_is_renamed_stays_the_same() -> None:
    ingest = bridge()
    ingest.decode("zigbee2mqtt/bridge/devices", json.dumps([DEVICES[1] | {"friendly_name": "stable"}]))
    assert only(ingest.decode("zigbee2mqtt/stable", '{"temperature": 1}')).device == ADDRESS
    refused(ingest.decode("zigbee2mqtt/barn/hay loft", '{"temperature": 1}'), Reason.NO_IDENTITY)


def test_facts_come_from_the_list_of_devices() -> None:
    decoded = Ingest().decode("zigbee2mqtt/bridge/devices", json.dumps(DEVICES), retained=True)
    assert decoded.facts is not None
    assert decoded.facts[ADDRESS] == {
        "name": "barn/hay loft",
        "model": "TH-1",
        "manufacturer": "Meadow",
        "description": "Loft sensor",
        "firmware": "7.2",
        "unit.temperature": "°C",
        "unit.voltage": "mV",
        "unit.color.x": "cd",
    }
    assert decoded.facts[OTHER] == {"name": "barn"}


@pytest.mark.parametrize(
    "listed",
    [
        "{",
        "{}",
        '[5, null, {"friendly_name": 5}, {"friendly_name": "\\ud800", "ieee_address": "x"}]',
        json.dumps([{"friendly_name": "a", "ieee_address": ADDRESS, "definition": {"exposes": [5, {"features": 7}]}}]),
    ],
)
def test_a_list_that_is_none_is_no_dead_letter_and_can_be_remembered(listed: str) -> None:
    ingest = Ingest()
    assert ingest.decode("zigbee2mqtt/bridge/devices", listed).ignored in (Ignored.METADATA, Ignored.UNSUPPORTED)
    ingest.decode("zigbee2mqtt/a", '{"\\ud800": 1, "b": "\\ud800", "c": 1e999, "d": 1}')
    ingest.context.memory.changes()


def test_a_dead_letter_that_is_taken_again_changes_nothing_that_is_known() -> None:
    ingest = bridge()
    ingest.decode("zigbee2mqtt/bridge/devices", "[]", replayed=True)
    assert only(ingest.decode("zigbee2mqtt/barn", '{"a": 1}')).device == OTHER


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_come_through_exactly(sent: dict[str, float]) -> None:
    sent = {f"m{name}": value for name, value in sent.items()}
    decoded = bridge().decode("zigbee2mqtt/barn", json.dumps(sent))
    assert {name: value for reading in decoded.readings for name, value in reading.values.items()} == sent
