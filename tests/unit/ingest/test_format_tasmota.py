import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.readings import Reading, Value
from ingest.findings import HEALTH
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row, TableError, read
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

USUAL = Ingest()
SECOND = 1_000_000_000
TIME = "2026-01-01T00:00:52"
AT = 1_767_225_652 * SECOND
ASSUMED = {"zone_assumed": "UTC"}


def send(topic: str, payload: object, *, retained: bool = False, ingest: Ingest = USUAL, at: int = NOW) -> Decoded:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return ingest.decode(topic, text, retained=retained, at=at)


def sensors(body: dict[str, object]) -> Decoded:
    return send("tele/loft/SENSOR", {"Time": TIME, **body})


class TestSensors:
    def test_metrics_are_nested_by_sensor(self) -> None:
        decoded = sensors(
            {
                "DS18B20-1": {"Id": "3C01F0AA11BB", "Temperature": 12.4},
                "BME280": {"Temperature": 19.5, "Humidity": 61.0, "DewPoint": 11.8, "Pressure": 1009.2},
                "TempUnit": "C",
                "PressureUnit": "hPa",
            }
        )
        assert only(decoded) == Reading(
            "loft",
            AT,
            NOW,
            {
                "DS18B20-1.Temperature": 12.4,
                "BME280.Temperature": 19.5,
                "BME280.Humidity": 61.0,
                "BME280.DewPoint": 11.8,
                "BME280.Pressure": 1009.2,
            },
            ASSUMED,
        )
        assert decoded.units == {
            "loft": {
                "DS18B20-1.Temperature": "C",
                "BME280.Temperature": "C",
                "BME280.Humidity": "%",
                "BME280.DewPoint": "C",
                "BME280.Pressure": "hPa",
            }
        }
        assert decoded.facts == {"loft": {"id.DS18B20-1": "3C01F0AA11BB"}}

    def test_units_are_those_that_the_message_names(self) -> None:
        decoded = sensors(
            {
                "AM2301": {"Temperature": 61.2},
                "WIND": {"Speed": 9.5},
                "BMP": {"Pressure": 757, "SeaPressure": 760},
                "TempUnit": "F",
                "SpeedUnit": "km/h",
                "PressureUnit": "mmHg",
            }
        )
        assert decoded.units == {
            "loft": {
                "AM2301.Temperature": "F",
                "WIND.Speed": "km/h",
                "BMP.Pressure": "mmHg",
                "BMP.SeaPressure": "mmHg",
            }
        }
        assert sensors({"AM2301": {"Temperature": 61.2}}).units is None

    def test_energy_has_fixed_units_and_arrays_are_phases(self) -> None:
        decoded = sensors(
            {
                "ENERGY": {
                    "TotalStartTime": "2025-03-01T12:00:00",
                    "Total": 97.31,
                    "Power": [40, 63],
                    "ApparentPower": [41, 70],
                    "ReactivePower": [9, 30],
                    "Factor": [0.97, 0.9],
                    "Voltage": 231,
                    "Current": [0.178, 0.303],
                }
            }
        )
        assert only(decoded).values == {
            "ENERGY.Total": 97.31,
            "ENERGY.Power.1": 40.0,
            "ENERGY.Power.2": 63.0,
            "ENERGY.ApparentPower.1": 41.0,
            "ENERGY.ApparentPower.2": 70.0,
            "ENERGY.ReactivePower.1": 9.0,
            "ENERGY.ReactivePower.2": 30.0,
            "ENERGY.Factor.1": 0.97,
            "ENERGY.Factor.2": 0.9,
            "ENERGY.Voltage": 231.0,
            "ENERGY.Current.1": 0.178,
            "ENERGY.Current.2": 0.303,
        }
        assert decoded.units is not None
        assert {name: unit for name, unit in decoded.units["loft"].items() if not name.endswith("2")} == {
            "ENERGY.Total": "kWh",
            "ENERGY.Power.1": "W",
            "ENERGY.ApparentPower.1": "VA",
            "ENERGY.ReactivePower.1": "var",
            "ENERGY.Voltage": "V",
            "ENERGY.Current.1": "A",
        }

    def test_null_means_that_a_sensor_did_not_answer(self) -> None:
        decoded = sensors({"DS18B20": {"Id": "3C01F0AA11BB", "Temperature": None}, "ANALOG": {"A0": 512}})
        assert only(decoded).values == {"ANALOG.A0": 512.0}
        assert decoded.left_out == {Ignored.NO_VALUE: 1}

    def test_switches_are_booleans_and_other_words_are_text(self) -> None:
        assert only(sensors({"Switch1": "ON", "Switch2": "HALF", "State": "ON"})).values == {
            "Switch1": True,
            "Switch2": "HALF",
            "State": "ON",
        }

    @pytest.mark.parametrize(("suffix", "prefix"), [("STATUS8", "stat"), ("STATUS10", "stat"), ("STATUS10", "tele")])
    def test_a_status_wraps_the_same_tree(self, suffix: str, prefix: str) -> None:
        decoded = send(f"{prefix}/loft/{suffix}", {"StatusSNS": {"Time": TIME, "SHT3X": {"Temperature": 3.5}}})
        assert only(decoded) == Reading("loft", AT, NOW, {"SHT3X.Temperature": 3.5}, ASSUMED)

    @pytest.mark.parametrize("payload", ["[]", "5", "{", "hello", '{"ENERGY": '])
    def test_what_is_no_object_is_malformed(self, payload: str) -> None:
        refused(send("tele/loft/SENSOR", payload), Reason.MALFORMED)

    def test_a_bad_time_rejects_the_message(self) -> None:
        refused(send("tele/loft/SENSOR", {"Time": "2026-02-30T00:00:00", "A": {"T": 1}}), Reason.BAD_TIME)


