import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

DAMP = "hass/sensor/wine_cellar_damp"


def state(topic: str, payload: bytes | str) -> Decoded:
    return Ingest().decode(f"hass/{topic}/state", payload)


def with_attributes(**attributes: str) -> Ingest:
    ingest = Ingest()
    for name, payload in attributes.items():
        assert ingest.decode(f"{DAMP}/{name}", payload, retained=True).ignored is Ignored.METADATA
    return ingest


@pytest.mark.parametrize("payload", ["61.5", '"61.5"', " 61.5\n"])
def test_the_state_is_a_value_of_the_entity_bare_or_quoted(payload: str) -> None:
    assert only(Ingest().decode(f"{DAMP}/state", payload)) == Reading(
        "sensor.wine_cellar_damp", NOW, NOW, {"state": 61.5}
    )


@pytest.mark.parametrize("unit", ['"%"', "%"])
def test_the_unit_has_a_topic_of_its_own(unit: str) -> None:
    ingest = with_attributes(unit_of_measurement=unit)
    assert ingest.decode(f"{DAMP}/state", "61.5").units == {"sensor.wine_cellar_damp": {"state": "%"}}
    ingest.decode(f"{DAMP}/unit_of_measurement", "null")
    assert ingest.decode(f"{DAMP}/state", "61.5").units is None


@pytest.mark.parametrize(
    ("field", "payload", "facts"),
    [
        ("unit_of_measurement", '"%"', {"unit.state": "%"}),
        ("friendly_name", '"Damp below"', {"name": "Damp below"}),
        ("device_class", '"humidity"', {"class.state": "humidity"}),
        ("state_class", "measurement", {"state_class.state": "measurement"}),
    ],
)
def test_some_attributes_are_facts(field: str, payload: str, facts: dict[str, str]) -> None:
    decoded = Ingest().decode(f"{DAMP}/{field}", payload, retained=True)
    assert (decoded.ignored, decoded.facts) == (Ignored.METADATA, {"sensor.wine_cellar_damp": facts})


@pytest.mark.parametrize(
    ("topic", "payload", "value"),
    [
        ("binary_sensor/hatch", "on", True),
        ("switch/fan", "off", False),
        ("cover/blind", "open", True),
        ("cover/blind", "closed", False),
        ("cover/blind", "opening", "opening"),
        ("person/ines", "home", True),
        ("person/ines", "not_home", False),
        ("person/ines", "Vineyard", "Vineyard"),
        ("sensor/mode", "on", "on"),
        ("select/speed", "open", "open"),
        ("climate/hall", "heat_cool", "heat_cool"),
        ("sensor/story", '{"a": 1}', '{"a": 1}'),
        ("sensor/story", '"he said', '"he said'),
    ],
)
def test_words_are_booleans_but_where_any_text_may_stand(topic: str, payload: str, value: Value) -> None:
    assert only(state(topic, payload)).values == {"state": value}


@pytest.mark.parametrize("payload", ["unknown", "unavailable", '"unavailable"'])
def test_no_value_now_is_no_value(payload: str) -> None:
    assert state("binary_sensor/hatch", payload).ignored is Ignored.NO_VALUE


def test_what_cannot_be_read_is_rejected() -> None:
    refused(state("sensor/a", b"\xff"), Reason.MALFORMED, "UTF-8")
    refused(state("sensor/a", "x" * 9_000), Reason.TOO_LARGE)


@pytest.mark.parametrize(
    ("field", "payload", "values"),
    [("brightness", "128", {"brightness": 128.0}), ("current_temperature", "19.25", {"current_temperature": 19.25})],
)
def test_attributes_that_are_numbers_are_values(field: str, payload: str, values: dict[str, Value]) -> None:
    assert only(Ingest().decode(f"hass/light/hall/{field}", payload)).values == values


@pytest.mark.parametrize(
    ("field", "payload", "why"),
    [
        ("last_updated", "2026-01-01T00:00:11.730514+00:00", Ignored.METADATA),
        ("last_changed", "2026-01-01T00:00:11.730514+00:00", Ignored.METADATA),
        ("icon", '"mdi:door"', Ignored.METADATA),
        ("options", '["a", "b"]', Ignored.METADATA),
        ("assumed", "true", Ignored.METADATA),
        ("serial", '"1234"', Ignored.METADATA),
        ("supported_features", "44", Ignored.METADATA),
        ("odd", b"\xff", Ignored.METADATA),
        ("brightness", "null", Ignored.NO_VALUE),
        ("brightness", "NaN", Ignored.NO_VALUE),
        ("brightness", "", Ignored.EMPTY),
        ("state", "", Ignored.EMPTY),
        ("state", '""', Ignored.EMPTY),
    ],
)
def test_other_attributes_make_no_value_and_no_dead_letter(field: str, payload: bytes | str, why: Ignored) -> None:
    assert Ingest().decode(f"hass/light/hall/{field}", payload).ignored is why


def test_a_value_does_not_wait_for_its_time_and_retained_ones_make_no_reading() -> None:
    ingest = Ingest()
    assert ingest.decode(f"{DAMP}/state", "61", retained=True).ignored is Ignored.RETAINED_UNTIMED
    assert only(ingest.decode(f"{DAMP}/state", "62")).ts == NOW


def test_a_battery_is_health() -> None:
    ingest = with_attributes(device_class='"battery"')
    assert only(ingest.decode(f"{DAMP}/state", "80")).flags == {"health": ""}


def test_a_dead_letter_that_is_taken_again_changes_nothing_that_is_known() -> None:
    ingest = with_attributes(unit_of_measurement='"%"')
    ingest.decode(f"{DAMP}/unit_of_measurement", '"g"', replayed=True)
    assert ingest.decode(f"{DAMP}/state", "61").units == {"sensor.wine_cellar_damp": {"state": "%"}}


class TestSharedWithDiscovery:
    CONFIG = "homeassistant/sensor/vat/config"

    def test_a_config_is_no_attribute(self) -> None:
        assert Ingest().decode(self.CONFIG, '{"name": "Vat"}').readings == []

    def test_a_topic_that_a_device_announced_is_the_devices(self) -> None:
        ingest = Ingest()
        topic = "homeassistant/sensor/vat"
        assert only(ingest.decode(f"{topic}/state", "5")).device == "sensor.vat"
        config = {"~": topic, "stat_t": "~/state", "cmd_t": "~/set", "json_attr_t": "~/more", "dev": {"ids": ["v7"]}}
        ingest.decode(self.CONFIG, json.dumps(config))
        assert only(ingest.decode(f"{topic}/state", "5")) == Reading("v7", NOW, NOW, {"vat": 5.0})
        assert ingest.decode(f"{topic}/set", "5").ignored is Ignored.COMMAND
        assert ingest.decode(f"{topic}/more", '{"errors": 5}').ignored is Ignored.METADATA
        assert ingest.routes.filters.count(f"{topic}/state") == 0


def test_other_levels_are_not_read_and_a_route_may_name_the_device() -> None:
    ingest = Ingest([Row("villa", ["villa/#"], "statestream", "villa:{2}.{3}")])
    assert only(ingest.decode("villa/sensor/a/state", "5")).device == "villa:sensor.a"
    assert ingest.decode("villa/sensor/a", "5").ignored is Ignored.UNSUPPORTED
    assert ingest.decode("villa/sensor/a/b/state", "5").ignored is Ignored.UNSUPPORTED


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_through_exactly(sent: float) -> None:
    assert only(state("sensor/a", repr(sent))).values == {"state": sent}
