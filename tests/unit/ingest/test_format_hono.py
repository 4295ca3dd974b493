import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest import table
from ingest.outcomes import Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, only, refused

TOPIC = "telemetry/PLANT_9/dryer-3"


def test_what_a_gateway_sends_is_of_the_device_in_the_topic() -> None:
    assert only(decode(TOPIC, '{"co2": 598}')) == Reading("PLANT_9:dryer-3", NOW, NOW, {"co2": 598.0})


def test_the_tenant_may_be_the_gateway_s_own() -> None:
    assert only(decode("telemetry//dryer-3", '{"co2": 598}')).device == "dryer-3"


def test_what_a_device_sends_is_of_whom_the_broker_says() -> None:
    sent = {"device": "dryer-3"}
    assert only(decode("telemetry", '{"co2": 612}', properties=sent)).device == "dryer-3"
    bag = "telemetry/?content-type=application%2Fjson"
    assert only(decode(bag, '{"co2": 612}', properties=sent)).device == "dryer-3"
    refused(decode("telemetry", '{"co2": 612}'), Reason.NO_IDENTITY)
    refused(decode(bag, '{"co2": 612}'), Reason.NO_IDENTITY)


@pytest.mark.parametrize("topic", ["telemetry/PLANT_9/", "telemetry/PLANT_9/dryer-3/more"])
def test_a_topic_of_another_length_names_no_device(topic: str) -> None:
    refused(decode(topic, '{"co2": 612}'), Reason.NO_IDENTITY)


def test_a_time_in_the_payload_is_its_time() -> None:
    reading = only(decode(TOPIC, '{"ts": 1767225600250, "values": {"co2": 598}}'))
    assert (reading.ts, reading.values) == (1_767_225_600_250_000_000, {"co2": 598.0})


class TestContentType:
    @pytest.mark.parametrize(
        "bag",
        [
            "?content-type=application%2Fjson",
            "?content-type=application/json",  # the slash ends no level
            "?hono-ttl=60&content-type=application%2Fvnd.acme%2Bjson%3Bcharset%3Dutf-8&on-error=ignore",
            "?hono-ttl=60",
            "?",
        ],
    )
    def test_the_topic_s_last_level_says_it(self, bag: str) -> None:
        reading = only(decode(f"{TOPIC}/{bag}", '{"co2": 598}'))
        assert (reading.device, reading.values) == ("PLANT_9:dryer-3", {"co2": 598.0})

    def test_or_a_property_of_the_message(self) -> None:
        assert only(decode(TOPIC, '{"co2": 1}', properties={"content-type": "application/json"})).values

    def test_senml_is_read_as_such(self) -> None:
        pack = '[{"n": "co2", "u": "ppm", "v": 598}]'
        decoded = decode(f"{TOPIC}/?content-type=application%2Fsenml%2Bjson", pack)
        assert only(decoded).values == {"co2": 598.0}
        assert decoded.units == {"PLANT_9:dryer-3": {"co2": "ppm"}}

    @pytest.mark.parametrize("kind", ["application/octet-stream", "text/plain", "application/vnd.acme"])
    def test_anything_else_is_unsupported(self, kind: str) -> None:
        assert decode(TOPIC, '{"co2": 1}', properties={"content-type": kind}).ignored is Ignored.UNSUPPORTED

    @pytest.mark.parametrize("payload", [b"\x00\x17", b"598"])
    def test_without_one_what_does_not_look_like_json_is_opaque(self, payload: bytes) -> None:
        assert decode(TOPIC, payload).ignored is Ignored.UNSUPPORTED

    def test_what_claims_to_be_json_and_is_none_is_malformed(self) -> None:
        refused(decode(TOPIC, '{"co2": '), Reason.MALFORMED)

    def test_more_properties_than_anybody_needs_are_none(self) -> None:
        bag = "&".join(f"a{number}=1" for number in range(101))
        assert only(decode(f"{TOPIC}/?{bag}&content-type=text%2Fplain", '{"co2": 598}')).values == {"co2": 598.0}


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("event/PLANT_9/dryer-3/?content-type=application%2Fjson", '{"filter": "changed"}'),
        ("event//dryer-3/?content-type=application%2Fvnd.eclipse-hono-empty-notification", ""),
        ("event", '{"filter": "changed"}'),
    ],
)
def test_an_event_is_one_also_with_nothing_in_it(topic: str, payload: str) -> None:
    assert decode(topic, payload, properties={"device": "d"}).ignored is Ignored.EVENT


def test_the_short_names_and_commands_are_known_where_somebody_binds_them() -> None:
    ingest = Ingest([Row("short", ["t/#", "e/#", "c/#"], "hono")])
    assert only(ingest.decode("t/PLANT_9/dryer-3", '{"co2": 1}')).device == "PLANT_9:dryer-3"
    assert ingest.decode("e/PLANT_9/dryer-3", '{"co2": 1}').ignored is Ignored.EVENT
    assert ingest.decode("c/PLANT_9/dryer-3/req/1/on", "").ignored is Ignored.COMMAND


def test_an_empty_payload_is_ignored() -> None:
    assert decode(TOPIC, "").ignored is Ignored.EMPTY


def test_filters_this_wide_are_off_until_somebody_turns_them_on() -> None:
    assert {row.enabled for row in table.built_in() if row.decoder == "hono"} == {False}


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_figures_come_through_exactly(sent: dict[str, float]) -> None:
    assert only(decode(TOPIC, json.dumps(sent))).values == sent