class TestTime:
    @pytest.mark.parametrize(
        ("stated", "received", "ts"),
        [
            # Berlin, one hour ahead; then the hour that comes twice, and the one that does not come at all.
            ("2026-01-01T01:00:52", NOW, AT),
            ("2026-10-25T02:30:00", 1_792_888_260 * SECOND, 1_792_888_200 * SECOND),
            ("2026-10-25T02:30:00", 1_792_891_860 * SECOND, 1_792_891_800 * SECOND),
            ("2026-03-29T02:30:00", 1_774_747_800 * SECOND, 1_774_747_800 * SECOND),
            ("2026-01-01T01:00:52+01:00", NOW, AT),
        ],
    )
    def test_it_is_local_in_the_zone_of_the_registry(self, stated: str, received: int, ts: int) -> None:
        record = DeviceRecord(1, "loft", enabled=True, profile="", zone="Europe/Berlin")
        decoded = send(
            "tele/loft/SENSOR", {"Time": stated, "A": {"T": 1}}, ingest=Ingest(records={"loft": record}), at=received
        )
        assert only(decoded).ts == ts
        assert only(decoded).flags == ({} if "+" in stated else {"zone_assumed": "Europe/Berlin"})

    def test_else_in_the_zone_of_the_route(self) -> None:
        ingest = Ingest([Row("tasmota", ["tele/+/+"], "tasmota", zone="Asia/Tokyo")])
        decoded = send("tele/loft/SENSOR", {"Time": "2026-01-01T09:00:52", "A": {"T": 1}}, ingest=ingest)
        assert (only(decoded).ts, only(decoded).flags) == (AT, {"zone_assumed": "Asia/Tokyo"})

    def test_1970_is_a_clock_that_is_not_set(self) -> None:
        reading = only(send("tele/loft/SENSOR", {"Time": "1970-01-01T00:00:09", "A": {"T": 1}}))
        assert (reading.ts, reading.flags) == (NOW, {**ASSUMED, "clock": "1970-01-01T00:00:09"})

    def test_without_a_time_it_is_that_of_arrival(self) -> None:
        assert only(send("tele/loft/SENSOR", {"A": {"T": 1}})) == Reading("loft", NOW, NOW, {"A.T": 1.0})


