import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest import announcements, discovery
from ingest.announcements import MOST_ENTITIES, Topic, key_of
from ingest.memory import Memory
from ingest.outcomes import Decoded, Ignored
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

CONFIG = "homeassistant/sensor/press-4/oil_temp/config"
SHORT: dict[str, Any] = {
    "~": "mill/press-4",
    "name": "Oil temperature",
    "uniq_id": "press4_ot",
    "stat_t": "~/tele",
    "val_tpl": "{{ value_json.oil.t }}",
    "unit_of_meas": "°C",
    "dev_cla": "temperature",
    "stat_cla": "measurement",
    "exp_aft": 120,
    "avty_t": "~/lwt",
    "dev": {"ids": ["press4"], "name": "Press 4", "mf": "Olivetum", "mdl": "P-9", "sw": "3.1"},
}


def ingest_with(*configs: dict[str, Any], **others: dict[str, Any]) -> Ingest:
    ingest = Ingest()
    for number, config in enumerate(configs):
        announce(ingest, config, f"homeassistant/sensor/press-4/part{number}/config")
    for topic, config in others.items():
        announce(ingest, config, topic.replace("__", "/"))
    return ingest


def announce(ingest: Ingest, config: object, topic: str = CONFIG, **more: Any) -> Decoded:  # noqa: ANN401 - as decode
    decoded = ingest.decode(topic, config if isinstance(config, str) else json.dumps(config), **more)
    assert not decoded.readings
    assert decoded.problems is None
    return decoded


