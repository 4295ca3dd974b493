import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from contracts.units import conversion
from ingest.findings import HEALTH
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

USUAL = Ingest()
DEVICE = "shellyem-7A1B2C"


def send(rest: str, payload: bytes | str, *, retained: bool = False) -> Decoded:
    return USUAL.decode(f"shellies/{DEVICE}/{rest}", payload, retained=retained)


@pytest.mark.parametrize(
    ("rest", "payload", "value", "unit"),
    [
        ("emeter/0/power", "512.25", 512.25, "W"),
        ("emeter/1/reactive_power", "-3.5", -3.5, "var"),
        ("emeter/0/voltage", "229.8", 229.8, "V"),
        ("emeter/0/total", "90112", 90112.0, "Wh"),
        ("emeter/0/total_returned", "4.0", 4.0, "Wh"),
        ("emeter/0/pf", "0.94", 0.94, None),
        ("relay/0/energy", "7260", 7260.0, "W.min"),
        ("sensor/temperature", "4.75", 4.75, "degC"),
        ("ext_temperature/0", "4.75", 4.75, "degC"),
        ("sensor/humidity", "81", 81.0, "%"),
        ("sensor/lux", "310", 310.0, "lx"),
        ("sensor/flood", "true", True, None),
        ("sensor/state", "open", "open", None),
        ("roller/0", "stop", "stop", None),
        ("input/0", "1", 1.0, None),
    ],
)
def test_the_path_is_the_metric_and_its_end_the_unit(rest: str, payload: str, value: Value, unit: str | None) -> None:
    decoded = send(rest, payload)
    metric = rest.replace("/", ".")
    assert only(decoded) == Reading(DEVICE, NOW, NOW, {metric: value})
    assert decoded.units == ({DEVICE: {metric: unit}} if unit else None)


def test_energy_of_a_relay_is_in_watt_minutes() -> None:
    convert = conversion("W.min", "Wh")
    assert convert is not None
    assert convert.apply(7260.0) == 121.0


@pytest.mark.parametrize(("rest", "metric"), [("relay/0", "relay.0"), ("light/1", "light.1"), ("color/0", "color.0")])
def test_an_output_is_on_or_off(rest: str, metric: str) -> None:
    assert only(send(rest, "on")).values == {metric: True}
    assert only(send(rest, "off")).values == {metric: False}
    assert only(send(rest, "later")).values == {metric: "later"}


def test_a_relay_that_was_overloaded_is_off_and_says_why() -> None:
    assert only(send("relay/0", "overpower")) == Reading(DEVICE, NOW, NOW, {"relay.0": False}, {"overpower": ""})


def test_a_battery_is_health() -> None:
    assert only(send("sensor/battery", "88")) == Reading(DEVICE, NOW, NOW, {"sensor.battery": 88.0}, HEALTH)


def test_a_status_is_an_object() -> None:
    decoded = send("light/0/status", '{"ison": true, "brightness": 40}')
    assert only(decoded).values == {"light.0.status.ison": True, "light.0.status.brightness": 40.0}
    refused(send("light/0/status", '{"ison": '), Reason.MALFORMED)


@pytest.mark.parametrize(("payload", "online"), [("true", True), ("false", False)])
def test_it_says_whether_it_is_there(payload: str, *, online: bool) -> None:
    decoded = send("online", payload, retained=True)
    assert [(state.device, state.online, state.at) for state in decoded.states] == [(DEVICE, online, NOW)]


def test_other_words_for_that_are_malformed() -> None:
    refused(send("online", "maybe"), Reason.MALFORMED, "online")
    assert send("online", "").ignored is Ignored.EMPTY


@pytest.mark.parametrize("topic", ["shellies/announce", f"shellies/{DEVICE}/announce"])
def test_what_it_announces_are_facts(topic: str) -> None:
    payload = f'{{"id": "{DEVICE}", "model": "SHEM", "mac": "A1B2C37A1B2C", "fw_ver": "1.14", "new_fw": false}}'
    decoded = USUAL.decode(topic, payload, retained=True)
    assert decoded.facts == {DEVICE: {"model": "SHEM", "mac": "A1:B2:C3:7A:1B:2C", "firmware": "1.14"}}
    assert decoded.ignored is Ignored.METADATA


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("shellies/command", Ignored.COMMAND),
        (f"shellies/{DEVICE}/command", Ignored.COMMAND),
        (f"shellies/{DEVICE}/relay/0/command", Ignored.COMMAND),
        (f"shellies/{DEVICE}/color/0/set", Ignored.COMMAND),
        (f"shellies/{DEVICE}/thermostat/0/command/target_t", Ignored.COMMAND),
        (f"shellies/{DEVICE}/info", Ignored.METADATA),
        (f"shellies/{DEVICE}/settings", Ignored.METADATA),
        (f"shellies/{DEVICE}/input_event/0", Ignored.EVENT),
        (f"shellies/{DEVICE}/longpush/0", Ignored.EVENT),
        (f"shellies/{DEVICE}/temperature_f", Ignored.REPEAT),
        (f"shellies/{DEVICE}/ext_temperature_f/0", Ignored.REPEAT),
        (f"shellies/{DEVICE}/sensor/act_reasons", Ignored.METADATA),
        (f"shellies/{DEVICE}", Ignored.UNSUPPORTED),
        ("shellies", Ignored.UNSUPPORTED),
    ],
)
def test_other_topics_are_ignored(topic: str, why: Ignored) -> None:
    assert USUAL.decode(topic, '{"x": 1}').ignored is why


@pytest.mark.parametrize(
    ("payload", "reason"), [("[1]", Reason.MALFORMED), (b"\xff", Reason.MALFORMED), ("Infinity", Reason.BAD_VALUE)]
)
def test_what_is_no_value_is_rejected(payload: bytes | str, reason: Reason) -> None:
    refused(send("emeter/0/power", payload), reason)


def test_nothing_and_no_value_are_ignored() -> None:
    assert send("emeter/0/power", "").ignored is Ignored.EMPTY
    assert send("emeter/0/power", "null").ignored is Ignored.NO_VALUE
    assert send("emeter/0/power", "1", retained=True).ignored is Ignored.RETAINED_UNTIMED


def test_the_device_is_the_level_that_a_user_has_named() -> None:
    ingest = Ingest([Row("mine", ["house/shellies/#"], "shelly_gen1")])
    assert only(ingest.decode("house/shellies/back porch/sensor/lux", "3")).device == "back porch"
    ingest = Ingest([Row("mine", ["house/+/shellies/#"], "shelly_gen1", "{2}")])
    assert only(ingest.decode("house/9/shellies/x/sensor/lux", "3")).device == "9"
    refused(ingest.decode("house/9/shellies//sensor", "["), Reason.MALFORMED)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_through_exactly(value: float) -> None:
    assert only(send("emeter/0/power", repr(value))).values == {"emeter.0.power": value}
