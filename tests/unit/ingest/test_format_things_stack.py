import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest.outcomes import Decoded, Ignored, State
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, refused

TOPIC = "v3/orchard@growers/devices/leaf-7/up"
DEVICE = "orchard:leaf-7"
HEARD = 1_767_225_605_112_973_001
IDS = {
    "device_id": "leaf-7",
    "application_ids": {"application_id": "orchard"},
    "dev_eui": "70B3D57ED00B1F07",
}
RADIO: dict[str, Value] = {
    "radio.f_cnt": 812.0,
    "radio.f_port": 3.0,
    "radio.rssi": -104.0,
    "radio.snr": 6.2,
    "radio.gateway": "0016",
}


def uplink(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    return {
        "f_port": 3,
        "f_cnt": 812,
        "frm_payload": "AWcBSg==",
        "decoded_payload": {"air_temp": 33.0, "leaf": {"wet": True}},
        "rx_metadata": [
            {"gateway_ids": {"gateway_id": "barn"}, "rssi": -117, "snr": -3, "time": "2019-01-01T00:00:00Z"},
            {"gateway_ids": {"gateway_id": "0016"}, "rssi": -104, "snr": 6.2},
        ],
        "settings": {"time": "2019-01-01T00:00:00Z"},
        "received_at": "2026-01-01T00:00:05.112973001Z",
    } | more


def message(part: dict[str, Any], **more: Any) -> str:  # noqa: ANN401 - as above
    return json.dumps({"end_device_ids": IDS, "received_at": "2026-01-01T00:00:05.318Z", "uplink_message": part} | more)


def measured(decoded: Decoded) -> list[Reading]:
    assert decoded.problems is None, decoded.problems.detail
    return [reading for reading in decoded.readings if "health" not in reading.flags]


def test_an_uplink_is_a_reading_and_its_radio_figures_are_another() -> None:
    decoded = decode(TOPIC, message(uplink()))
    assert decoded.readings == [
        Reading(DEVICE, HEARD, NOW, {"air_temp": 33.0, "leaf.wet": True}),
        Reading(DEVICE, HEARD, NOW, RADIO, {"health": ""}),
    ]
    assert decoded.units == {DEVICE: {"radio.rssi": "dBm", "radio.snr": "dB"}}
    assert decoded.facts == {DEVICE: {"eui": "70b3d57ed00b1f07"}}
    assert decoded.problems is None


def test_what_the_server_says_of_the_model_are_facts() -> None:
    versions = {"brand_id": "acme", "model_id": "leafwet", "firmware_version": "1.4", "hardware_version": "B"}
    facts = decode(TOPIC, message(uplink(version_ids=versions))).facts
    assert facts == {DEVICE: {"eui": "70b3d57ed00b1f07", "model": "leafwet", "firmware": "1.4"}}


def test_an_installation_of_one_tenant_leaves_the_tenant_out() -> None:
    assert measured(decode("v3/orchard/devices/leaf-7/up", message(uplink())))[0].device == DEVICE


def test_a_route_may_name_the_device_by_its_topic() -> None:
    ingest = Ingest([Row("mine", ["v3/+/devices/+/up"], "things_stack", device="{2}:{4}")])
    assert measured(ingest.decode(TOPIC, message(uplink())))[0].device == "orchard@growers:leaf-7"


def test_figures_that_are_missing_are_zero() -> None:
    part = uplink(rx_metadata=[{"gateway_ids": {"gateway_id": "barn"}}])
    del part["f_cnt"], part["f_port"]
    [*_, radio] = decode(TOPIC, message(part)).readings
    assert radio.values == {"radio.f_cnt": 0.0, "radio.f_port": 0.0, "radio.rssi": 0.0, "radio.gateway": "barn"}


def test_a_gateway_that_tells_its_strength_goes_before_one_that_does_not() -> None:
    heard = [{"gateway_ids": {"gateway_id": "broker"}}, {"gateway_ids": {"gateway_id": "barn"}, "rssi": -117}]
    [*_, radio] = decode(TOPIC, message(uplink(rx_metadata=heard))).readings
    assert (radio.values["radio.rssi"], radio.values["radio.gateway"]) == (-117.0, "barn")


def test_the_id_of_a_gateway_stays_text() -> None:
    [*_, radio] = decode(TOPIC, message(uplink())).readings
    assert radio.values["radio.gateway"] == "0016"


def test_the_names_of_a_codec_and_of_the_radio_do_not_meet() -> None:
    readings = decode(TOPIC, message(uplink(decoded_payload={"rssi": -1, "snr": 2}))).readings
    assert readings[0].values == {"rssi": -1.0, "snr": 2.0}
    assert readings[1].values == RADIO


def test_without_a_codec_the_bytes_are_kept_and_counted() -> None:
    part = uplink(frm_payload="1234")
    del part["decoded_payload"]
    for body in (part, part | {"decoded_payload": None}):
        decoded = decode(TOPIC, message(body))
        assert measured(decoded)[0].values == {"frm_payload": "1234"}
        assert decoded.left_out == {Ignored.NO_CODEC: 1}


def test_a_frame_without_payload_has_radio_figures_alone() -> None:
    part = uplink()
    del part["decoded_payload"], part["frm_payload"]
    decoded = decode(TOPIC, message(part))
    assert [reading.values for reading in decoded.readings] == [RADIO]
    assert decoded.left_out is None


def test_a_codec_may_return_anything() -> None:
    found = {"state": "dry", "probes": [1.5, {"raw": None}], "none": None, "huge": 2**60}
    decoded = decode(TOPIC, message(uplink(decoded_payload=found)))
    assert measured(decoded)[0].values == {"state": "dry", "probes.1": 1.5, "huge": str(2**60)}
    assert decoded.left_out == {Ignored.NO_VALUE: 2}


def test_a_codec_that_returned_no_object_loses_no_radio_figures() -> None:
    decoded = decode(TOPIC, message(uplink(decoded_payload=[1])))
    assert [reading.values for reading in decoded.readings] == [RADIO]
    refused(decoded, Reason.MALFORMED, "decoded_payload is an array")


def test_a_simulated_uplink_is_marked() -> None:
    decoded = decode(TOPIC, message(uplink(), simulated=True))
    assert [reading.flags for reading in decoded.readings] == [{"simulated": ""}, {"simulated": "", "health": ""}]


class TestNormalized:
    def test_it_is_preferred_and_has_units(self) -> None:
        part = uplink(normalized_payload=[{"air": {"temperature": 21.5, "location": "outdoor"}, "battery": 3.1}])
        decoded = decode(TOPIC, message(part))
        assert measured(decoded)[0].values == {"air.temperature": 21.5, "air.location": "outdoor", "battery": 3.1}
        assert decoded.units is not None
        assert decoded.units[DEVICE]["air.temperature"] == "degC"
        assert decoded.units[DEVICE]["battery"] == "V"

    def test_each_measurement_may_have_its_time(self) -> None:
        part = uplink(
            normalized_payload=[
                {"time": "2026-01-01T00:00:01Z", "air": {"temperature": 21}},
                {"time": "2026-01-01T00:00:02Z", "air": {"temperature": 22}},
            ]
        )
        found = measured(decode(TOPIC, message(part)))
        assert [(r.ts, r.values) for r in found] == [
            (1_767_225_601_000_000_000, {"air.temperature": 21.0}),
            (1_767_225_602_000_000_000, {"air.temperature": 22.0}),
        ]

    def test_two_probes_at_one_time_are_told_apart(self) -> None:
        part = uplink(
            normalized_payload=[
                {"soil": {"depth": 10, "moisture": 31}},
                {"soil": {"depth": 40, "moisture": 38}},
                {"wind": {"speed": 2}},
            ]
        )
        decoded = decode(TOPIC, message(part))
        assert measured(decoded)[0].values == {
            "soil.depth": 10.0,
            "soil.moisture": 31.0,
            "2.soil.depth": 40.0,
            "2.soil.moisture": 38.0,
            "wind.speed": 2.0,
        }
        assert decoded.units is not None
        assert decoded.units[DEVICE]["2.soil.depth"] == "cm"

    def test_there_is_a_most_of_them(self) -> None:
        decoded = decode(TOPIC, message(uplink(normalized_payload=[{"battery": 3}] * 1_001)))
        assert decoded.readings[0].values["1000.battery"] == 3.0
        refused(decoded, Reason.TOO_LARGE, "first 1000")

    def test_a_bad_one_does_not_lose_its_neighbours(self) -> None:
        part = uplink(normalized_payload=[7, {"time": "soon", "battery": 3}, {"battery": 2}])
        decoded = decode(TOPIC, message(part))
        assert [r.values for r in decoded.readings] == [{"battery": 2.0}, RADIO]
        refused(decoded, Reason.MALFORMED, "element 1: is a number", "element 2: the time 'soon'")


def test_a_join_says_that_the_device_is_there() -> None:
    body = json.dumps({"end_device_ids": IDS, "received_at": "2026-01-01T00:00:04Z", "join_accept": {}})
    decoded = decode("v3/orchard@growers/devices/leaf-7/join", body)
    assert decoded.states == [State(DEVICE, online=True, at=1_767_225_604_000_000_000, reason="join")]
    assert decoded.ignored is Ignored.PRESENCE


def test_a_position_that_the_network_worked_out_is_a_reading() -> None:
    solved = {"service": "geo", "location": {"latitude": 46.5, "longitude": 6.6, "accuracy": 900, "source": "LORA"}}
    body = json.dumps({"end_device_ids": IDS, "received_at": "2026-01-01T00:00:04Z", "location_solved": solved})
    decoded = decode("v3/orchard@growers/devices/leaf-7/location/solved", body)
    assert measured(decoded)[0].values == {"latitude": 46.5, "longitude": 6.6, "accuracy": 900.0}


@pytest.mark.parametrize(
    ("event", "part", "why"),
    [
        ("down/ack", "downlink_ack", Ignored.COMMAND),
        ("down/nack", "downlink_nack", Ignored.COMMAND),
        ("down/sent", "downlink_sent", Ignored.COMMAND),
        ("down/failed", "downlink_failed", Ignored.COMMAND),
        ("down/queued", "downlink_queued", Ignored.COMMAND),
        ("down/push", "downlinks", Ignored.COMMAND),
        ("service/data", "service_data", Ignored.METADATA),
        ("up/normalized", "uplink_normalized", Ignored.REPEAT),
        ("something", "something_new", Ignored.UNSUPPORTED),
    ],
)
def test_everything_else_is_ignored(event: str, part: str, why: Ignored) -> None:
    body = json.dumps({"end_device_ids": IDS, part: {"decoded_payload": {"a": 1}}})
    assert decode(f"v3/orchard@growers/devices/leaf-7/{event}", body).ignored is why


def test_an_empty_payload_is_ignored() -> None:
    assert decode(TOPIC, "").ignored is Ignored.EMPTY


@pytest.mark.parametrize("ids", [None, {}, {"device_id": "d"}, {"device_id": 5, "application_ids": 6}])
def test_a_message_has_to_name_its_device(ids: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    refused(decode(TOPIC, message(uplink(), end_device_ids=ids)), Reason.MALFORMED, "end_device_ids")


def test_a_time_that_cannot_be_read_rejects_the_uplink() -> None:
    refused(decode(TOPIC, message(uplink(received_at="2026-02-30T00:00:00Z"))), Reason.BAD_TIME, "impossible date")


@pytest.mark.parametrize("payload", ["[]", "{", "1", b"\xff"])
def test_what_is_no_object_is_malformed(payload: str | bytes) -> None:
    refused(decode(TOPIC, payload), Reason.MALFORMED)


def test_an_uplink_that_is_no_object_leaves_nothing_but_its_counters() -> None:
    assert decode(TOPIC, message(5)).readings[0].values == {"radio.f_cnt": 0.0, "radio.f_port": 0.0}  # type: ignore[arg-type]


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_what_a_codec_returns_comes_through_exactly(sent: dict[str, float]) -> None:
    assert measured(decode(TOPIC, message(uplink(decoded_payload=sent))))[0].values == sent