class TestState:
    def test_what_a_device_says_of_itself_is_health_and_what_it_does_is_not(self) -> None:
        decoded = send(
            "tele/loft/STATE",
            {
                "Time": TIME,
                "Uptime": "0T02:10:05",
                "UptimeSec": 7805,
                "Heap": 25,
                "POWER1": "ON",
                "POWER2": "OFF",
                "Dimmer": 40,
                "Wifi": {"AP": 1, "RSSI": 72, "Signal": -64},
            },
        )
        assert decoded.readings == [
            Reading("loft", AT, NOW, {"POWER1": True, "POWER2": False, "Dimmer": 40.0}, ASSUMED),
            Reading(
                "loft",
                AT,
                NOW,
                {
                    "Uptime": "0T02:10:05",
                    "UptimeSec": 7805.0,
                    "Heap": 25.0,
                    "Wifi.AP": 1.0,
                    "Wifi.RSSI": 72.0,
                    "Wifi.Signal": -64.0,
                },
                {**ASSUMED, **HEALTH},
            ),
        ]
        assert decoded.units == {"loft": {"UptimeSec": "s", "Heap": "kB", "Wifi.RSSI": "%", "Wifi.Signal": "dBm"}}

    def test_it_comes_wrapped_in_a_status_too(self) -> None:
        decoded = send("stat/loft/STATUS11", {"StatusSTS": {"Time": TIME, "Heap": 25}})
        assert only(decoded).flags == {**ASSUMED, **HEALTH}

    @pytest.mark.parametrize(("payload", "online"), [("Online", True), ("Offline", False), ("online", True)])
    def test_the_will_says_whether_it_is_there(self, payload: str, *, online: bool) -> None:
        decoded = send("tele/loft/LWT", payload, retained=True)
        assert [(state.device, state.online, state.at) for state in decoded.states] == [("loft", online, NOW)]

    def test_another_will_is_malformed_and_an_empty_one_nothing(self) -> None:
        refused(send("tele/loft/LWT", "Gone"), Reason.MALFORMED, "LWT")
        refused(USUAL.decode("tele/loft/LWT", b"\xff"), Reason.MALFORMED, "LWT")
        assert send("tele/loft/LWT", "").ignored is Ignored.EMPTY


class TestRelays:
    @pytest.mark.parametrize(("payload", "value"), [("ON", True), ("OFF", False), ("HALF", "HALF")])
    def test_a_relay_is_on_or_off(self, payload: str, value: Value) -> None:
        assert only(send("stat/loft/POWER2", payload)) == Reading("loft", NOW, NOW, {"POWER2": value})

    def test_a_reply_that_tells_an_output_is_its_state(self) -> None:
        assert only(send("stat/loft/RESULT", {"POWER": "OFF"})).values == {"POWER": False}
        assert only(send("stat/loft/RESULT", {"POWER": "ON", "Dimmer": 30, "Fade": "OFF"})).values == {
            "POWER": True,
            "Dimmer": 30.0,
        }
        assert only(send("stat/loft/POWER", {"POWER": "ON"})).values == {"POWER": True}

    def test_what_both_topics_tell_is_taken_once(self) -> None:
        ingest = Ingest()
        outcomes = []
        for ms, word in ((0, "ON"), (300, "OFF"), (600, "ON"), (900, "ON")):
            result = send("stat/loft/RESULT", {"POWER": word}, ingest=ingest, at=NOW + ms * 1_000_000)
            plain = send("stat/loft/POWER", word, ingest=ingest, at=NOW + (ms + 5) * 1_000_000)
            outcomes += [only(result).values["POWER"], plain.ignored]
        assert outcomes == [value for on in (True, False, True, True) for value in (on, Ignored.REPEAT)]

    def test_of_the_plain_topic_alone_nothing_is_lost(self) -> None:
        ingest = Ingest()
        values = [
            only(send("stat/loft/POWER", word, ingest=ingest, at=NOW + number * 1_000)).values["POWER"]
            for number, word in enumerate(["ON", "OFF", "ON", "ON"])
        ]
        assert values == [True, False, True, True]

    @pytest.mark.parametrize("body", [{"SetOption52": "ON"}, {"Command": "Unknown"}, {"TelePeriod": 300}])
    def test_other_replies_are_ignored(self, body: dict[str, object]) -> None:
        assert send("stat/loft/RESULT", body).ignored is Ignored.COMMAND

    @pytest.mark.parametrize("name", ["IrReceived", "RfReceived"])
    def test_what_a_remote_control_sent_is_an_event(self, name: str) -> None:
        assert send("tele/loft/RESULT", {name: {"Data": "0x7E31"}}).ignored is Ignored.EVENT

    def test_an_empty_relay_is_ignored_and_a_retained_one_has_no_time(self) -> None:
        assert send("stat/loft/POWER", "").ignored is Ignored.EMPTY
        assert send("stat/loft/POWER", "ON", retained=True, ingest=Ingest()).ignored is Ignored.RETAINED_UNTIMED
        refused(USUAL.decode("stat/loft/POWER", b"\xff"), Reason.MALFORMED)


