import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

SENT = {"device": "compressor-4"}
AT = 1_767_225_633_000_000_000


def decode(payload: bytes | str, topic: str = "s/us", properties: dict[str, str] = SENT) -> Decoded:
    return Ingest().decode(topic, payload, properties=properties)


def test_a_measurement_is_a_reading_with_its_unit() -> None:
    decoded = decode("200,c8y_Pressure,P,6.71,bar,2026-01-01T00:00:33.000Z")
    assert only(decoded) == Reading("compressor-4", AT, NOW, {"c8y_Pressure.P": 6.71})
    assert decoded.units == {"compressor-4": {"c8y_Pressure.P": "bar"}}


@pytest.mark.parametrize(
    "line", ["200,c8y_P,P,6.71", "200,c8y_P,P,6.71,", "200,c8y_P,P,6.71,,", "200,c8y_P,P,6.71,,\r"]
)
def test_trailing_columns_may_be_left_out(line: str) -> None:
    decoded = decode(line)
    assert only(decoded) == Reading("compressor-4", NOW, NOW, {"c8y_P.P": 6.71})
    assert decoded.units is None


def test_a_line_may_hold_several_series() -> None:
    decoded = decode("201,Meter,2026-01-01T00:00:33Z,c8y_Energy,A+:1,1234,kWh,c8y_Energy,A-:1,2345,kWh,c8y_Flow,F,0.5")
    assert only(decoded).values == {"c8y_Energy.A+:1": 1234.0, "c8y_Energy.A-:1": 2345.0, "c8y_Flow.F": 0.5}
    assert only(decoded).ts == AT
    assert decoded.units == {"compressor-4": {"c8y_Energy.A+:1": "kWh", "c8y_Energy.A-:1": "kWh"}}


def test_a_bad_series_does_not_lose_its_neighbours() -> None:
    decoded = decode("201,Meter,,c8y_A,,1,V,c8y_B,B,2,V,c8y_C,C,,V")
    assert [reading.values for reading in decoded.readings] == [{"c8y_B.B": 2.0}]
    refused(decoded, Reason.MALFORMED, "line 1: a fragment")
    refused(decode("201,Meter,2026-01-01T00:00:33Z"), Reason.MALFORMED, "no series")


@pytest.mark.parametrize(
    ("line", "metric", "value", "unit", "flags"),
    [
        ("210,-87,2,2026-01-01T00:00:33Z", "c8y_SignalStrength.rssi", -87.0, "dBm", {"health": ""}),
        ("211,54.5,2026-01-01T00:00:33Z", "c8y_TemperatureMeasurement.T", 54.5, "degC", {}),
        ("212,81,2026-01-01T00:00:33Z", "c8y_Battery.level", 81.0, "%", {"health": ""}),
    ],
)
def test_some_templates_name_metric_and_unit(
    line: str, metric: str, value: float, unit: str, flags: dict[str, str]
) -> None:
    decoded = decode(line)
    reading = only(decoded)
    assert (reading.ts, reading.values[metric], reading.flags) == (AT, value, flags)
    assert decoded.units is not None
    assert decoded.units["compressor-4"][metric] == unit


@pytest.mark.parametrize("template", ["401", "402"])
def test_a_position_event_is_a_reading(template: str) -> None:
    decoded = decode(f"{template},51.3,6.5,67,,2026-01-01T00:00:33Z")
    assert only(decoded) == Reading(
        "compressor-4", AT, NOW, {"c8y_Position.lat": 51.3, "c8y_Position.lng": 6.5, "c8y_Position.alt": 67.0}
    )


def test_each_line_is_a_message() -> None:
    decoded = decode("211,54,2026-01-01T00:00:33Z\n\n212,81,2026-01-01T00:00:34Z\r\n")
    assert [(r.ts, r.values) for r in decoded.readings] == [
        (AT, {"c8y_TemperatureMeasurement.T": 54.0}),
        (AT + 10**9, {"c8y_Battery.level": 81.0}),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('200,c8y_P,"P,6.71', "line 2: no CSV"),
        ('200,"c8y"_P,P,6.71', "line 2: no CSV"),
        ("hello", "line 2: it begins with no number"),
        (",1", "line 2: it begins with no number"),
        ("²00,c8y_P,P,1", "line 2: it begins with no number"),
        ("200,c8y_P,P", "line 2: a fragment, a series and a value"),
        ("200", "line 2: a fragment, a series and a value"),
        ("211,", "line 2: there is no value"),
        ("211", "line 2: there is no value"),
    ],
)
def test_a_bad_line_is_rejected_alone(line: str, words: str) -> None:
    decoded = decode(f"211,1,2026-01-01T00:00:33Z\n{line}\n211,2,2026-01-01T00:00:34Z")
    assert [reading.values["c8y_TemperatureMeasurement.T"] for reading in decoded.readings] == [1.0, 2.0]
    refused(decoded, Reason.MALFORMED, words)


