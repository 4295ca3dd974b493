import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.readings import Reading
from ingest.findings import SECONDS
from ingest.outcomes import Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, refused

TOPIC = "rtl_433/mast/events"
DEVICE = "Acme-6in1:77"
HEARD = 1_767_225_621_000_000_000


def event(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    return {
        "time": "2026-01-01 00:00:21",
        "model": "Acme-6in1",
        "id": 77,
        "battery_ok": 1,
        "temperature_C": -2.4,
        "humidity": 93,
        "wind_avg_m_s": 3.1,
        "rain_mm": 417.6,
        "mic": "CRC",
        "mod": "FSK",
        "freq1": 868.2,
        "freq2": 868.3,
        "rssi": -7.1,
        "snr": 18.2,
        "noise": -25.3,
    } | more


def test_an_event_is_a_reading_and_what_is_about_the_sensor_another() -> None:
    decoded = decode(TOPIC, json.dumps(event()))
    assert decoded.readings == [
        Reading(
            DEVICE,
            HEARD,
            NOW,
            {"temperature_C": -2.4, "humidity": 93.0, "wind_avg_m_s": 3.1, "rain_mm": 417.6},
            {"zone_assumed": "UTC"},
        ),
        Reading(
            DEVICE,
            HEARD,
            NOW,
            {"battery_ok": 1.0, "rssi": -7.1, "snr": 18.2, "noise": -25.3},
            {"zone_assumed": "UTC", "health": ""},
        ),
    ]
    assert decoded.units == {
        DEVICE: {
            "temperature_C": "degC",
            "humidity": "%",
            "wind_avg_m_s": "m/s",
            "rain_mm": "mm",
            "rssi": "dB",
            "snr": "dB",
            "noise": "dB",
        }
    }
    assert decoded.facts == {DEVICE: {"model": "Acme-6in1"}}


@pytest.mark.parametrize(
    ("identity", "device"),
    [
        ({}, "Acme-6in1:77"),
        ({"channel": 2}, "Acme-6in1:2:77"),
        ({"subtype": "S", "channel": "A", "id": "0x4d"}, "Acme-6in1:S:A:0x4d"),
        ({"id": None}, "Acme-6in1"),
        ({"model": "A/B:C", "id": 1}, "A%2FB%3AC:1"),
    ],
)
def test_the_device_is_named_by_what_there_is(identity: dict[str, Any], device: str) -> None:
    assert decode(TOPIC, json.dumps(event(**identity))).readings[0].device == device


@pytest.mark.parametrize("model", [None, 5, ["x"]])
def test_without_a_model_it_is_malformed(model: Any) -> None:  # noqa: ANN401 - as above
    refused(decode(TOPIC, json.dumps(event(model=model))), Reason.MALFORMED, "model")


def test_the_same_value_in_two_units_is_stored_once() -> None:
    assert "temperature_F" not in decode(TOPIC, json.dumps(event(temperature_F=27.7))).readings[0].values


class TestTimes:
    @pytest.mark.parametrize(
        ("stated", "ts"),
        [
            ("2026-01-01T00:00:21Z", HEARD),
            ("2026-01-01T01:00:21+0100", HEARD),
            ("2026-01-01 00:00:21.250000", HEARD + SECONDS // 4),
            ("1767225621", HEARD),
            ("1767225621.25", HEARD + SECONDS // 4),
            (1767225621, HEARD),
            (None, NOW),
        ],
    )
    def test_it_has_many_forms(self, stated: Any, ts: int) -> None:  # noqa: ANN401 - as above
        assert decode(TOPIC, json.dumps(event(time=stated))).readings[0].ts == ts

    def test_without_a_zone_it_is_in_that_of_the_host(self) -> None:
        ingest = Ingest(records={"mast": DeviceRecord(1, "mast", enabled=True, profile="", zone="Europe/Oslo")})
        reading = ingest.decode(TOPIC, json.dumps(event(time="2026-01-01 01:00:21"))).readings[0]
        assert (reading.ts, reading.flags) == (HEARD, {"zone_assumed": "Europe/Oslo"})

    def test_or_of_the_route(self) -> None:
        ingest = Ingest([Row("rtl", ["rtl_433/+/events"], "rtl433", zone="Europe/Oslo")])
        assert ingest.decode(TOPIC, json.dumps(event(time="2026-01-01 01:00:21"))).readings[0].ts == HEARD

    def test_a_bad_one_rejects_the_event(self) -> None:
        refused(decode(TOPIC, json.dumps(event(time="@0.25s"))), Reason.BAD_TIME)


class TestRepeats:
    def test_the_same_within_two_seconds_is_one_reading(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, json.dumps(event())).readings
        again = json.dumps(event(time="2026-01-01 00:00:22", rssi=-6.9, snr=17))
        assert ingest.decode(TOPIC, again, at=NOW + SECONDS).ignored is Ignored.REPEAT
        assert ingest.decode(TOPIC, again, at=NOW + SECONDS, replayed=True).readings
        assert ingest.decode(TOPIC, again, at=NOW + 3 * SECONDS).readings

    def test_other_values_or_another_sensor_are_none(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, json.dumps(event())).readings
        assert ingest.decode(TOPIC, json.dumps(event(rain_mm=417.9))).readings
        assert ingest.decode(TOPIC, json.dumps(event(battery_ok=0))).readings
        assert ingest.decode(TOPIC, json.dumps(event(id=78))).readings


class TestNoise:
    def no_checksum(self, **more: Any) -> str:  # noqa: ANN401 - whatever JSON holds
        body = event(**more)
        del body["mic"]
        return json.dumps(body)

    def test_without_a_checksum_a_device_that_nobody_registered_has_to_be_heard_twice(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, self.no_checksum()).ignored is Ignored.UNCONFIRMED
        assert ingest.decode(TOPIC, self.no_checksum(), at=NOW + SECONDS).ignored is Ignored.REPEAT
        assert ingest.decode(TOPIC, self.no_checksum(rain_mm=418), at=NOW + 16 * SECONDS).readings

    def test_the_second_hearing_is_not_one_of_a_day_later(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, self.no_checksum()).ignored is Ignored.UNCONFIRMED
        assert ingest.decode(TOPIC, self.no_checksum(), at=NOW + 86_400 * SECONDS).ignored is Ignored.UNCONFIRMED

    def test_one_that_is_registered_is_believed(self) -> None:
        assert (
            Ingest(records={DEVICE: DeviceRecord(1, DEVICE, enabled=True, profile="")})
            .decode(TOPIC, self.no_checksum())
            .readings
        )

    def test_one_that_is_taken_again_by_hand_is_believed_too(self) -> None:
        assert decode(TOPIC, self.no_checksum(), replayed=True).readings


def test_the_same_values_one_a_topic_are_left_alone() -> None:
    assert decode("rtl_433/mast/devices/Acme-6in1/77/temperature_C", "-2.4").ignored is Ignored.REPEAT


def test_the_states_of_the_program_are_ignored() -> None:
    assert decode("rtl_433/mast/states", '{"sample_rate": 250000}').ignored is Ignored.METADATA


def test_an_empty_payload_is_ignored_and_what_is_no_object_malformed() -> None:
    assert decode(TOPIC, "").ignored is Ignored.EMPTY
    refused(decode(TOPIC, "[1]"), Reason.MALFORMED)


def test_a_bad_value_does_not_lose_its_neighbours() -> None:
    decoded = decode(TOPIC, '{"model": "A", "id": 1, "mic": "CRC", "humidity": NaN, "rain_mm": 3}')
    assert [reading.values for reading in decoded.readings] == [{"rain_mm": 3.0}]
    refused(decoded, Reason.BAD_VALUE, "'humidity'")


@given(st.dictionaries(st.text("abc_", min_size=1), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_figures_come_through_exactly(sent: dict[str, float]) -> None:
    payload = json.dumps({"model": "A", "id": 1, "mic": "CRC"} | sent)
    assert decode(TOPIC, payload).readings[0].values == sent