class TestZigbee:
    def test_devices_behind_a_bridge_are_split_from_it(self) -> None:
        decoded = send(
            "tele/zb/SENSOR",
            {
                "ZbReceived": {
                    "0x4A73": {
                        "Device": "0x4A73",
                        "Name": "cold store",
                        "Temperature": -18.5,
                        "Humidity": 44,
                        "BatteryPercentage": 81,
                        "Endpoint": 1,
                        "LinkQuality": 97,
                    },
                    "0x10F2": {"Device": "0x10F2", "Occupancy": 1},
                    "0x0001": 5,
                }
            },
        )
        assert decoded.readings == [
            Reading("zb:0x4A73", NOW, NOW, {"Temperature": -18.5, "Humidity": 44.0}),
            Reading("zb:0x4A73", NOW, NOW, {"BatteryPercentage": 81.0, "LinkQuality": 97.0}, HEALTH),
            Reading("zb:0x10F2", NOW, NOW, {"Occupancy": 1.0}),
        ]
        assert decoded.facts == {"zb:0x4A73": {"name": "cold store"}}
        refused(decoded, Reason.MALFORMED, "'0x0001' in ZbReceived is a number")

    def test_they_are_told_by_address_where_the_key_is_a_name(self) -> None:
        decoded = send("tele/zb/RESULT", {"ZbReceived": {"cold store": {"Device": "0x4A73", "Temperature": 1}}})
        assert only(decoded).device == "zb:0x4A73"
        decoded = send("tele/zb/SENSOR", {"ZbReceived": {"cold store": {"Temperature": 1}}})
        assert only(decoded).device == "zb:cold store"

    def test_the_bridges_own_sensors_stay_its_own(self) -> None:
        decoded = send("tele/zb/SENSOR", {"A": {"T": 1}, "ZbReceived": {"0x1": {"T": 2}}})
        assert [(r.device, r.values) for r in decoded.readings] == [("zb", {"A.T": 1.0}), ("zb:0x1", {"T": 2.0})]

    def test_what_is_no_map_of_devices_is_malformed(self) -> None:
        refused(send("tele/zb/SENSOR", {"ZbReceived": [1]}), Reason.MALFORMED, "ZbReceived is an array")


