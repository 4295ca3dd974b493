import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.readings import Reading
from ingest import table
from ingest.findings import SECONDS
from ingest.outcomes import Ignored, State
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, only, refused

SENSOR = "A4:C1:38:0F:5E:31"
TOPIC = "home/OMG_stable/BTtoMQTT/A4C1380F5E31"


def advert(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    return {
        "id": SENSOR,
        "name": "ATC_0F5E31",
        "brand": "Acme",
        "model": "TH2",
        "type": "THB",
        "rssi": -77,
        "distance": 6.2,
        "tempc": 3.6,
        "tempf": 38.48,
        "hum": 88,
        "batt": 71,
        "volt": 2.95,
        "servicedata": "0a1b",
    } | more


def test_an_advert_is_a_reading_and_what_is_about_the_sensor_another() -> None:
    decoded = decode(TOPIC, json.dumps(advert()))
    assert decoded.readings == [
        Reading(SENSOR, NOW, NOW, {"tempc": 3.6, "hum": 88.0, "volt": 2.95}),
        Reading(
            SENSOR, NOW, NOW, {"batt": 71.0, "rssi": -77.0, "distance": 6.2, "gateway": "OMG_stable"}, {"health": ""}
        ),
    ]
    assert decoded.units == {
        SENSOR: {"tempc": "degC", "hum": "%", "volt": "V", "batt": "%", "rssi": "dBm", "distance": "m"}
    }
    assert decoded.facts == {SENSOR: {"name": "ATC_0F5E31", "brand": "Acme", "model": "TH2"}}


def test_units_are_those_of_the_convention() -> None:
    plants = advert(moi=41, lux=812, fer=350, pres=1013.2)
    units = decode(TOPIC, json.dumps(plants)).units
    assert units is not None
    assert {name: units[SENSOR][name] for name in ("moi", "lux", "fer", "pres")} == {
        "moi": "%",
        "lux": "lx",
        "fer": "uS/cm",
        "pres": "hPa",
    }


def test_fahrenheit_alone_is_kept() -> None:
    body = advert()
    del body["tempc"]
    decoded = decode(TOPIC, json.dumps(body))
    assert decoded.readings[0].values["tempf"] == 38.48
    assert decoded.units is not None
    assert decoded.units[SENSOR]["tempf"] == "degF"


def test_numbers_as_text_are_numbers() -> None:
    assert decode(TOPIC, json.dumps(advert(tempc="3.6", hum="88"))).readings[0].values["tempc"] == 3.6


class TestIdentity:
    def test_the_id_and_the_topic_name_one_device_in_one_spelling(self) -> None:
        body = advert()
        del body["id"]
        for text in (json.dumps(advert(id=SENSOR.lower())), json.dumps(body)):
            assert {reading.device for reading in decode(TOPIC, text).readings} == {SENSOR}

    def test_an_id_that_is_no_address_is_kept_as_sent(self) -> None:
        assert decode("home/gw/LORAtoMQTT", json.dumps({"id": "node/7", "tempc": 1})).readings[0].device == "node%2F7"

    def test_a_body_without_id_on_a_topic_without_device_is_of_nobody(self) -> None:
        assert decode("home/gw/LORAtoMQTT", '{"message": "x", "tempc": 1}').ignored is Ignored.UNSUPPORTED

    def test_the_gateway_s_name_and_what_stands_before_it_may_be_any(self) -> None:
        ingest = Ingest([Row("farm", ["farm/radio/#"], "openmqttgateway")])
        found = ingest.decode("farm/radio/gate/BTtoMQTT/A4C1380F5E31", json.dumps(advert()))
        assert found.readings[1].values["gateway"] == "gate"


class TestTimes:
    def test_it_may_be_in_seconds_or_iso(self) -> None:
        for stated in ({"unixtime": 1767225621}, {"UTCtime": "2026-01-01T00:00:21Z"}):
            found = decode(TOPIC, json.dumps(advert(**stated))).readings[0]
            assert found.ts == 1_767_225_621 * SECONDS
            assert not {"unixtime", "UTCtime"} & found.values.keys()

    def test_a_bad_one_rejects_the_advert(self) -> None:
        refused(decode(TOPIC, json.dumps(advert(UTCtime="noon"))), Reason.BAD_TIME)


@pytest.mark.parametrize(
    "more",
    [
        {"servicedata": "0a1b"},
        {"manufacturerdata": "4c000215", "mac_type": 1},
        {"name": "Phone", "txpower": 8},
        {},
    ],
)
def test_an_advert_that_nobody_could_decode_makes_no_reading(more: dict[str, Any]) -> None:
    decoded = decode("home/gw/BTtoMQTT/5F00000000A1", json.dumps({"id": "5F:00:00:00:00:A1", "rssi": -80} | more))
    assert (decoded.ignored, decoded.facts) == (Ignored.UNDECODED_ADVERT, None)


@pytest.mark.parametrize("kind", ["PHONE", "RMAC"])
def test_phones_and_watches_of_passers_by_are_no_devices_unless_somebody_registered_them(kind: str) -> None:
    body = json.dumps({"id": "5F:00:00:00:00:A2", "type": kind, "model": "Acme Phone", "unlocked": True, "rssi": -80})
    passing = decode("home/gw/BTtoMQTT/5F00000000A2", body)
    assert (passing.ignored, passing.facts) == (Ignored.FOREIGN_ADVERT, None)
    ours = Ingest(records={"5F:00:00:00:00:A2": DeviceRecord(1, "5F:00:00:00:00:A2", enabled=True, profile="")})
    assert ours.decode("home/gw/BTtoMQTT/5F00000000A2", body).readings


def test_a_type_that_is_no_text_is_none() -> None:
    assert decode(TOPIC, json.dumps(advert(type=["PHONE"]))).readings


class TestRepeats:
    def test_two_gateways_hear_one_advert(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, json.dumps(advert())).readings
        elsewhere = "home/OMG_house/BTtoMQTT/A4C1380F5E31"
        again = json.dumps(advert(rssi=-91, distance=11.5))
        assert ingest.decode(elsewhere, again, at=NOW + 3 * SECONDS).ignored is Ignored.REPEAT
        assert ingest.decode(elsewhere, again, at=NOW + 3 * SECONDS, replayed=True).readings
        assert ingest.decode(elsewhere, again, at=NOW + 6 * SECONDS).readings

    def test_other_values_are_no_repeat(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, json.dumps(advert())).readings
        assert ingest.decode(TOPIC, json.dumps(advert(hum=89))).readings


class TestRtl433:
    TOPIC = "home/OMG_stable/RTL_433toMQTT/Acme-6in1/77"
    BODY = '{"model": "Acme-6in1", "id": 77, "temperature_C": 3.6, "battery_ok": 1, "mic": "CRC", "rssi": -80}'

    def test_its_names_are_read_as_rtl_433_s(self) -> None:
        decoded = decode(self.TOPIC, self.BODY)
        assert decoded.readings == [
            Reading("Acme-6in1:77", NOW, NOW, {"temperature_C": 3.6}),
            Reading(
                "Acme-6in1:77",
                NOW,
                NOW,
                {"battery_ok": 1.0, "rssi": -80.0, "gateway": "OMG_stable"},
                {"health": ""},
            ),
        ]

    def test_how_long_a_packet_took_tells_no_two_apart(self) -> None:
        ingest, body = Ingest(), json.loads(self.BODY)
        first = ingest.decode(self.TOPIC, json.dumps(body | {"protocol": "Acme weather", "duration": 612004}))
        assert first.readings[0].values == {"temperature_C": 3.6}
        again = ingest.decode(self.TOPIC, json.dumps(body | {"protocol": "Acme weather", "duration": 611998}))
        assert again.ignored is Ignored.REPEAT

    def test_a_packet_with_nothing_in_it_is_none(self) -> None:
        assert decode(self.TOPIC, '{"model": "Acme-6in1", "id": 77, "mic": "CRC"}').ignored is Ignored.METADATA

    def test_a_packet_that_may_be_noise_has_to_be_heard_twice(self) -> None:
        ingest, body = Ingest(), json.loads(self.BODY)
        del body["mic"]
        assert ingest.decode(self.TOPIC, json.dumps(body)).ignored is Ignored.UNCONFIRMED
        assert ingest.decode(self.TOPIC, json.dumps(body), at=NOW + 6 * SECONDS).readings


class TestGateways:
    @pytest.mark.parametrize(("payload", "online"), [("online", True), ("Offline", False)])
    def test_their_will_is_their_state(self, payload: str, *, online: bool) -> None:
        assert decode("home/OMG_stable/LWT", payload).states == [State("OMG_stable", online=online, at=NOW)]

    def test_another_word_is_malformed_and_none_ignored(self) -> None:
        for payload in ("maybe", b"\xff"):
            refused(decode("home/OMG_stable/LWT", payload), Reason.MALFORMED)
        assert decode("home/OMG_stable/LWT", "").ignored is Ignored.EMPTY

    def test_what_they_say_of_themselves_is_their_health(self) -> None:
        body = {"uptime": 3600, "version": "1.8", "env": "esp32", "freemem": 84000, "rssi": -61, "modules": ["BT"]}
        decoded = decode("home/OMG_stable/SYStoMQTT", json.dumps(body))
        found = only(decoded)
        assert (found.device, found.flags) == ("OMG_stable", {"health": ""})
        assert found.values == {"uptime": 3600.0, "freemem": 84000.0, "rssi": -61.0}
        assert decoded.facts == {"OMG_stable": {"model": "esp32", "firmware": "1.8"}}


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("home/OMG_stable/commands/MQTTtoBT/config", '{"interval": 5}', Ignored.COMMAND),
        ("home/commands/MQTTto433", '{"value": 1}', Ignored.COMMAND),
        ("home/OMG_stable/433toMQTT", '{"value": 5264660, "protocol": 1}', Ignored.EVENT),
        ("home/OMG_stable/IRtoMQTT", '{"value": 551489775, "bits": 32}', Ignored.EVENT),
        ("home/OMG_stable/version", "1.8", Ignored.METADATA),
        ("home/kitchen/lamp", "on", Ignored.UNSUPPORTED),
        ("home//", "", Ignored.UNSUPPORTED),
        (TOPIC, "", Ignored.EMPTY),
    ],
)
def test_everything_else_is_ignored(topic: str, payload: str, why: Ignored) -> None:
    assert decode(topic, payload).ignored is why


def test_a_filter_this_wide_is_off_until_somebody_turns_it_on() -> None:
    assert [row.enabled for row in table.built_in() if row.decoder == "openmqttgateway"] == [False]


def test_a_bad_value_does_not_lose_its_neighbours() -> None:
    decoded = decode(TOPIC, '{"id": "A4:C1:38:0F:5E:31", "tempc": NaN, "hum": 3}')
    assert decoded.readings[0].values == {"hum": 3.0}
    refused(decoded, Reason.BAD_VALUE, "'tempc'")


@given(st.dictionaries(st.text("xyz", min_size=1), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_figures_come_through_exactly(sent: dict[str, float]) -> None:
    assert decode(TOPIC, json.dumps(sent)).readings[0].values == sent
