import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest.findings import SECONDS
from ingest.outcomes import Ignored, State
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, only, refused

TOPIC = "msh/EU_868/2/json/Ridge/!5d0e77ff"
NODE = "!a1b2c3d9"
HEARD = 1_767_225_627_000_000_000


def packet(payload: Any, what: str = "telemetry", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    return {
        "id": 3090417799,
        "from": 0xA1B2C3D9,
        "to": 4294967295,
        "channel": 0,
        "sender": "!5d0e77ff",
        "timestamp": 1767225627,
        "type": what,
        "payload": payload,
        "rssi": -112,
        "snr": -4.25,
    } | more


RADIO = Reading(NODE, HEARD, NOW, {"rssi": -112.0, "snr": -4.25, "gateway": "!5d0e77ff"}, {"health": ""})


def test_telemetry_of_sensors_is_a_reading_and_the_radio_figures_are_another() -> None:
    decoded = decode(TOPIC, json.dumps(packet({"temperature": -6.3, "barometric_pressure": 884.1, "voltage": 3.2})))
    assert decoded.readings == [
        Reading(NODE, HEARD, NOW, {"temperature": -6.3, "barometric_pressure": 884.1, "voltage": 3.2}),
        RADIO,
    ]
    assert decoded.units == {
        NODE: {"temperature": "degC", "barometric_pressure": "hPa", "voltage": "V", "rssi": "dBm", "snr": "dB"}
    }


def test_telemetry_of_the_node_itself_is_told_by_its_names() -> None:
    body = packet({"battery_level": 81, "voltage": 3.9, "air_util_tx": 0.4, "channel_utilization": 2.5})
    [itself] = decode(TOPIC, json.dumps(body)).readings
    assert itself.flags == {"health": ""}
    assert itself.values == {
        "battery_level": 81.0,
        "voltage": 3.9,
        "air_util_tx": 0.4,
        "channel_utilization": 2.5,
        **RADIO.values,
    }


def test_a_battery_more_than_full_means_mains() -> None:
    [itself] = decode(TOPIC, json.dumps(packet({"battery_level": 101, "voltage": 4.2}))).readings
    assert itself.values["mains"] is True
    assert "battery_level" not in itself.values


class TestPositions:
    def test_integers_become_degrees(self) -> None:
        body = packet({"latitude_i": 462187300, "longitude_i": -146041200, "altitude": 388}, "position")
        decoded = decode(TOPIC, json.dumps(body))
        assert decoded.readings[0].values == {"latitude": 46.21873, "longitude": -14.60412, "altitude": 388.0}
        assert decoded.units is not None
        assert decoded.units[NODE]["latitude"] == "deg"

    def test_it_may_have_a_time_of_its_own(self) -> None:
        body = packet({"latitude_i": 1, "longitude_i": 2, "time": 1767225600}, "position")
        found = decode(TOPIC, json.dumps(body)).readings[0]
        assert (found.ts, set(found.values)) == (1_767_225_600 * SECONDS, {"latitude", "longitude"})
        body["payload"]["time"] = 0
        assert decode(TOPIC, json.dumps(body)).readings[0].ts == HEARD

    @pytest.mark.parametrize("latitude", [None, "1", 1.5, 900_000_001])
    def test_half_a_position_is_none(self, latitude: Any) -> None:  # noqa: ANN401 - as above
        body = packet({"latitude_i": latitude, "longitude_i": 2, "altitude": 5}, "position")
        decoded = decode(TOPIC, json.dumps(body))
        assert decoded.readings[0].values == {"altitude": 5.0}
        refused(decoded, Reason.BAD_VALUE, "no position")


class TestIdentity:
    @pytest.mark.parametrize("sent", [0xA1B2C3D9, 0xA1B2C3D9 - 2**32])
    def test_the_node_is_the_device_also_where_its_number_is_signed(self, sent: int) -> None:
        body = packet({"temperature": 1}) | {"from": sent}
        assert {reading.device for reading in decode(TOPIC, json.dumps(body)).readings} == {NODE}

    def test_a_small_number_keeps_its_zeros(self) -> None:
        assert decode(TOPIC, json.dumps(packet({"temperature": 1}) | {"from": 7})).readings[0].device == "!00000007"

    @pytest.mark.parametrize("sent", [None, "!a1b2c3d9", 1.5, True])
    def test_without_a_node_it_is_malformed(self, sent: Any) -> None:  # noqa: ANN401 - as above
        refused(decode(TOPIC, json.dumps(packet({"temperature": 1}) | {"from": sent})), Reason.MALFORMED, "from")

    @pytest.mark.parametrize("topic", ["msh/2/json/Ridge/!5d0e77ff", "msh/US/bay/2/json/Ridge/!5d0e77ff"])
    def test_the_region_may_have_any_number_of_levels(self, topic: str) -> None:
        assert decode(topic, json.dumps(packet({"temperature": 1}))).readings[0].device == NODE

    def test_the_root_may_be_any(self) -> None:
        ingest = Ingest([Row("club", ["club/mesh/#"], "meshtastic")])
        assert ingest.decode("club/mesh/2/json/Ridge/!1", json.dumps(packet({"temperature": 1}))).readings

    def test_without_a_sender_the_topic_names_the_gateway(self) -> None:
        body = packet({"temperature": 1})
        del body["sender"]
        assert decode(TOPIC, json.dumps(body)).readings[1].values["gateway"] == "!5d0e77ff"


class TestRepeats:
    def test_each_gateway_that_hears_a_packet_publishes_it(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, json.dumps(packet({"temperature": 1}))).readings
        elsewhere = json.dumps(packet({"temperature": 1}, sender="!5d0e7700", rssi=-90, timestamp=1767225629))
        topic = "msh/EU_868/2/json/Ridge/!5d0e7700"
        assert ingest.decode(topic, elsewhere, at=NOW + 2 * SECONDS).ignored is Ignored.REPEAT
        assert ingest.decode(topic, elsewhere, replayed=True).readings

    def test_the_same_number_of_another_node_is_another_packet(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, json.dumps(packet({"temperature": 1}))).readings
        assert ingest.decode(TOPIC, json.dumps(packet({"temperature": 1}) | {"from": 8})).readings

    def test_a_bad_one_is_not_taken_for_the_first(self) -> None:
        ingest = Ingest()
        refused(ingest.decode(TOPIC, json.dumps(packet({"temperature": 1}, timestamp="soon"))), Reason.BAD_TIME)
        assert ingest.decode(TOPIC, json.dumps(packet({"temperature": 1}))).readings

    def test_without_a_number_nothing_is_a_repeat(self) -> None:
        ingest, body = Ingest(), packet({"temperature": 1})
        del body["id"]
        assert ingest.decode(TOPIC, json.dumps(body)).readings
        assert ingest.decode(TOPIC, json.dumps(body)).readings


def test_a_payload_that_is_no_object_is_malformed_and_the_radio_figures_are_kept() -> None:
    decoded = decode(TOPIC, json.dumps(packet("hot")))
    assert decoded.readings == [RADIO]
    refused(decoded, Reason.MALFORMED, "the packet's payload is text")


def test_a_time_of_zero_means_that_there_is_no_clock() -> None:
    found = decode(TOPIC, json.dumps(packet({"temperature": 1}, timestamp=0))).readings[0]
    assert (found.ts, found.flags) == (NOW, {"clock": "0"})


def test_what_a_node_is_are_facts() -> None:
    info = {"id": NODE, "longname": "Ridge Hut", "shortname": "RH", "hardware": 43}
    decoded = decode(TOPIC, json.dumps(packet(info, "nodeinfo")))
    assert decoded.facts == {NODE: {"name": "Ridge Hut", "short_name": "RH", "model": "43"}}
    assert decoded.ignored is Ignored.METADATA


@pytest.mark.parametrize(("payload", "online"), [("online", True), ("offline", False)])
def test_the_state_of_a_gateway_is_its_own(payload: str, *, online: bool) -> None:
    decoded = decode("msh/EU_868/2/stat/!5d0e77ff", payload)
    assert decoded.states == [State("!5d0e77ff", online=online, at=NOW)]
    refused(decode("msh/EU_868/2/stat/!5d0e77ff", "maybe"), Reason.MALFORMED)
    assert decode("msh/EU_868/2/stat/!5d0e77ff", "").ignored is Ignored.EMPTY


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("text", Ignored.PRIVATE),
        ("traceroute", Ignored.EVENT),
        ("neighborinfo", Ignored.EVENT),
        ("detection", Ignored.UNSUPPORTED),
        ("", Ignored.UNSUPPORTED),
    ],
)
def test_other_types_are_ignored(what: str, why: Ignored) -> None:
    assert decode(TOPIC, json.dumps(packet({"text": "see you at ten"}, what))).ignored is why


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("msh/EU_868/2/e/Ridge/!5d0e77ff", Ignored.PRIVATE),
        ("msh/EU_868/2/c/Ridge/!5d0e77ff", Ignored.PRIVATE),
        ("msh/EU_868/2/map/", Ignored.UNSUPPORTED),
        ("msh/EU_868/2/json/mqtt/", Ignored.COMMAND),
        ("msh/EU_868/3/json/Ridge/!5d0e77ff", Ignored.UNSUPPORTED),
        ("msh", Ignored.UNSUPPORTED),
        ("msh/2", Ignored.UNSUPPORTED),
    ],
)
def test_other_topics_are_ignored(topic: str, why: Ignored) -> None:
    assert decode(topic, b"\x0a\x80\xff").ignored is why


def test_an_empty_payload_is_ignored_and_what_is_no_object_malformed() -> None:
    assert decode(TOPIC, "").ignored is Ignored.EMPTY
    refused(decode(TOPIC, "[1]"), Reason.MALFORMED)


@given(st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000))
def test_degrees_come_back_to_their_integers(latitude: int, longitude: int) -> None:
    body = packet({"latitude_i": latitude, "longitude_i": longitude}, "position")
    values = decode(TOPIC, json.dumps(body)).readings[0].values
    assert [round(float(values[name]) * 10**7) for name in ("latitude", "longitude")] == [latitude, longitude]


def test_a_packet_without_radio_figures_came_by_wire() -> None:
    body = packet({"temperature": 1})
    del body["rssi"], body["snr"]
    assert only(decode(TOPIC, json.dumps(body))).values == {"temperature": 1.0}
