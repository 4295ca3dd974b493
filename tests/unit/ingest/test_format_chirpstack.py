import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest import chirpstack_events
from ingest.outcomes import Decoded, Ignored, State
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, only, refused

EUI = "a84041c2d15f9b0e"
BASE = f"application/5e0a6c1b-7d34-4f0f-9b1e-2a66c0d8e70a/device/{EUI}"
UP = f"{BASE}/event/up"
HEARD = 1_767_225_609_402_118_573
RADIO: dict[str, Value] = {
    "radio.fCnt": 731.0,
    "radio.fPort": 2.0,
    "radio.dr": 5.0,
    "radio.rssi": -97.0,
    "radio.snr": 8.2,
    "radio.gateway": "0016001170000028",
}
INFO = {
    "applicationName": "canal",
    "deviceProfileName": "gauge-eu",
    "deviceName": "gauge-9",
    "devEui": EUI.upper(),
    "tags": {"reach": "lower"},
}


def event(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    return {
        "deduplicationId": "c1b7a3c0-52d8-4a5c-8ad0-0f6f7be0e9aa",
        "time": "2026-01-01T00:00:09.402118573+00:00",
        "deviceInfo": INFO,
    } | more


def uplink(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    return event(
        dr=5,
        fCnt=731,
        fPort=2,
        data="BQQBZg==",
        object={"level_mm": 1284, "battery": 3.58},
        rxInfo=[
            {"gatewayId": "0016c001f1a70c2e", "rssi": -120, "snr": -7},
            {"gatewayId": "0016001170000028", "rssi": -97, "snr": 8.2},
        ],
    ) | {name: value for name, value in more.items() if value != "absent"}


def measured(decoded: Decoded) -> list[Reading]:
    assert decoded.problems is None, decoded.problems.detail
    return [reading for reading in decoded.readings if "health" not in reading.flags]


def test_an_uplink_is_a_reading_and_its_radio_figures_are_another() -> None:
    decoded = decode(UP, json.dumps(uplink()))
    assert decoded.readings == [
        Reading(EUI, HEARD, NOW, {"level_mm": 1284.0, "battery": 3.58}),
        Reading(EUI, HEARD, NOW, RADIO, {"health": ""}),
    ]
    assert decoded.units == {EUI: {"radio.rssi": "dBm", "radio.snr": "dB"}}
    assert decoded.facts == {
        EUI: {"name": "gauge-9", "model": "gauge-eu", "application": "canal", "tag.reach": "lower"}
    }
    assert decoded.problems is None


def test_a_route_may_name_the_device_otherwise() -> None:
    ingest = Ingest([Row("mine", ["application/+/device/+/event/up"], "chirpstack", device="canal-{4}")])
    assert measured(ingest.decode(UP, json.dumps(uplink())))[0].device == f"canal-{EUI}"


def test_figures_that_are_missing_are_zero() -> None:
    body = uplink(rxInfo=[{"gatewayId": "barn"}])
    for name in ("fCnt", "fPort", "dr"):
        del body[name]
    [*_, radio] = decode(UP, json.dumps(body)).readings
    assert radio.values == {
        "radio.fCnt": 0.0,
        "radio.fPort": 0.0,
        "radio.dr": 0.0,
        "radio.rssi": 0.0,
        "radio.snr": 0.0,
        "radio.gateway": "barn",
    }


def test_the_same_deduplication_id_is_the_same_message() -> None:
    ingest = Ingest()
    assert ingest.decode(UP, json.dumps(uplink())).readings
    assert ingest.decode(UP, json.dumps(uplink())).ignored is Ignored.REPEAT
    assert ingest.decode(UP, json.dumps(uplink()), replayed=True).readings
    assert ingest.decode(UP, json.dumps(uplink(deduplicationId="another"))).readings


def test_a_message_with_a_bad_time_is_not_taken_for_the_first_of_its_repeats() -> None:
    ingest = Ingest()
    refused(ingest.decode(UP, json.dumps(uplink(time="2026-13-01T00:00:00Z"))), Reason.BAD_TIME)
    assert ingest.decode(UP, json.dumps(uplink())).readings


@pytest.mark.parametrize("without", [{"object": None}, {"object": "absent"}])
def test_without_a_codec_the_bytes_are_kept_and_counted(without: dict[str, Any]) -> None:
    body = uplink(**without)
    if without["object"] == "absent":
        del body["object"]
    decoded = decode(UP, json.dumps(body))
    assert measured(decoded)[0].values == {"data": "BQQBZg=="}
    assert decoded.left_out == {Ignored.NO_CODEC: 1}


def test_a_frame_without_payload_has_radio_figures_alone() -> None:
    body = uplink()
    del body["object"], body["data"]
    assert only(decode(UP, json.dumps(body))).values == RADIO


def test_an_object_that_is_none_loses_no_radio_figures() -> None:
    decoded = decode(UP, json.dumps(uplink(object=[5])))
    assert [reading.values for reading in decoded.readings] == [RADIO]
    refused(decoded, Reason.MALFORMED, "object is an array")


class TestOtherEvents:
    def test_a_status_is_about_the_device(self) -> None:
        body = event(margin=7, externalPowerSource=False, batteryLevelUnavailable=False, batteryLevel=87.4)
        decoded = decode(f"{BASE}/event/status", json.dumps(body))
        found = only(decoded)
        assert found.values == {"margin": 7.0, "externalPowerSource": False, "batteryLevel": 87.4}
        assert found.flags == {"health": ""}
        assert decoded.units == {EUI: {"margin": "dB", "batteryLevel": "%"}}

    @pytest.mark.parametrize("why", ["externalPowerSource", "batteryLevelUnavailable"])
    def test_a_battery_level_means_nothing_where_there_is_none(self, why: str) -> None:
        decoded = decode(f"{BASE}/event/status", json.dumps(event(**{why: True, "batteryLevel": 0})))
        assert "batteryLevel" not in only(decoded).values
        assert only(decoded).values["margin"] == 0.0

    def test_a_join_says_that_the_device_is_there(self) -> None:
        decoded = decode(f"{BASE}/event/join", json.dumps(event(devAddr="01a2b3c4")))
        assert decoded.states == [State(EUI, online=True, at=HEARD, reason="join")]
        assert decoded.ignored is Ignored.PRESENCE

    def test_an_error_in_the_log_is_about_the_device(self) -> None:
        body = event(level="ERROR", code="UPLINK_CODEC", description="TypeError: b is undefined", context={})
        found = only(decode(f"{BASE}/event/log", json.dumps(body)))
        assert found.values == {"log.code": "UPLINK_CODEC", "log.description": "TypeError: b is undefined"}
        assert found.flags == {"health": ""}

    @pytest.mark.parametrize("level", ["INFO", "WARNING", 7, None])
    def test_anything_less_in_the_log_is_an_event(self, level: Any) -> None:  # noqa: ANN401 - as above
        assert decode(f"{BASE}/event/log", json.dumps(event(level=level))).ignored is Ignored.EVENT

    def test_a_position_that_the_network_worked_out_is_a_reading(self) -> None:
        body = event(location={"latitude": 46.5, "longitude": 6.6, "altitude": 0, "source": "GEO_RESOLVER_TDOA"})
        decoded = decode(f"{BASE}/event/location", json.dumps(body))
        assert only(decoded).values == {"latitude": 46.5, "longitude": 6.6, "altitude": 0.0}

    @pytest.mark.parametrize(
        ("end", "why"),
        [
            ("event/ack", Ignored.COMMAND),
            ("event/txack", Ignored.COMMAND),
            ("event/integration", Ignored.EVENT),
            ("command/down", Ignored.COMMAND),
            ("event/new", Ignored.UNSUPPORTED),
            ("event/Location", Ignored.UNSUPPORTED),
            ("", Ignored.UNSUPPORTED),
        ],
    )
    def test_everything_else_is_ignored(self, end: str, why: Ignored) -> None:
        assert decode(f"{BASE}/{end}", json.dumps(uplink())).ignored is why


class TestVersion3:
    def test_a_number_for_the_application_tells_it(self) -> None:
        assert decode(f"application/12/device/{EUI}/event/up", json.dumps(uplink())).ignored is Ignored.UNSUPPORTED

    def test_so_do_the_names_of_its_fields(self) -> None:
        body = {"applicationID": "12", "devEUI": "qEBBwtFfmw4=", "objectJSON": '{"level_mm": 1}'}
        assert decode(UP, json.dumps(body)).ignored is Ignored.UNSUPPORTED


@pytest.mark.parametrize("info", [None, {}, {"devEui": ""}, {"devEui": 5}, "x"])
def test_a_message_has_to_name_its_device(info: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    refused(decode(UP, json.dumps(uplink(deviceInfo=info))), Reason.MALFORMED, "no devEui")


def test_an_empty_payload_is_ignored_and_half_an_object_malformed() -> None:
    assert decode(UP, "").ignored is Ignored.EMPTY
    refused(decode(UP, '{"a": '), Reason.MALFORMED)


def message(name: str, body: dict[str, Any]) -> bytes:
    """Write an event as the server does when it is set to protobuf."""
    made: Any = chirpstack_events.EVENTS[name]()
    made.time.seconds, made.time.nanos = divmod(HEARD, 10**9)
    info = made.device_info
    info.dev_eui, info.device_name = EUI, "gauge-9"
    info.tags.add(key="reach", value="lower")
    for field, value in body.items():
        part = getattr(made, field)
        if field == "object":
            part.update(value)
        elif field == "rx_info":
            for one in value:
                part.add(**one)
        elif field == "location":
            for coordinate, number in value.items():
                setattr(part, coordinate, number)
        else:
            setattr(made, field, value)
    written: bytes = made.SerializeToString()
    return written


class TestProtobuf:
    UPLINK: dict[str, Any] = {  # noqa: RUF012 - never changed
        "deduplication_id": "c1b7a3c0-52d8-4a5c-8ad0-0f6f7be0e9aa",
        "dr": 5,
        "f_cnt": 731,
        "f_port": 2,
        "data": b"\5\4\1f",
        "object": {"level_mm": 1284, "battery": 3.58},
        "rx_info": [
            {"gateway_id": "0016c001f1a70c2e", "rssi": -120, "snr": -7.0},
            {"gateway_id": "0016001170000028", "rssi": -97, "snr": 8.2},
        ],
    }

    def test_an_uplink_says_the_same_as_in_json(self) -> None:
        binary, text = decode(UP, message("up", self.UPLINK)), decode(UP, json.dumps(uplink()))
        assert binary.readings == text.readings
        assert binary.facts == {EUI: {"name": "gauge-9", "tag.reach": "lower"}}

    def test_an_uplink_is_read_by_the_numbers_of_the_published_fields(self) -> None:
        payload = bytes.fromhex(
            "0a0464647570"  # deduplication_id 1
            "120c0889f2d6ca0610adafdfbf01"  # time 2: seconds, nanoseconds
            "1a12421061383430343163326431356639623065"  # device_info 3: dev_eui 8
            "300538db054002"  # dr 6, f_cnt 7, f_port 8
            "52020504"  # data 10
            "5a140a120a056c6576656c1209110000000000108440"  # object 11: level, 642
            "62160a046261726e309fffffffffffffffff013d33330341"  # rx_info 12: gateway_id 1, rssi 6, snr 7
        )
        decoded = decode(UP, payload)
        assert [(r.device, r.ts) for r in decoded.readings] == [(EUI, HEARD)] * 2
        assert decoded.readings[0].values == {"level": 642.0}
        assert decoded.readings[1].values == RADIO | {"radio.gateway": "barn"}

    def test_without_a_codec_the_bytes_are_kept_as_in_json(self) -> None:
        decoded = decode(UP, message("up", {"data": b"\5\4\1f"}))
        assert measured(decoded)[0].values == {"data": "BQQBZg=="}

    def test_what_a_codec_returns_may_be_anything(self) -> None:
        found = {"text": "12", "none": None, "flag": True, "list": [1, {"a": "b"}], "inf": float("inf")}
        decoded = decode(UP, message("up", {"object": found}))
        assert decoded.readings[0].values == {"text": 12.0, "flag": True, "list.1": 1.0, "list.2.a": "b"}
        refused(decoded, Reason.BAD_VALUE, "'inf'")

    def test_a_status_and_a_position_are_read(self) -> None:
        status = message("status", {"margin": -3, "battery_level": 87.4})
        found = only(decode(f"{BASE}/event/status", status)).values
        assert found == {"margin": -3.0, "externalPowerSource": False, "batteryLevel": 87.4}
        location = message("location", {"location": {"latitude": 46.5, "longitude": 6.625, "accuracy": 12.5}})
        found = only(decode(f"{BASE}/event/location", location)).values
        assert found == {"latitude": 46.5, "longitude": 6.625, "accuracy": 12.5}

    @given(st.floats(width=32, allow_nan=False, allow_infinity=False).filter(bool))
    def test_a_short_float_is_none_other_and_has_no_digits_of_a_longer_one(self, sent: float) -> None:
        found = only(decode(f"{BASE}/event/status", message("status", {"battery_level": sent}))).values["batteryLevel"]
        assert struct.pack("f", found) == struct.pack("f", sent)
        assert len(repr(found)) <= len(repr(sent))

    @pytest.mark.parametrize(("code", "name"), [(4, "OTAA"), (0, "UNKNOWN"), (99, "99"), (-1, "-1")])
    def test_an_error_in_the_log_has_the_name_of_its_code(self, code: int, name: str) -> None:
        found = only(decode(f"{BASE}/event/log", message("log", {"level": 2, "code": code, "description": "x"})))
        assert found.values == {"log.code": name, "log.description": "x"}

    def test_a_join_is_read(self) -> None:
        assert decode(f"{BASE}/event/join", message("join", {})).states[0].online

    @pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"[1]", b"hello", b"\x0a\x02\xff\xff"])
    def test_what_is_neither_is_malformed(self, payload: bytes) -> None:
        refused(decode(UP, payload), Reason.MALFORMED)

    @given(st.binary(max_size=100), st.sampled_from(sorted(chirpstack_events.EVENTS)))
    def test_any_bytes_have_one_outcome(self, tail: bytes, name: str) -> None:
        decode(f"{BASE}/event/{name}", message(name, {}) + tail)
        decode(f"{BASE}/event/{name}", tail)

    @given(st.dictionaries(st.text("abc", min_size=1), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
    def test_what_a_codec_returns_comes_through_exactly(self, sent: dict[str, float]) -> None:
        assert measured(decode(UP, message("up", {"object": sent})))[0].values == sent
        assert measured(decode(UP, json.dumps(uplink(object=sent))))[0].values == sent
