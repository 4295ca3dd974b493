import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

PROPERTY = "homie/pump-house/tank/level"


def with_attributes(**attributes: str) -> Ingest:
    ingest = Ingest()
    for name, text in attributes.items():
        assert ingest.decode(f"{PROPERTY}/${name}", text, retained=True).ignored is Ignored.METADATA
    return ingest


def states(decoded: Decoded) -> list[tuple[str, bool, str]]:
    return [(state.device, state.online, state.reason) for state in decoded.states]


def test_a_float_with_a_unit_is_a_number_in_it() -> None:
    decoded = with_attributes(datatype="float", unit="cm").decode(PROPERTY, "141.5")
    assert only(decoded) == Reading("pump-house", NOW, NOW, {"tank.level": 141.5})
    assert decoded.units == {"pump-house": {"tank.level": "cm"}}


@pytest.mark.parametrize(
    ("datatype", "text", "value"),
    [
        ("integer", "-7", -7.0),
        ("integer", "9007199254740993", "9007199254740993"),
        ("float", "1e3", 1000.0),
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("string", "42", "42"),
        ("enum", "7", "7"),
        ("color", "12,200,3", "12,200,3"),
        ("duration", "PT5M", "PT5M"),
    ],
)
def test_values_are_what_the_datatype_says(datatype: str, text: str, value: Value) -> None:
    assert only(with_attributes(datatype=datatype).decode(PROPERTY, text)).values == {"tank.level": value}


def test_without_a_datatype_a_value_is_text() -> None:
    assert only(Ingest().decode(PROPERTY, "12.5")).values == {"tank.level": "12.5"}


@pytest.mark.parametrize(
    ("datatype", "text"),
    [("float", "12,5"), ("float", "full"), ("integer", "0x10"), ("boolean", "ON"), ("boolean", "1"), ("float", "inf")],
)
def test_what_is_not_what_was_promised_is_rejected(datatype: str, text: str) -> None:
    refused(with_attributes(datatype=datatype).decode(PROPERTY, text), Reason.BAD_VALUE, datatype)


def test_no_number_is_no_value_and_no_fault() -> None:
    assert with_attributes(datatype="float").decode(PROPERTY, "nan").ignored is Ignored.NO_VALUE


def test_a_unit_that_comes_after_the_first_value_holds_from_then_on() -> None:
    ingest = with_attributes(datatype="float")
    assert ingest.decode(PROPERTY, "1").units is None
    told = ingest.decode(f"{PROPERTY}/$unit", "cm", retained=True)
    assert (told.ignored, told.facts) == (Ignored.METADATA, {"pump-house": {"unit.tank.level": "cm"}})
    assert ingest.decode(PROPERTY, "2").units == {"pump-house": {"tank.level": "cm"}}


def test_an_attribute_that_is_empty_is_known_no_more() -> None:
    ingest = with_attributes(datatype="float", unit="cm")
    ingest.decode(f"{PROPERTY}/$unit", "")
    assert ingest.decode(PROPERTY, "2").units is None


def test_an_array_node_has_the_attributes_of_the_node_without_its_number() -> None:
    ingest = Ingest()
    ingest.decode("homie/pump-house/valve/flow/$datatype", "float", retained=True)
    ingest.decode("homie/pump-house/valve/flow/$unit", "l/min", retained=True)
    decoded = ingest.decode("homie/pump-house/valve_2/flow", "6.25")
    assert only(decoded).values == {"valve_2.flow": 6.25}
    assert decoded.units == {"pump-house": {"valve_2.flow": "l/min"}}


def test_values_from_before_the_subscription_make_no_reading() -> None:
    assert with_attributes(datatype="float").decode(PROPERTY, "9", retained=True).ignored is Ignored.RETAINED_UNTIMED


