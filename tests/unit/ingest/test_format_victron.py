import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest.findings import SECONDS
from ingest.outcomes import Ignored, State
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, only, refused

PORTAL = "b827eb40c1ff"
DEVICE = f"{PORTAL}:battery:512"
TOPIC = f"N/{PORTAL}/battery/512"


def test_a_value_is_a_reading_when_it_is_received() -> None:
    decoded = decode(f"{TOPIC}/Dc/0/Voltage", '{"value": 52.63, "min": 40, "max": 60}')
    assert only(decoded) == Reading(DEVICE, NOW, NOW, {"Dc.0.Voltage": 52.63})
    assert decoded.units == {DEVICE: {"Dc.0.Voltage": "V"}}


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("Dc/0/Current", "A"),
        ("Ac/L2/Power", "W"),
        ("Ac/Energy/Forward", "kWh"),
        ("Soc", "%"),
        ("Temperature", "degC"),
        ("Dc/0/Temperature", "degC"),
        ("Ac/L1/Frequency", "Hz"),
        ("Ac/Out/L1/V", "V"),
        ("Ac/Out/L1/I", "A"),
        ("Ac/ActiveIn/L2/P", "W"),
        ("Ac/ActiveIn/L2/S", "VA"),
        ("Ac/Out/L1/F", "Hz"),
        ("Yield/Power", "W"),
        ("History/Daily/0/Yield", "kWh"),
    ],
)
def test_the_path_implies_the_unit(path: str, unit: str) -> None:
    assert decode(f"{TOPIC}/{path}", '{"value": 1}').units == {DEVICE: {path.replace("/", "."): unit}}


def test_other_paths_imply_none() -> None:
    assert decode(f"{TOPIC}/State", '{"value": 4}').units is None


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ("252", {"State": 252.0}),
        ('"absorption"', {"State": "absorption"}),
        ("[3, 4]", {"State.1": 3.0, "State.2": 4.0}),
        ("true", {"State": True}),
    ],
)
def test_a_value_may_be_a_number_text_or_a_list(value: str, values: dict[str, Value]) -> None:
    assert only(decode(f"{TOPIC}/State", f'{{"value": {value}}}')).values == values


@pytest.mark.parametrize("value", ["null", "[]"])
def test_null_and_an_empty_list_are_no_value(value: str) -> None:
    assert decode(f"{TOPIC}/Dc/0/Voltage", f'{{"value": {value}}}').ignored is Ignored.NO_VALUE


def test_an_empty_payload_says_once_that_the_device_has_left() -> None:
    ingest = Ingest()
    first = ingest.decode(f"{TOPIC}/Soc", "")
    assert first.states == [State(DEVICE, online=False, at=NOW, reason="left the bus")]
    assert first.ignored is Ignored.PRESENCE
    more = ingest.decode(f"{TOPIC}/Dc/0/Voltage", "")
    assert (more.states, more.ignored) == ([], Ignored.REPEAT)
    assert ingest.decode(f"N/{PORTAL}/battery/513/Soc", "").states
    assert ingest.decode(f"{TOPIC}/Soc", "", at=NOW + 60 * SECONDS).states


def test_a_device_whose_values_come_is_on_the_bus_which_is_told_once_a_minute() -> None:
    ingest = Ingest()
    assert ingest.decode(f"{TOPIC}/Soc", '{"value": 1}', retained=True).states == []
    assert ingest.decode(f"{TOPIC}/Soc", '{"value": 1}').states == [State(DEVICE, online=True, at=NOW)]
    ingest.decode(f"{TOPIC}/Soc", "")
    assert ingest.decode(f"{TOPIC}/Soc", '{"value": 1}', at=NOW + 59 * SECONDS).states == []
    [back] = ingest.decode(f"{TOPIC}/Soc", '{"value": 1}', at=NOW + 60 * SECONDS).states
    assert back.online


