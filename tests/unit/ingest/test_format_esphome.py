import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused


def decode(topic: str, payload: bytes | str, *, retained: bool = False) -> Decoded:
    return Ingest().decode(f"dairy-3/{topic}", payload, retained=retained)


def test_a_sensor_is_a_number_of_its_node() -> None:
    assert only(decode("sensor/brine_temperature/state", "-4.06")) == Reading(
        "dairy-3", NOW, NOW, {"brine_temperature": -4.06}
    )


@pytest.mark.parametrize(
    ("topic", "payload", "values"),
    [
        ("binary_sensor/lid", "OFF", {"lid": False}),
        ("switch/pump", "ON", {"pump": True}),
        ("number/goal", "12", {"goal": 12.0}),
        ("text_sensor/phase", "12", {"phase": "12"}),
        ("text_sensor/phase", "ON", {"phase": "ON"}),
        ("select/mode", "open", {"mode": "open"}),
        ("light/lamp", '{"state": "ON", "brightness": 90}', {"lamp.state": True, "lamp.brightness": 90.0}),
        ("climate/hall/mode", "heat", {"hall.mode": "heat"}),
        ("climate/hall/current_temperature", "20.5", {"hall.current_temperature": 20.5}),
        ("fan/vent", "ON", {"vent": True}),
        ("fan/vent/speed_level", "3", {"vent.speed_level": 3.0}),
        ("cover/gate", "opening", {"gate": "opening"}),
        ("cover/gate/position", "40", {"gate.position": 40.0}),
        ("lock/door", "LOCKED", {"door": "LOCKED"}),
    ],
)
def test_each_type_has_its_values(topic: str, payload: str, values: dict[str, Value]) -> None:
    assert only(decode(f"{topic}/state", payload)).values == values


@pytest.mark.parametrize("payload", ["nan", "None", "NaN"])
@pytest.mark.parametrize("topic", ["sensor/a", "binary_sensor/a", "text_sensor/a"])
def test_what_is_not_available_is_no_value_and_no_fault(topic: str, payload: str) -> None:
    assert decode(f"{topic}/state", payload).ignored is Ignored.NO_VALUE


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("sensor/a", "warm", Reason.BAD_VALUE),
        ("switch/a", "1", Reason.BAD_VALUE),
        ("light/a", "ON", Reason.MALFORMED),
        ("light/a", "[]", Reason.MALFORMED),
        ("sensor/a", b"\xff", Reason.MALFORMED),
        ("text_sensor/a", "x" * 9_000, Reason.TOO_LARGE),
    ],
)
def test_what_is_not_of_its_type_is_rejected(topic: str, payload: bytes | str, reason: Reason) -> None:
    refused(decode(f"{topic}/state", payload), reason)


def test_a_name_that_two_types_have_gets_the_type_in_front_for_the_second() -> None:
    ingest = Ingest()
    for _ in range(2):
        assert only(ingest.decode("dairy-3/sensor/lid/state", "3")).values == {"lid": 3.0}
        assert only(ingest.decode("dairy-3/binary_sensor/lid/state", "ON")).values == {"binary_sensor.lid": True}
    assert only(ingest.decode("dairy-4/binary_sensor/lid/state", "ON")).values == {"lid": True}


def test_a_dead_letter_that_is_taken_again_claims_no_name() -> None:
    ingest = Ingest()
    ingest.decode("dairy-3/sensor/lid/state", "3", replayed=True)
    assert only(ingest.decode("dairy-3/binary_sensor/lid/state", "ON")).values == {"lid": True}


def test_a_prefix_may_have_several_levels() -> None:
    ingest = Ingest([Row("farm", ["farm/dairy/#"], "esphome"), Row("barns", ["barns/#"], "esphome")])
    assert only(ingest.decode("farm/dairy/sensor/a/state", "1")).device == "farm:dairy"
    assert only(ingest.decode("barns/east/1/sensor/a/state", "1")).device == "east:1"
    assert ingest.decode("barns/east/1/status", "online").states[0].device == "east:1"


def test_a_node_may_be_called_as_a_type() -> None:
    reading = only(Ingest().decode("fan/sensor/speed/state", "7"))
    assert (reading.device, reading.values) == ("fan", {"speed": 7.0})


@pytest.mark.parametrize(("payload", "online"), [("online", True), ("offline", False)])
def test_the_status_is_presence(payload: str, *, online: bool) -> None:
    decoded = decode("status", payload, retained=True)
    assert [(state.device, state.online) for state in decoded.states] == [("dairy-3", online)]


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("status", '{"uptime": 5}', Ignored.UNSUPPORTED),
        ("thing/a/state", "5", Ignored.UNSUPPORTED),
        ("sensor/a/state", "", Ignored.EMPTY),
    ],
)
def test_what_is_somebody_elses_or_empty_is_ignored(topic: str, payload: str, why: Ignored) -> None:
    assert decode(topic, payload).ignored is why


def test_commands_and_the_log_are_ignored_where_all_of_a_node_is_routed() -> None:
    ingest = Ingest([Row("node", ["dairy-3/#"], "esphome")])
    assert ingest.decode("dairy-3/switch/pump/command", "ON").ignored is Ignored.COMMAND
    assert ingest.decode("dairy-3/debug", "\x1b[0;36m[D][sensor:094]: 5").ignored is Ignored.METADATA
    assert ingest.decode("dairy-3", "x").ignored is Ignored.UNSUPPORTED
    assert only(ingest.decode("dairy-3/sensor/a/state", "1")).device == "dairy-3"


def test_retained_states_make_no_reading() -> None:
    assert decode("sensor/a/state", "5", retained=True).ignored is Ignored.RETAINED_UNTIMED


def test_the_unit_is_what_the_node_announced_and_it_is_read_once() -> None:
    ingest = Ingest()
    config = {
        "stat_t": "dairy-3/sensor/rssi/state",
        "unit_of_meas": "dBm",
        "ent_cat": "diagnostic",
        "avty_t": "dairy-3/status",
        "dev": {"ids": "a0b1c2d3e4f5"},
    }
    before = ingest.routes.filters
    ingest.decode("homeassistant/sensor/dairy-3/rssi/config", json.dumps(config))
    assert ingest.routes.filters == before
    decoded = ingest.decode("dairy-3/sensor/rssi/state", "-61")
    assert only(decoded) == Reading("dairy-3", NOW, NOW, {"rssi": -61.0}, {"health": ""})
    assert decoded.units == {"dairy-3": {"rssi": "dBm"}}


def test_a_topic_of_no_known_type_that_a_device_announced_is_read_as_announced() -> None:
    ingest = Ingest()
    ingest.decode("homeassistant/sensor/vat/config", '{"stat_t": "mill/vat/level/state", "dev": {"ids": "v7"}}')
    assert only(ingest.decode("mill/vat/level/state", "5")).device == "v7"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_through_exactly(sent: float) -> None:
    assert only(decode("sensor/a/state", repr(sent))).values == {"a": sent}