@pytest.mark.parametrize(
    ("state", "online", "reason"),
    [
        ("ready", True, ""),
        ("init", True, "init"),
        ("alert", True, "alert"),
        ("sleeping", False, "sleeping"),
        ("disconnected", False, "disconnected"),
        ("lost", False, "lost"),
    ],
)
def test_the_state_is_presence(state: str, reason: str, *, online: bool) -> None:
    decoded = Ingest().decode("homie/pump-house/$state", state, retained=True)
    assert (states(decoded), decoded.ignored) == ([("pump-house", online, reason)], Ignored.PRESENCE)


def test_another_state_is_malformed() -> None:
    refused(Ingest().decode("homie/pump-house/$state", "busy"), Reason.MALFORMED, "'busy'")


@pytest.mark.parametrize(
    ("stat", "text", "value", "unit"),
    [("uptime", "3600", 3600.0, "s"), ("signal", "64", 64.0, "%"), ("freeheap", "21504", 21504.0, "B")],
)
def test_statistics_are_health(stat: str, text: str, value: float, unit: str) -> None:
    decoded = Ingest().decode(f"homie/pump-house/$stats/{stat}", text)
    assert (only(decoded).values, only(decoded).flags) == ({f"stats.{stat}": value}, {"health": ""})
    assert decoded.units == {"pump-house": {f"stats.{stat}": unit}}


@pytest.mark.parametrize(
    ("attribute", "text", "facts"),
    [
        ("$name", "Pump house", {"name": "Pump house"}),
        ("$fw/version", "2.1", {"firmware": "2.1"}),
        ("$stats/interval", "60", {"interval": "60"}),
    ],
)
def test_what_a_device_says_of_itself_is_kept(attribute: str, text: str, facts: dict[str, str]) -> None:
    decoded = Ingest().decode(f"homie/pump-house/{attribute}", text, retained=True)
    assert (decoded.ignored, decoded.facts) == (Ignored.METADATA, {"pump-house": facts})


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("homie/pump-house/$homie", Ignored.METADATA),
        ("homie/pump-house/$nodes", Ignored.METADATA),
        ("homie/pump-house/$stats", Ignored.METADATA),
        ("homie/pump-house/tank/$properties", Ignored.METADATA),
        ("homie/pump-house/tank/level/$format", Ignored.METADATA),
        ("homie/pump-house/tank/level/set", Ignored.COMMAND),
        ("homie/$broadcast/alert", Ignored.COMMAND),
        ("homie/5/pump-house/$description", Ignored.UNSUPPORTED),
        ("homie/5/pump-house/tank/level", Ignored.UNSUPPORTED),
        ("homie/pump-house", Ignored.UNSUPPORTED),
        ("homie", Ignored.UNSUPPORTED),
        ("homie/pump-house/tank/level/$unit/more", Ignored.UNSUPPORTED),
    ],
)
def test_what_is_no_value_is_ignored(topic: str, why: Ignored) -> None:
    assert Ingest().decode(topic, "something").ignored is why


def test_an_empty_payload_is_ignored() -> None:
    assert Ingest().decode(PROPERTY, "").ignored is Ignored.EMPTY
    assert Ingest().decode("homie/pump-house/$state", "").ignored is Ignored.EMPTY


def test_bytes_that_are_no_text_and_an_empty_device_are_rejected() -> None:
    refused(Ingest().decode(PROPERTY, b"\xff"), Reason.MALFORMED, "UTF-8")
    refused(Ingest().decode("homie//tank/level", "1"), Reason.BAD_DEVICE)


def test_a_dead_letter_that_is_taken_again_changes_nothing_that_is_known() -> None:
    ingest = with_attributes(datatype="float")
    ingest.decode(f"{PROPERTY}/$datatype", "string", replayed=True)
    assert only(ingest.decode(PROPERTY, "3")).values == {"tank.level": 3.0}


def test_another_base_is_another_world() -> None:
    ingest = Ingest([Row("farm", ["farm/homie/#"], "homie")])
    ingest.decode("homie/pump-house/tank/level/$datatype", "float")
    assert only(ingest.decode("farm/homie/pump-house/tank/level", "3")).values == {"tank.level": "3"}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_through_exactly(sent: float) -> None:
    assert only(with_attributes(datatype="float").decode(PROPERTY, repr(sent))).values == {"tank.level": sent}