@pytest.mark.parametrize(
    ("path", "fact"),
    [
        ("ProductName", "model"),
        ("FirmwareVersion", "firmware"),
        ("HardwareVersion", "hardware"),
        ("CustomName", "name"),
        ("ProductId", "product_id"),
        ("Serial", "serial"),
    ],
)
def test_what_the_device_is_are_facts(path: str, fact: str) -> None:
    decoded = decode(f"{TOPIC}/{path}", '{"value": "Acme 48"}')
    assert (decoded.facts, decoded.ignored) == ({DEVICE: {fact: "Acme 48"}}, Ignored.METADATA)
    assert not (decode(f"{TOPIC}/{path}", '{"value": ""}').facts or {}).get(DEVICE)


@pytest.mark.parametrize(
    ("rest", "payload", "why"),
    [
        ("keepalive", "", Ignored.COMMAND),
        ("full_publish_completed", '{"value": 1767225600}', Ignored.COMMAND),
        ("heartbeat", '{"value": 1767225600}', Ignored.COMMAND),
        ("settings/0/Settings/Gui/Language", '{"value": "en"}', Ignored.METADATA),
        ("battery", '{"value": 1}', Ignored.UNSUPPORTED),
    ],
)
def test_everything_else_is_ignored(rest: str, payload: str, why: Ignored) -> None:
    assert decode(f"N/{PORTAL}/{rest}", payload).ignored is why


@pytest.mark.parametrize("payload", ["52.63", '{"min": 4}', "{", b"\xff"])
def test_a_message_without_a_value_is_malformed(payload: str | bytes) -> None:
    refused(decode(f"{TOPIC}/Soc", payload), Reason.MALFORMED)


def test_a_retained_value_of_an_older_system_makes_no_reading() -> None:
    assert decode(f"{TOPIC}/Soc", '{"value": 80}', retained=True).ignored is Ignored.RETAINED_UNTIMED


class TestKeepAlive:
    def ingest(self, prefix: str = "") -> Ingest:
        return Ingest([Row("boat", [f"{prefix}N/#"], "victron", options={"keepalive": True})])

    def test_it_is_off_until_somebody_turns_it_on(self) -> None:
        assert not decode(f"N/{PORTAL}/heartbeat", '{"value": 1}').requests

    def test_it_asks_for_all_values_first_and_for_changes_later(self) -> None:
        ingest = self.ingest()
        topic = f"R/{PORTAL}/keepalive"
        assert ingest.decode(f"N/{PORTAL}/heartbeat", '{"value": 1}').requests == [(topic, b"")]
        later = ingest.decode(f"{TOPIC}/Soc", '{"value": 80}', at=NOW + 31 * SECONDS)
        assert [(there, json.loads(asked)) for there, asked in later.requests] == [
            (topic, {"keepalive-options": ["suppress-republish"]})
        ]
        assert later.readings, "the message itself is read all the same"

    def test_it_asks_at_most_every_thirty_seconds(self) -> None:
        ingest = self.ingest()
        asked = [
            bool(ingest.decode(f"N/{PORTAL}/heartbeat", '{"value": 1}', at=NOW + second * SECONDS).requests)
            for second in range(0, 66, 3)
        ]
        assert [second for second, did in zip(range(0, 66, 3), asked, strict=True) if did] == [0, 30, 60]

    def test_each_system_is_asked_below_the_prefix_that_it_has(self) -> None:
        ingest = self.ingest("boat/")
        assert [topic for topic, _ in ingest.decode("boat/N/one/heartbeat", "{}").requests] == ["boat/R/one/keepalive"]
        assert [topic for topic, _ in ingest.decode("boat/N/two/heartbeat", "{}").requests] == ["boat/R/two/keepalive"]

    def test_old_messages_do_not_ask(self) -> None:
        ingest = self.ingest()
        assert not ingest.decode(f"{TOPIC}/Soc", '{"value": 80}', replayed=True).requests
        assert not ingest.decode(f"{TOPIC}/Soc", '{"value": 80}', retained=True).requests


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_through_exactly(number: float) -> None:
    assert only(decode(f"{TOPIC}/Soc", json.dumps({"value": number}))).values == {"Soc": number}
