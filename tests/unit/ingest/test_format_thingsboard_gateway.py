import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

USUAL = Ingest()
MS = 1_767_225_690_500
AT = MS * 1_000_000


def send(body: object, what: str = "telemetry", *, retained: bool = False) -> Decoded:
    return USUAL.decode(f"v1/gateway/{what}", json.dumps(body), retained=retained)


def test_one_message_is_for_many_devices_with_many_records_each() -> None:
    decoded = send(
        {
            "Dryer North": [{"ts": MS, "values": {"air_temp": 81.5, "fan": True, "stage": {"name": "cool", "no": 3}}}],
            "Dryer South": [{"ts": MS - 1000, "values": {"air_temp": 79.0}}, {"air_temp": 80.25}],
        }
    )
    assert decoded.readings == [
        Reading("Dryer North", AT, NOW, {"air_temp": 81.5, "fan": True, "stage.name": "cool", "stage.no": 3.0}),
        Reading("Dryer South", AT - 1_000_000_000, NOW, {"air_temp": 79.0}),
        Reading("Dryer South", NOW, NOW, {"air_temp": 80.25}),
    ]
    assert decoded.clean


def test_a_time_is_in_milliseconds_however_small_it_is() -> None:
    assert only(send({"Bench": [{"ts": 52_000, "values": {"a": 1}}]})) == Reading(
        "Bench", 52_000_000_000, NOW, {"a": 1.0}
    )
    assert only(send({"Bench": [{"ts": 1_767_225_690, "values": {"a": 1}}]})).ts == 1_767_225_690_000_000


def test_a_time_ahead_of_ours_is_that_of_a_wrong_clock() -> None:
    reading = only(send({"Bench": [{"ts": MS * 1000, "values": {"a": 1}}]}))
    assert (reading.ts, list(reading.flags)) == (NOW, ["clock"])


def test_without_both_ts_and_values_a_record_is_metrics() -> None:
    assert only(send({"Bench": [{"ts": MS, "a": 1}]})).values == {"ts": float(MS), "a": 1.0}
    assert only(send({"Bench": [{"values": {"a": 1}}]})).values == {"values.a": 1.0}


@pytest.mark.parametrize("bad", [{"ts": MS, "values": {"a": 1}}, 5, "x", None, True])
def test_a_device_whose_value_is_no_array_is_rejected_alone(bad: object) -> None:
    decoded = send({"Bench": [{"a": 1}], "Bad One": bad, "Press": [{"a": 2}]})
    assert [(r.device, r.values) for r in decoded.readings] == [("Bench", {"a": 1.0}), ("Press", {"a": 2.0})]
    refused(decoded, Reason.MALFORMED, "'Bad One': it is ", "not an array")


def test_a_bad_record_is_rejected_alone() -> None:
    decoded = send({"Bench": [{"a": 1}, 7, {"ts": "noon", "values": {"a": 2}}, {"ts": MS, "values": {"a": 3}}]})
    assert [r.values for r in decoded.readings] == [{"a": 1.0}, {"a": 3.0}]
    refused(decoded, Reason.MALFORMED, "'Bench': record 2: it is a number", "record 3: the time")


def test_a_name_that_fits_no_topic_level_is_spelled_and_kept() -> None:
    decoded = send({"Hall 2/Kiln": [{"a": 1}]})
    assert only(decoded).device == "Hall 2%2FKiln"
    assert decoded.facts == {"Hall 2%2FKiln": {"name": "Hall 2/Kiln"}}


def test_a_device_needs_a_name() -> None:
    decoded = send({"": [{"a": 1}], "Bench": [{"a": 2}]})
    assert [r.device for r in decoded.readings] == ["Bench"]
    refused(decoded, Reason.BAD_DEVICE, "is empty")


def test_retained_records_need_a_time() -> None:
    decoded = send({"Bench": [{"a": 1}, {"ts": MS, "values": {"a": 2}}]}, retained=True)
    assert (only(decoded).ts, decoded.left_out) == (AT, {Ignored.RETAINED_UNTIMED: 1})


@pytest.mark.parametrize(("what", "online"), [("connect", True), ("disconnect", False)])
def test_a_device_comes_and_goes(what: str, *, online: bool) -> None:
    decoded = send({"device": "Dryer North", "type": "dryer"}, what)
    assert [(state.device, state.online, state.at) for state in decoded.states] == [("Dryer North", online, NOW)]
    assert (decoded.ignored, decoded.facts) == (Ignored.PRESENCE, {"Dryer North": {"type": "dryer"}})


def test_who_comes_has_to_be_said() -> None:
    refused(send({}, "connect"), Reason.MALFORMED, "device")


def test_attributes_are_facts() -> None:
    decoded = send(
        {"Bench": {"fw": "4.1", "model": "B-2", "rev": 3, "on": True, "deep": {"x": 1}}, "Bad": [1]}, "attributes"
    )
    assert decoded.facts == {"Bench": {"firmware": "4.1", "model": "B-2", "attribute.rev": "3", "attribute.on": "true"}}
    refused(decoded, Reason.MALFORMED, "'Bad': it is an array")
    assert send({"Bench": {"fw": "4.1"}}, "attributes").ignored is Ignored.METADATA


@pytest.mark.parametrize("what", ["rpc", "claim", "attributes/request", "attributes/response"])
def test_requests_and_replies_are_ignored(what: str) -> None:
    assert send({"device": "Bench", "data": {}}, what).ignored is Ignored.COMMAND


@pytest.mark.parametrize("what", ["news", "telemetry/more", ""])
def test_other_topics_are_unsupported(what: str) -> None:
    assert send({}, what).ignored is Ignored.UNSUPPORTED


@pytest.mark.parametrize("payload", ["[]", "5", "{", "hello"])
def test_what_is_no_object_is_malformed(payload: str) -> None:
    refused(USUAL.decode("v1/gateway/telemetry", payload), Reason.MALFORMED)


@pytest.mark.parametrize("payload", ["", "{}", '{"Bench": []}', '{"Bench": [{}]}'])
def test_nothing_in_it_is_ignored(payload: str) -> None:
    assert USUAL.decode("v1/gateway/telemetry", payload).ignored is Ignored.EMPTY


def test_it_may_stand_behind_a_prefix() -> None:
    ingest = Ingest([Row("site", ["site/+/v1/gateway/#"], "thingsboard_gateway")])
    assert only(ingest.decode("site/7/v1/gateway/telemetry", '{"Bench": [{"a": 1}]}')).device == "Bench"
    assert ingest.decode("site/7/v1/gateway/rpc", "{}").ignored is Ignored.COMMAND


NAMES = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=10)


@given(st.dictionaries(NAMES, st.integers(0, MS), min_size=1, max_size=5))
def test_each_device_has_its_own_reading(times: dict[str, int]) -> None:
    decoded = send({name: [{"ts": ts, "values": {"n": ts}}] for name, ts in times.items()})
    assert sorted((r.ts, r.values["n"]) for r in decoded.readings) == sorted(
        (ts * 1_000_000, float(ts)) for ts in times.values()
    )
    assert len({r.device for r in decoded.readings}) == len(times)