def entity(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a config may hold
    return {"stat_t": "mill/state", "dev": {"ids": "press4"}} | fields


def followed(ingest: Ingest) -> set[str]:
    return {topic for topic in ingest.routes.filters if topic.startswith(("mill", "plant"))}


def announced(config: dict[str, Any], payload: bytes | str, **more: Any) -> Decoded:  # noqa: ANN401 - as decode
    ingest = Ingest()
    announce(ingest, config)
    return ingest.decode("mill/state", payload, **more)


class TestConfig:
    def test_short_keys_and_the_base_topic_are_resolved(self) -> None:
        ingest = Ingest()
        told = announce(ingest, SHORT, retained=True)
        assert told.ignored is Ignored.METADATA
        assert told.facts == {
            "press4": {
                "name": "Press 4",
                "manufacturer": "Olivetum",
                "model": "P-9",
                "firmware": "3.1",
                "unit.oil_temp": "°C",
                "class.oil_temp": "temperature",
                "state_class.oil_temp": "measurement",
                "name.oil_temp": "Oil temperature",
                "interval.oil_temp": "120",
            }
        }
        assert followed(ingest) == {"mill/press-4/tele", "mill/press-4/lwt"}
        decoded = ingest.decode("mill/press-4/tele", '{"oil": {"t": 61.5}}')
        assert only(decoded) == Reading("press4", NOW, NOW, {"oil_temp": 61.5})
        assert decoded.units == {"press4": {"oil_temp": "°C"}}

    def test_long_keys_and_a_base_at_the_end_say_the_same(self) -> None:
        ingest = Ingest()
        config = {
            "~": "/tele",
            "state_topic": "mill/press-4~",
            "value_template": "{{ value_json['oil']['t'] | float }}",
            "device": {"identifiers": "press4"},
        }
        announce(ingest, config)
        assert only(ingest.decode("mill/press-4/tele", '{"oil": {"t": "61.5"}}')).values == {"oil_temp": 61.5}

    @pytest.mark.parametrize(
        ("device", "expected"),
        [
            ({"ids": ["a1", "a2"]}, "a1"),
            ({"ids": "a/1"}, "a%2F1"),
            ({"ids": 77}, "77"),
            ({"cns": [["mac", "02-ab-cd-ef-00-11"]]}, "02:AB:CD:EF:00:11"),
            ({"cns": [["zigbee", "0x12"]]}, "0x12"),
            ({}, "press-4"),
            (None, "press-4"),
            ("press", "press-4"),
        ],
    )
    def test_the_device_is_its_first_identifier_or_connection_or_the_node(self, device: object, expected: str) -> None:
        assert only(announced(entity(dev=device), "5")).device == expected

    def test_without_a_node_the_object_is_the_device(self) -> None:
        ingest = Ingest()
        announce(ingest, {"stat_t": "mill/state"}, "homeassistant/sensor/gauge/config")
        assert only(ingest.decode("mill/state", "5")) == Reading("gauge", NOW, NOW, {"gauge": 5.0})

    def test_one_config_may_hold_all_entities_of_a_device(self) -> None:
        ingest = Ingest()
        config = {
            "dev": {"ids": "press4", "name": "Press 4"},
            "o": {"name": "millware"},
            "stat_t": "mill/state",
            "cmps": {
                "force": {"p": "sensor", "unit_of_meas": "kN", "val_tpl": "{{ value_json.f }}"},
                "guard": {"platform": "binary_sensor", "state_topic": "mill/guard", "pl_on": "shut", "pl_off": "open"},
                "gone": {"p": "sensor"},
                "bad": 5,
            },
        }
        announce(ingest, config, "homeassistant/device/press-4/config")
        assert followed(ingest) == {"mill/state", "mill/guard"}
        assert only(ingest.decode("mill/state", '{"f": 12}')).values == {"force": 12.0}
        assert only(ingest.decode("mill/guard", "shut")).values == {"guard": True}
        del config["cmps"]["force"]  # type: ignore[attr-defined]
        announce(ingest, config, "homeassistant/device/press-4/config")
        assert followed(ingest) == {"mill/guard"}

    def test_an_empty_config_removes_what_it_announced(self) -> None:
        ingest = Ingest()
        announce(ingest, SHORT)
        assert announce(ingest, "").ignored is Ignored.METADATA
        assert followed(ingest) == set()
        assert [key for key in ingest.context.memory.keys("") if "press" in key and "metrics" not in key] == []

    def test_a_config_replaces_the_one_before_and_leaves_others_alone(self) -> None:
        ingest = ingest_with(entity(val_tpl="{{ value_json.a }}"), entity(val_tpl="{{ value_json.b }}"))
        announce(ingest, entity(stat_t="mill/other"), "homeassistant/sensor/press-4/part0/config")
        assert followed(ingest) == {"mill/state", "mill/other"}
        assert only(ingest.decode("mill/state", '{"a": 1, "b": 2}')).values == {"part1": 2.0}

    def test_the_same_config_again_changes_nothing(self) -> None:
        ingest = ingest_with(entity(), entity())
        announce(ingest, entity(), "homeassistant/sensor/press-4/part0/config")
        assert ingest.context.memory.changes() == []

    def test_entities_of_one_name_and_device_are_told_apart(self) -> None:
        ingest = Ingest()
        for kind, where in (("sensor", "a"), ("binary_sensor", "b"), ("sensor", "a")):
            announce(ingest, entity(stat_t=f"mill/{where}"), f"homeassistant/{kind}/press-4/door/config")
        announce(ingest, entity(stat_t="mill/c"), "homeassistant/sensor/door/config")
        assert only(ingest.decode("mill/a", "1")).values == {"door": 1.0}
        assert only(ingest.decode("mill/b", "ON")).values == {"binary_sensor.press-4.door": True}
        assert only(ingest.decode("mill/c", "3")).values == {"sensor.door": 3.0}

    def test_a_name_is_free_again_when_its_entity_is_removed(self) -> None:
        ingest = Ingest()
        announce(ingest, entity(), "homeassistant/sensor/press-4/door/config")
        announce(ingest, "", "homeassistant/sensor/press-4/door/config")
        announce(ingest, entity(), "homeassistant/switch/press-4/door/config")
        assert only(ingest.decode("mill/state", "OFF")).values == {"door": False}

    @pytest.mark.parametrize(
        "topic",
        [
            "mill/+/state",
            "mill/#",
            "#",
            "$SYS/uptime",
            "devices/press4/errors",
            "devices/other/telemetry/x",
            "devices",
            "",
        ],
    )
    def test_a_topic_that_cannot_be_the_devices_is_refused(self, topic: object) -> None:
        ingest = Ingest()
        before = ingest.routes.filters
        told = announce(ingest, entity(stat_t=topic))
        assert ingest.routes.filters == before
        assert told.ignored in (Ignored.UNSUPPORTED, Ignored.METADATA)

    @pytest.mark.parametrize("topic", ["x" * 300, "é" * 200, "a\tb", "\ud800"])
    def test_a_topic_that_cannot_be_remembered_is_refused(self, topic: str) -> None:
        ingest = Ingest()
        announce(ingest, entity(stat_t=topic))
        assert ingest.context.memory.count("announced") == 0

    def test_a_topic_of_its_own_below_devices_may_be_announced(self) -> None:
        ingest = Ingest()
        announce(ingest, entity(stat_t="devices/press4/raw"))
        assert only(ingest.decode("devices/press4/raw", "5")).values == {"oil_temp": 5.0}

    def test_a_command_topic_is_never_read(self) -> None:
        ingest = Ingest()
        announce(ingest, entity(stat_t="mill/set", cmd_t="mill/set"), "homeassistant/switch/press-4/pump/config")
        assert followed(ingest) == set()
        announce(ingest, entity(stat_t="mill/state", temp_cmd_t="plant/goal"), "homeassistant/climate/press-4/x/config")
        announce(ingest, entity(stat_t="plant/goal"), "homeassistant/sensor/press-4/goal/config")
        assert ingest.decode("plant/goal", "5").ignored is Ignored.COMMAND

    def test_a_template_that_is_not_taken_marks_its_entity_alone(self) -> None:
        template = "{{ value_json.a * 10 }}"
        ingest = Ingest()
        told = announce(ingest, entity(val_tpl=template))
        assert (told.ignored, told.left_out) == (Ignored.UNSUPPORTED, {Ignored.UNSUPPORTED: 1})
        assert told.facts is not None
        assert told.facts["press4"]["unsupported.oil_temp"] == template
        announce(ingest, entity(val_tpl="{{ value_json.b }}"), "homeassistant/sensor/press-4/b/config")
        assert only(ingest.decode("mill/state", '{"a": 1, "b": 2}')).values == {"b": 2.0}

    def test_what_has_no_state_is_not_followed(self) -> None:
        ingest = Ingest()
        for kind in ("event", "camera", "button", "device_automation", "update"):
            told = announce(ingest, entity(), f"homeassistant/{kind}/press-4/x/config")
            assert told.left_out == {Ignored.UNSUPPORTED: 1}
        assert followed(ingest) == set()

    @pytest.mark.parametrize(
        "config",
        ["{", "[]", "5", "null", b"\xff", '{"stat_t": 5}', '{"dev": {"ids": [[]]}, "dev_cla": [], "cmps": 3}'],
    )
    def test_a_config_that_is_none_is_no_dead_letter(self, config: bytes | str) -> None:
        decoded = Ingest().decode(CONFIG, config)
        assert decoded.ignored in (Ignored.UNSUPPORTED, Ignored.METADATA)

    def test_home_assistants_own_status_is_ignored(self) -> None:
        assert Ingest().decode("homeassistant/status", "online").ignored is Ignored.METADATA

    def test_a_dead_letter_that_is_taken_again_changes_nothing(self) -> None:
        ingest = Ingest()
        announce(ingest, SHORT, replayed=True)
        assert followed(ingest) == set()

    def test_the_number_of_topics_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(announcements, "MOST_TOPICS", 3)
        ingest = ingest_with(*(entity(stat_t=f"mill/{number}") for number in range(3)))
        told = announce(ingest, entity(stat_t="mill/3"))
        assert told.left_out == {Ignored.UNSUPPORTED: 1}
        assert followed(ingest) == {"mill/0", "mill/1", "mill/2"}
        announce(ingest, entity(stat_t="mill/2", val_tpl="{{ value_json.x }}"), CONFIG)
        assert len(only(ingest.decode("mill/2", '{"x": 1}')).values) == 2

    def test_the_number_of_entities_is_bounded(self) -> None:
        names = [f"e{number}" for number in range(MOST_ENTITIES + 5)]
        config = {"dev": {"ids": "press4"}, "cmps": {name: {"p": "sensor", "stat_t": "mill/state"} for name in names}}
        told = announce(Ingest(), config, "homeassistant/device/press-4/config")
        assert told.left_out == {Ignored.UNSUPPORTED: 5}


class TestState:
    @pytest.mark.parametrize(
        ("template", "payload", "value"),
        [
            ("", "61.5", 61.5),
            ("", "idle", "idle"),
            ("{{ value }}", "61.5", 61.5),
            ("{{ value | round(0) }}", "61.7", 62.0),
            ("{{ value_json.a[1] }}", '{"a": [1, 2]}', 2.0),
            ("{{ value_json.mode | default('idle') }}", "{}", "idle"),
        ],
    )
    def test_a_template_says_where_the_value_is(self, template: str, payload: str, value: Value) -> None:
        assert only(announced(entity(val_tpl=template), payload)).values == {"oil_temp": value}

    def test_an_object_without_a_template_is_flattened(self) -> None:
        assert only(announced(entity(), '{"a": 1, "b": {"c": true}}')).values == {
            "oil_temp.a": 1.0,
            "oil_temp.b.c": True,
        }

    def test_all_entities_of_a_topic_are_read_from_one_message(self) -> None:
        ingest = ingest_with(
            entity(val_tpl="{{ value_json.a }}", unit_of_meas="kN"),
            entity(val_tpl="{{ value_json.b }}", unit_of_meas="bar"),
            entity(val_tpl="{{ value_json.r }}", ent_cat="diagnostic"),
            entity(val_tpl="{{ value_json.b }}", unit_of_meas="psi", dev={"ids": "press5"}),
        )
        decoded = ingest.decode("mill/state", '{"a": 1, "b": 2, "r": -60}')
        assert [(reading.device, reading.values, reading.flags) for reading in decoded.readings] == [
            ("press4", {"part0": 1.0, "part1": 2.0}, {}),
            ("press4", {"part2": -60.0}, {"health": ""}),
            ("press5", {"part3": 2.0}, {}),
        ]
        assert decoded.units == {"press4": {"part0": "kN", "part1": "bar"}, "press5": {"part3": "psi"}}

    @pytest.mark.parametrize("template", ["{{ value_json.b | default('') }}", "{{ value_json.b | default }}"])
    def test_nor_is_the_empty_text_that_a_template_gives_for_it(self, template: str) -> None:
        ingest = ingest_with(entity(val_tpl="{{ value_json.a }}"), entity(val_tpl=template))
        assert only(ingest.decode("mill/state", '{"a": 1}')).values == {"part0": 1.0}

    def test_a_topic_that_holds_attributes_too_is_read(self) -> None:
        topic = {"json_attr_t": "mill/state"}
        assert only(announced(entity(val_tpl="{{ value_json.a }}", **topic), '{"a": 1, "b": 2}')).values == {
            "oil_temp": 1.0
        }
        ingest = ingest_with(entity(val_tpl="{{ value_json.a }}"), entity(stat_t="mill/other", **topic))
        assert only(ingest.decode("mill/state", '{"a": 1, "b": 2}')).values == {"part0": 1.0}

    def test_a_topic_that_holds_nothing_but_attributes_is_not_followed(self) -> None:
        assert followed(ingest_with(entity(json_attr_t="mill/more"))) == {"mill/state"}

    def test_what_a_message_does_not_hold_is_no_value(self) -> None:
        ingest = ingest_with(entity(val_tpl="{{ value_json.a }}"), entity(val_tpl="{{ value_json.b | float(0) }}"))
        assert only(ingest.decode("mill/state", '{"a": 1}')).values == {"part0": 1.0}
        assert ingest.decode("mill/state", '{"c": 1}').ignored is Ignored.NO_VALUE

    @pytest.mark.parametrize("payload", ["nan", "unavailable", "None", ""])
    def test_no_value_is_no_fault(self, payload: str) -> None:
        assert announced(entity(), payload).ignored in (Ignored.NO_VALUE, Ignored.EMPTY)
        assert announced(entity(dev_cla="door"), payload).ignored in (Ignored.NO_VALUE, Ignored.EMPTY)

    def test_a_payload_that_is_no_json_is_malformed_where_json_is_announced(self) -> None:
        ingest = ingest_with(entity(val_tpl="{{ value_json.a }}"), entity(val_tpl="{{ value_json.b }}"))
        refused(ingest.decode("mill/state", "offline now"), Reason.MALFORMED, "not JSON")
        refused(ingest.decode("mill/state", b"\xff"), Reason.MALFORMED, "UTF-8")

    @pytest.mark.parametrize(
        ("kind", "fields", "payload", "value"),
        [
            ("binary_sensor", {}, "ON", True),
            ("binary_sensor", {}, "off", False),
            ("binary_sensor", {"pl_on": "wet", "pl_off": "dry"}, "wet", True),
            ("binary_sensor", {"pl_on": 1, "pl_off": 0, "val_tpl": "{{ value_json.x }}"}, '{"x": 0}', False),
            ("binary_sensor", {"pl_on": True, "pl_off": False, "val_tpl": "{{ value_json.x }}"}, '{"x": true}', True),
            ("switch", {"pl_on": "start", "pl_off": "stop", "stat_on": "runs", "stat_off": "stands"}, "runs", True),
            ("light", {"stat_val_tpl": "{{ value_json.state }}"}, '{"state": "OFF"}', False),
            ("sensor", {}, "ON", "ON"),
            ("select", {}, "open", "open"),
        ],
    )  # fmt: skip
    def test_two_words_are_a_boolean_where_the_entity_has_only_these(
        self, kind: str, fields: dict[str, Any], payload: str, value: Value
    ) -> None:
        ingest = Ingest()
        announce(ingest, entity(**fields), f"homeassistant/{kind}/press-4/x/config")
        assert only(ingest.decode("mill/state", payload)).values == {"x": value}

    def test_another_word_is_a_bad_value(self) -> None:
        ingest = Ingest()
        announce(ingest, entity(), "homeassistant/switch/press-4/x/config")
        refused(ingest.decode("mill/state", "maybe"), Reason.BAD_VALUE, "'maybe'", "'ON'")
        assert ingest.decode("mill/state", "unknown").ignored is Ignored.NO_VALUE

    def test_a_thermostat_has_several_states(self) -> None:
        ingest = Ingest()
        config = entity(
            stat_t=None, curr_temp_t="mill/is", temp_stat_t="mill/goal", mode_stat_t="mill/mode", temp_unit="F"
        )
        announce(ingest, config, "homeassistant/climate/press-4/hall/config")
        decoded = ingest.decode("mill/is", "66")
        assert only(decoded).values == {"hall.current_temperature": 66.0}
        assert decoded.units == {"press4": {"hall.current_temperature": "F"}}
        assert only(ingest.decode("mill/goal", "70")).values == {"hall.temperature": 70.0}
        assert only(ingest.decode("mill/mode", "heat")).values == {"hall.mode": "heat"}

    @pytest.mark.parametrize(
        ("kind", "topic", "part"),
        [
            ("climate", "fan_mode_stat_t", "fan_mode"),
            ("climate", "preset_mode_state_topic", "preset_mode"),
            ("climate", "temp_hi_stat_t", "temperature_high"),
            ("fan", "osc_stat_t", "oscillation"),
            ("cover", "tilt_status_t", "tilt"),
            ("light", "clr_temp_stat_t", "color_temp"),
            ("humidifier", "hum_stat_t", "target_humidity"),
        ],
    )
    def test_so_have_fans_covers_and_lights(self, kind: str, topic: str, part: str) -> None:
        ingest = Ingest()
        announce(ingest, entity(stat_t=None, **{topic: "mill/part"}), f"homeassistant/{kind}/press-4/hall/config")
        assert only(ingest.decode("mill/part", "30")).values == {f"hall.{part}": 30.0}

    @pytest.mark.parametrize("name", ["stat_tpl", "state_template"])
    def test_a_light_of_the_template_schema_says_where_its_state_is(self, name: str) -> None:
        topic = "homeassistant/light/press-4/lamp/config"
        ingest = Ingest()
        announce(ingest, entity(schema="template", pl_on="on", pl_off="off", **{name: "{{ value_json.s }}"}), topic)
        assert only(ingest.decode("mill/state", '{"s": "on"}')).values == {"lamp": True}
        told = announce(Ingest(), entity(schema="template", **{name: "{{ value.split(',')[0] }}"}), topic)
        assert told.ignored is Ignored.UNSUPPORTED

    def test_a_light_that_sends_an_object_is_on_or_off(self) -> None:
        ingest = Ingest()
        announce(ingest, entity(schema="json", cmd_t="mill/set"), "homeassistant/light/press-4/lamp/config")
        decoded = ingest.decode("mill/state", '{"state": "OFF", "brightness": 9, "color": {"r": 1}}')
        assert only(decoded).values == {"lamp.state": False, "lamp.brightness": 9.0, "lamp.color.r": 1.0}
        assert only(ingest.decode("mill/state", '{"brightness": 9}')).values == {"lamp.brightness": 9.0}

    def test_the_battery_is_health(self) -> None:
        assert only(announced(entity(dev_cla="battery"), "80")).flags == {"health": ""}

    def test_retained_states_make_no_reading(self) -> None:
        assert announced(entity(), "5", retained=True).ignored is Ignored.RETAINED_UNTIMED


class TestAvailability:
    @pytest.mark.parametrize(
        ("fields", "payload", "online"),
        [
            ({"avty_t": "mill/lwt"}, "online", True),
            ({"avty_t": "mill/lwt"}, "offline", False),
            ({"avty_t": "mill/lwt", "pl_avail": "up", "pl_not_avail": "down"}, "down", False),
            ({"avty": {"topic": "mill/lwt"}}, "online", True),
            ({"avty": [{"t": "mill/gateway"}, {"t": "mill/lwt", "pl_avail": "1", "pl_not_avail": "0"}]}, "0", False),
            ({"avty": [{"t": "mill/lwt", "val_tpl": "{{ value_json.state }}"}]}, '{"state": "online"}', True),
        ],
    )
    def test_it_is_presence(self, fields: dict[str, Any], payload: str, *, online: bool) -> None:
        ingest = Ingest()
        announce(ingest, entity(**fields))
        announce(ingest, entity(**fields), "homeassistant/sensor/press-4/more/config")
        decoded = ingest.decode("mill/lwt", payload, retained=True)
        assert [(state.device, state.online) for state in decoded.states] == [("press4", online)]
        assert decoded.ignored is Ignored.PRESENCE

    def test_another_word_says_nothing(self) -> None:
        ingest = Ingest()
        announce(ingest, entity(avty_t="mill/lwt"))
        assert ingest.decode("mill/lwt", "starting").ignored is Ignored.NO_VALUE


def test_a_topic_that_a_route_takes_is_that_routes() -> None:
    ingest = Ingest()
    told = announce(ingest, entity(stat_t="zigbee2mqtt/lamp", unit_of_meas="W"))
    assert told.facts is not None
    assert told.facts["press4"]["unit.oil_temp"] == "W"
    assert "zigbee2mqtt/lamp" not in ingest.routes.filters


def test_what_is_remembered_can_be_recalled() -> None:
    ingest, later = Ingest(), Ingest()
    for key, entry in _learnt(SHORT):
        later.context.memory.tell(key, entry)
    keys = later.context.memory.keys("announced.")
    assert later.routes.announce((key, b"") for key in keys)
    assert only(later.decode("mill/press-4/tele", '{"oil": {"t": 1}}')).values == {"oil_temp": 1.0}
    assert followed(ingest) == set()


def _learnt(config: dict[str, Any]) -> list[tuple[str, bytes]]:
    memory = Memory()
    found = discovery.read(memory, CONFIG, ("sensor", "press-4", "oil_temp"), config)
    announcements.learn(memory, CONFIG, found)
    return [(key, entry) for key, entry in memory.changes() if entry is not None]


def test_a_topic_that_is_not_announced_is_unsupported() -> None:
    ingest = ingest_with(entity())
    ingest.context.memory.forget(key_of("mill/state"))
    assert ingest.context.memory.get(key_of("mill/state"), Topic) is None
    assert ingest.decode("mill/state", "5").ignored is Ignored.UNSUPPORTED


FIELDS = st.sampled_from([*SHORT, "cmps", "p", "avty", "cmd_t", "pl_on", "topic", "t", "ids", "cns", "~", "temp_unit"])
CONFIGS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["~/a", "a~", "{{ value }}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS | st.text(max_size=3), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(FIELDS, CONFIGS, max_size=8), st.sampled_from(["sensor", "device", "light"]))
def test_any_config_can_be_learnt_and_written_and_read_again(config: dict[str, Any], kind: str) -> None:
    ingest = Ingest()
    topic = f"homeassistant/{kind}/n/o/config"
    ingest.decode(topic, json.dumps(config))
    for name in ingest.routes.filters:
        if not set("+#") & set(name) and name != "homeassistant/status":
            ingest.decode(name, '{"a": 1}')
    ingest.decode(topic, b"")
    assert ingest.context.memory.count("announced") == 0