def test_lines_beyond_those_that_a_message_may_have_are_rejected() -> None:
    decoded = decode("1\n" * 9_999 + "211,54\n211,55")
    assert [reading.values for reading in decoded.readings] == [{"c8y_TemperatureMeasurement.T": 54.0}]
    refused(decoded, Reason.TOO_LARGE, "10000 lines")


def test_a_bad_time_rejects_its_line_alone() -> None:
    decoded = decode("211,1,later\n211,2,2026-01-01T00:00:34Z\n201,M,never,c8y_A,A,1\n200,c8y_A,A,1,V,13:00")
    assert len(decoded.readings) == 1
    refused(decoded, Reason.BAD_TIME, "line 1", "line 3", "line 4")


def test_fields_with_commas_are_quoted_and_quotes_doubled() -> None:
    decoded = decode('200,c8y_State,"door, ""east""",open,"",2026-01-01T00:00:33Z')
    assert only(decoded).values == {'c8y_State.door, "east"': "open"}


class TestIdentity:
    def test_without_the_broker_s_word_nobody_sent_it(self) -> None:
        refused(decode("211,54", properties={}), Reason.NO_IDENTITY)

    @pytest.mark.parametrize(
        ("client", "device"),
        [("d:kiln-2", "kiln-2"), ("c8y:kiln-2:press", "kiln-2"), ("kiln-2", "kiln-2"), ("site:kiln-2", "site:kiln-2")],
    )
    def test_the_client_id_holds_the_device_s(self, client: str, device: str) -> None:
        assert only(decode("211,54", properties={"device": client})).device == device

    def test_a_child_s_id_is_its_parent_s_alone(self) -> None:
        assert only(decode("211,54", "s/us/valve:1")).device == "compressor-4:valve%3A1"

    def test_a_route_may_name_the_device_by_its_topic(self) -> None:
        ingest = Ingest([Row("site", ["site/+/s/us/#"], "smartrest", device="{2}")])
        assert only(ingest.decode("site/press/s/us", "211,54")).device == "press"
        assert only(ingest.decode("site/press/s/us/v", "211,54")).device == "press:v"


@pytest.mark.parametrize("topic", ["s/us", "t/us", "q/us", "c/us", "t/us/child"])
def test_all_modes_of_processing_are_read(topic: str) -> None:
    assert only(decode("211,54", topic)).values == {"c8y_TemperatureMeasurement.T": 54.0}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("114,c8y_Restart", Ignored.METADATA),
        ("301,c8y_Hot,too hot", Ignored.EVENT),
        ("400,c8y_Door,open", Ignored.EVENT),
        ("501,c8y_Restart", Ignored.COMMAND),
        ("800,x", Ignored.UNSUPPORTED),
        ("99999999999999999999,x", Ignored.UNSUPPORTED),
    ],
)
def test_other_templates_make_no_reading(line: str, why: Ignored) -> None:
    assert decode(line).ignored is why
    mixed = decode(f"{line}\n211,54")
    assert (len(mixed.readings), mixed.left_out) == (1, {why: 1})


def test_the_interval_that_a_device_promises_is_a_fact_in_seconds() -> None:
    assert decode("117,5").facts == {"compressor-4": {"interval": "300"}}
    assert decode("117,often").ignored is Ignored.METADATA


def test_what_the_device_is_are_facts() -> None:
    decoded = decode("100,Press 4,c8y_Press\n110,SN-1,PX,\n115,os,2.1,https://example.org/2.1")
    assert decoded.facts == {
        "compressor-4": {
            "name": "Press 4",
            "type": "c8y_Press",
            "serial": "SN-1",
            "model": "PX",
            "firmware_name": "os",
            "firmware": "2.1",
        }
    }
    assert decoded.ignored is Ignored.METADATA


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("s/ds", Ignored.COMMAND),
        ("s/e", Ignored.COMMAND),
        ("s/ut/press", Ignored.METADATA),
        ("s/uc/press", Ignored.UNSUPPORTED),
    ],
)
def test_other_topics_are_ignored(topic: str, why: Ignored) -> None:
    assert decode("211,54", topic).ignored is why


def test_an_empty_payload_is_ignored_and_what_is_no_text_malformed() -> None:
    assert decode("").ignored is Ignored.EMPTY
    assert decode(" \r\n").ignored is Ignored.EMPTY
    refused(decode(b"\xff"), Reason.MALFORMED, "UTF-8")


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_what_is_written_as_csv_comes_through(series: str, value: float) -> None:
    written = io.StringIO()
    csv.writer(written).writerow(["200", "fragment", series, value])
    assert only(decode(written.getvalue())).values == {f"fragment.{series}": value}


@given(st.text('211,"\n 0c8y_', max_size=80))
def test_any_lines_have_one_outcome(payload: str) -> None:
    decode(payload)