class TestAboutTheDevice:
    def test_what_it_tells_at_its_start_are_facts(self) -> None:
        decoded = send("tele/loft/INFO1", {"Info1": {"Module": "Plug 7", "Version": "14.2.0", "GroupTopic": "x"}})
        assert decoded.facts == {"loft": {"model": "Plug 7", "firmware": "14.2.0"}}
        assert decoded.ignored is Ignored.METADATA
        assert send("tele/loft/INFO3", {"RestartReason": "Power On", "BootCount": 2}).facts == {
            "loft": {"restart": "Power On"}
        }

    def test_so_is_what_it_announces(self) -> None:
        decoded = send(
            "tasmota/discovery/A1B2C3D4E5F6/config",
            {"dn": "Loft fan", "t": "loft", "md": "Plug 7", "sw": "14.2.0", "mac": "A1B2C3D4E5F6", "fn": ["x"]},
            retained=True,
        )
        assert decoded.facts == {
            "loft": {"name": "Loft fan", "model": "Plug 7", "firmware": "14.2.0", "mac": "A1B2C3D4E5F6"}
        }
        assert decoded.ignored is Ignored.METADATA
        assert send("tasmota/discovery/A1B2C3D4E5F6/sensors", {"sn": {"A": {"T": 1}}}).ignored is Ignored.METADATA

    @pytest.mark.parametrize(
        ("topic", "why"),
        [
            ("stat/loft/STATUS", Ignored.METADATA),
            ("stat/loft/STATUS5", Ignored.METADATA),
            ("stat/loft/LOGGING", Ignored.COMMAND),
            ("stat/loft/BUTTON1", Ignored.EVENT),
            ("stat/loft/SWITCH2", Ignored.EVENT),
            ("tele/loft/HASS_STATE", Ignored.UNSUPPORTED),
        ],
    )
    def test_other_topics_are_ignored(self, topic: str, why: Ignored) -> None:
        assert send(topic, {"x": 1}).ignored is why


class TestPattern:
    @pytest.mark.parametrize(
        ("pattern", "topic", "device"),
        [
            ("site/%topic%/%prefix%/", "site/loft/tele/SENSOR", "loft"),
            ("%topic%/%prefix%", "loft/tele/SENSOR", "loft"),
            ("%prefix%/%topic%/", "tele/house/loft/SENSOR", "house%2Floft"),
            ("%prefix%/%hostname%/%topic%/", "tele/h-1/loft/SENSOR", "loft"),
            ("a.b/%prefix%/%topic%/", "a.b/tele/loft/SENSOR", "loft"),
        ],
    )
    def test_it_says_where_the_device_is(self, pattern: str, topic: str, device: str) -> None:
        command = topic.replace("tele", "cmnd")
        ingest = Ingest([Row("mine", [topic, command], "tasmota", options={"pattern": pattern})])
        decoded = send(topic, {"A": {"T": 1}}, ingest=ingest)
        assert only(decoded).device == device
        assert send(command, "", ingest=ingest).ignored is Ignored.COMMAND

    def test_a_topic_of_another_pattern_is_malformed(self) -> None:
        ingest = Ingest([Row("mine", ["x/#"], "tasmota", options={"pattern": "x/%prefix%/%topic%/"})])
        refused(send("x/SENSOR", "{}", ingest=ingest), Reason.MALFORMED, "pattern")

    def test_it_has_to_name_prefix_and_topic(self, tmp_path: Path) -> None:
        path = tmp_path / "routes.toml"
        path.write_text(
            '[[route]]\nname = "t"\nfilters = ["t/#"]\ndecoder = "tasmota"\noptions = {pattern = "tele/%topic%/"}\n'
        )
        with pytest.raises(TableError, match="%prefix%"):
            read(path)


@given(
    st.dictionaries(
        st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8),
        st.dictionaries(st.sampled_from(["Temperature", "Humidity", "A0"]), st.floats(-1e6, 1e6), min_size=1),
        min_size=1,
        max_size=5,
    )
)
def test_every_value_of_every_sensor_is_kept(tree: dict[str, dict[str, float]]) -> None:
    tree = {f"s{name}": values for name, values in tree.items()}
    assert only(sensors(dict(tree))).values == {
        f"{name}.{field}": value for name, values in tree.items() for field, value in values.items()
    }
