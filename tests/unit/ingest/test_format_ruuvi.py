import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest import ruuvi_adverts
from ingest.findings import SECONDS
from ingest.outcomes import Decoded, Ignored, State
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, only, refused

GATEWAY, SENSOR = "D1:07:5A:3C:88:E9", "C4:D5:E6:F7:08:1A"
TOPIC = f"ruuvi/{GATEWAY}/{SENSOR}"
HEARD = 1_767_225_619_000_000_000
MAC = bytes.fromhex("C4D5E6F7081A")


def format_5(
    temperature: int = 1284,
    humidity: int = 28540,
    pressure: int = 49870,
    acceleration: tuple[int, int, int] = (12, -28, 1004),
    power: int = (2917 - 1600) << 5 | 22,
    movement: int = 37,
    sequence: int = 5120,
) -> bytes:
    return (
        struct.pack(">BhHHhhhHBH", 5, temperature, humidity, pressure, *acceleration, power, movement, sequence) + MAC
    )


def advert(data: bytes, *, before: bytes = b"\x02\x01\x06") -> str:
    return (before + bytes([len(data) + 3, 0xFF, 0x99, 0x04]) + data).hex().upper()


def message(data: str | None, **more: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    body = {"gw_mac": GATEWAY, "rssi": -71, "aoa": [], "gwts": 1767225620, "ts": 1767225619, "coords": ""}
    return json.dumps(body | {"data": data} | more)


def measured(decoded: Decoded) -> dict[str, Any]:
    assert decoded.problems is None, decoded.problems.detail
    return decoded.readings[0].values


class TestFormat5:
    def test_it_is_a_reading_and_what_is_about_the_sensor_another(self) -> None:
        decoded = decode(TOPIC, message(advert(format_5())))
        assert decoded.readings == [
            Reading(
                SENSOR,
                HEARD,
                NOW,
                {
                    "temperature": 6.42,
                    "humidity": 71.35,
                    "pressure": 99870.0,
                    "acceleration_x": 12.0,
                    "acceleration_y": -28.0,
                    "acceleration_z": 1004.0,
                    "movement": 37.0,
                },
            ),
            Reading(
                SENSOR,
                HEARD,
                NOW,
                {"voltage": 2.917, "tx_power": 4.0, "sequence": 5120.0, "rssi": -71.0, "gateway": GATEWAY},
                {"health": ""},
            ),
        ]
        assert decoded.units is not None
        assert {decoded.units[SENSOR][name] for name in ("temperature", "pressure", "acceleration_x", "rssi")} == {
            "degC",
            "Pa",
            "mgn",
            "dBm",
        }

    def test_reserved_codes_are_no_value(self) -> None:
        none = format_5(-0x8000, 0xFFFF, 0xFFFF, (-0x8000, -0x8000, -0x8000), 0xFFFF, 0xFF, 0xFFFF)
        decoded = decode(TOPIC, message(advert(none)))
        assert only(decoded).values == {"rssi": -71.0, "gateway": GATEWAY}
        assert decoded.left_out == {Ignored.NO_VALUE: 10}

    def test_the_least_values_are_values(self) -> None:
        least = format_5(-0x7FFF, 0, 0, (-0x7FFF, 0, 0x7FFF), 0, 0, 0)
        readings = decode(TOPIC, message(advert(least))).readings
        assert readings[0].values == {
            "temperature": -163.835,
            "humidity": 0.0,
            "pressure": 50000.0,
            "acceleration_x": -32767.0,
            "acceleration_y": 0.0,
            "acceleration_z": 32767.0,
            "movement": 0.0,
        }
        assert (readings[1].values["voltage"], readings[1].values["tx_power"]) == (1.6, -40.0)

    @given(st.integers(-0x7FFF, 0x7FFF), st.integers(0, 0xFFFE))
    def test_every_temperature_and_humidity_comes_through(self, temperature: int, humidity: int) -> None:
        found = measured(decode(TOPIC, message(advert(format_5(temperature, humidity)))))
        assert found["temperature"] == pytest.approx(temperature * 0.005)
        assert found["humidity"] == pytest.approx(humidity * 0.0025)


class TestOtherFormats:
    def test_format_3_has_the_sign_of_its_temperature_in_a_bit_of_its_own(self) -> None:
        data = struct.pack(">BBBBHhhhH", 3, 0x29, 0x81, 69, 52_500, 1000, -1255, 1510, 2899)
        decoded = decode(TOPIC, message(advert(data)))
        assert measured(decoded) == {
            "temperature": -1.69,
            "humidity": 20.5,
            "pressure": 102500.0,
            "acceleration_x": 1000.0,
            "acceleration_y": -1255.0,
            "acceleration_z": 1510.0,
        }
        assert decoded.readings[1].values["voltage"] == 2.899

    def test_format_6_is_of_air(self) -> None:
        flags = 0b0100_0000  # the lowest bit of the first index
        data = struct.pack(">BhHHHHBBBBBB", 6, 4700, 18_000, 51_102, 112, 641, 60, 0, 100, 255, 205, flags) + b"\1\2\3"
        decoded = decode(TOPIC, message(advert(data)))
        assert measured(decoded) == {
            "temperature": 23.5,
            "humidity": 45.0,
            "pressure": 101102.0,
            "pm2_5": 11.2,
            "co2": 641.0,
            "voc_index": 121.0,
            "nox_index": 0.0,
            "luminosity": 77.75,
        }
        assert decoded.readings[1].values["sequence"] == 205.0

    def test_format_e1_is_of_air_too_and_has_more(self) -> None:
        data = struct.pack(">BhHHHHHHHBB", 0xE1, -200, 18_000, 51_102, 1, 112, 120, 0xFFFF, 641, 60, 0xFF)
        data += (13_027).to_bytes(3, "big") + b"\xff" * 3 + (70_000).to_bytes(3, "big") + b"\x80" + b"\xff" * 5 + MAC
        decoded = decode(TOPIC, message(advert(data, before=b"")))
        assert measured(decoded) == {
            "temperature": -1.0,
            "humidity": 45.0,
            "pressure": 101102.0,
            "pm1": 0.1,
            "pm2_5": 11.2,
            "pm4": 12.0,
            "co2": 641.0,
            "voc_index": 120.0,
            "luminosity": 130.27,
        }
        assert decoded.readings[1].values["sequence"] == 70000.0
        assert decoded.left_out == {Ignored.NO_VALUE: 2}, "pm10 and nox_index"

    def test_one_that_is_not_known_is_unsupported(self) -> None:
        assert decode(TOPIC, message(advert(b"\x08" + bytes(23)))).ignored is Ignored.UNSUPPORTED

    @pytest.mark.parametrize("number", [3, 5, 6, 0xE1])
    def test_one_that_is_cut_short_is_malformed(self, number: int) -> None:
        refused(decode(TOPIC, message(advert(bytes([number, 1])))), Reason.MALFORMED, "bytes, not 2")


class TestAdverts:
    @pytest.mark.parametrize(
        "data",
        [
            "0201061AFF4C000215" + "00" * 21,  # somebody's beacon
            "0201060303AAFE",  # no manufacturer's part
            "02010603FF9904",  # the part ends before a format
            "00",
            "1F",
            "02",
            advert(b"", before=b"\x00"),
        ],
    )
    def test_those_of_other_devices_are_foreign(self, data: str) -> None:
        assert decode(TOPIC, message(data)).ignored in (Ignored.FOREIGN_ADVERT, Ignored.UNSUPPORTED)

    def test_ours_is_found_behind_other_parts(self) -> None:
        assert measured(decode(TOPIC, message(advert(format_5(), before=b"\x02\x01\x06\x03\x03\xaa\xfe"))))

    @pytest.mark.parametrize("data", [None, "", 5, "hello", "0", "02010", "ab" * 5000])
    def test_what_is_no_advert_is_malformed(self, data: Any) -> None:  # noqa: ANN401 - as above
        refused(decode(TOPIC, message(data)), Reason.MALFORMED, "data")

    @given(st.binary(max_size=64))
    def test_any_bytes_have_one_outcome(self, data: bytes) -> None:
        decode(TOPIC, message(data.hex()))
        decode(TOPIC, message(advert(data[:40])))


class TestRepeats:
    def test_one_measurement_heard_again_is_one_reading(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, message(advert(format_5()))).readings
        elsewhere = f"ruuvi/D1:07:5A:3C:88:F0/{SENSOR}"
        again = ingest.decode(elsewhere, message(advert(format_5()), ts=1767225620), at=NOW + 2 * SECONDS)
        assert again.ignored is Ignored.REPEAT

    def test_the_same_values_with_another_number_are_another(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, message(advert(format_5()))).readings
        assert ingest.decode(TOPIC, message(advert(format_5(sequence=5121)))).readings

    def test_the_same_number_of_another_sensor_is_another(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, message(advert(format_5()))).readings
        assert ingest.decode(f"ruuvi/{GATEWAY}/C4:D5:E6:F7:08:1B", message(advert(format_5()))).readings

    def test_numbers_come_round(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, message(advert(format_5()))).readings
        assert ingest.decode(TOPIC, message(advert(format_5())), at=NOW + 61 * SECONDS).readings

    def test_without_a_number_the_bytes_tell(self) -> None:
        ingest = Ingest()
        for pressure, times in ((52_500, 2), (52_501, 1)):
            data = struct.pack(">BBBBHhhhH", 3, 41, 1, 69, pressure, 1000, -1255, 1510, 2899)
            taken = [bool(ingest.decode(TOPIC, message(advert(data))).readings) for _ in range(times)]
            assert taken == [True, False][:times]

    def test_a_message_that_is_taken_again_by_hand_is_no_repeat(self) -> None:
        ingest = Ingest()
        assert ingest.decode(TOPIC, message(advert(format_5()))).readings
        assert ingest.decode(TOPIC, message(advert(format_5())), replayed=True).readings

    def test_one_with_a_bad_time_is_not_taken_for_the_first(self) -> None:
        ingest = Ingest()
        refused(ingest.decode(TOPIC, message(advert(format_5()), ts="soon")), Reason.BAD_TIME)
        assert ingest.decode(TOPIC, message(advert(format_5()))).readings


class TestTimes:
    @pytest.mark.parametrize("stated", [1767225619, "1767225619"])
    def test_it_is_a_number_or_text(self, stated: Any) -> None:  # noqa: ANN401 - as above
        assert decode(TOPIC, message(advert(format_5()), ts=stated)).readings[0].ts == HEARD

    def test_without_ts_the_gateway_s_is_taken(self) -> None:
        body = json.loads(message(advert(format_5())))
        del body["ts"]
        assert decode(TOPIC, json.dumps(body)).readings[0].ts == HEARD + SECONDS

    def test_a_small_one_is_that_of_no_clock(self) -> None:
        found = decode(TOPIC, message(advert(format_5()), ts=411)).readings[0]
        assert (found.ts, found.flags) == (NOW, {"clock": "411"})


class TestIdentity:
    def test_the_sensor_is_the_device_in_one_spelling(self) -> None:
        found = decode("ruuvi/d1075a3c88e9/c4d5e6f7081a", message(advert(format_5()), gw_mac="d1075a3c88e9"))
        assert {reading.device for reading in found.readings} == {SENSOR}
        assert found.readings[1].values["gateway"] == GATEWAY

    def test_the_prefix_may_be_any(self) -> None:
        ingest = Ingest([Row("barn", ["barn/bt/#"], "ruuvi")])
        assert ingest.decode(f"barn/bt/{GATEWAY}/{SENSOR}", message(advert(format_5()))).readings[0].device == SENSOR


class TestGateways:
    @pytest.mark.parametrize(
        ("payload", "online"),
        [('{"state": "online"}', True), ('{"state": "offline"}', False), ("online", True), ('"offline"', False)],
    )
    def test_their_status_is_theirs(self, payload: str, *, online: bool) -> None:
        assert decode(f"ruuvi/{GATEWAY}/gw_status", payload).states == [State(GATEWAY, online=online, at=NOW)]

    @pytest.mark.parametrize("payload", ['{"state": 5}', "{", "[]", "maybe", b"\xff"])
    def test_any_other_is_malformed(self, payload: str | bytes) -> None:
        refused(decode(f"ruuvi/{GATEWAY}/gw_status", payload), Reason.MALFORMED)

    def test_an_empty_one_is_ignored(self) -> None:
        assert decode(f"ruuvi/{GATEWAY}/gw_status", "").ignored is Ignored.EMPTY


def test_a_broadcast_is_found_only_where_it_is_whole() -> None:
    assert ruuvi_adverts.broadcast(bytes.fromhex(advert(format_5()))) == format_5()
    assert ruuvi_adverts.broadcast(b"") is None
    assert ruuvi_adverts.read(b"") is None
