import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest.outcomes import Ignored, State
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, only, refused

TOPIC = "/neuron/edge/press-9/fast"
AT = 1_767_225_630_117_000_000


def group(**more: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    return json.dumps({"timestamp": 1767225630117, "node": "press-9", "group": "fast"} | more)


def test_the_tags_of_a_group_are_one_reading() -> None:
    decoded = decode(TOPIC, group(values={"ram_pos": 117.4, "cycle": 90312, "jog": False}, errors={}))
    assert only(decoded) == Reading(
        "press-9", AT, NOW, {"fast.ram_pos": 117.4, "fast.cycle": 90312.0, "fast.jog": False}
    )


def test_an_error_is_kept_with_its_quality_and_rejects_nothing() -> None:
    decoded = decode(TOPIC, group(values={"cycle": 4}, errors={"oil_temp": 3002}))
    assert decoded.problems is None
    assert decoded.readings == [
        Reading("press-9", AT, NOW, {"fast.cycle": 4.0}),
        Reading("press-9", AT, NOW, {"fast.oil_temp.error": 3002.0}, {"quality": "bad"}),
    ]


def test_a_list_of_tags_says_the_same() -> None:
    tags = [{"name": "cycle", "value": 4, "type": 5}, {"name": "oil_temp", "error": 3002}]
    assert (
        decode(TOPIC, group(tags=tags)).readings
        == decode(TOPIC, group(values={"cycle": 4}, errors={"oil_temp": 3002})).readings
    )


@pytest.mark.parametrize(
    "body",
    [
        {"tags": [{"name": "oil", "value": 63, "error": 3002}]},
        {"values": {"oil": 63}, "errors": {"oil": 3002}},
    ],
)
def test_a_tag_with_both_is_an_error(body: dict[str, Any]) -> None:
    assert only(decode(TOPIC, group(**body))).values == {"fast.oil.error": 3002.0}


def test_an_error_of_zero_is_none() -> None:
    assert only(decode(TOPIC, group(tags=[{"name": "oil", "value": 63, "error": 0}]))).values == {"fast.oil": 63.0}
    assert only(decode(TOPIC, group(values={"oil": 63}, errors={"oil": 0}))).values == {"fast.oil": 63.0}


def test_a_tag_may_hold_an_array_or_nothing() -> None:
    decoded = decode(TOPIC, group(values={"axes": [1, 2.5], "none": None}))
    assert (only(decoded).values, decoded.left_out) == (
        {"fast.axes.1": 1.0, "fast.axes.2": 2.5},
        {Ignored.NO_VALUE: 1},
    )


def test_a_bad_tag_does_not_lose_its_neighbours() -> None:
    decoded = decode(TOPIC, group(tags=[5, {"value": 1}, {"name": "a", "value": 1}]))
    assert [reading.values for reading in decoded.readings] == [{"fast.a": 1.0}]
    refused(decoded, Reason.MALFORMED, "tag 1 is a number", "tag 2 is an object without a name")


def test_without_a_group_the_tag_is_the_metric() -> None:
    assert only(decode(TOPIC, '{"node": "press-9", "values": {"a": 1}}')).values == {"a": 1.0}


class TestIdentity:
    def test_the_node_is_the_device_wherever_the_topic_is_bound(self) -> None:
        ingest = Ingest([Row("hall", ["hall/#"], "neuron")])
        assert only(ingest.decode("hall/2/tags", group(values={"a": 1}))).device == "press-9"

    def test_a_route_may_name_it(self) -> None:
        ingest = Ingest([Row("hall", ["hall/+"], "neuron", device="{2}")])
        assert only(ingest.decode("hall/press", group(values={"a": 1}))).device == "press"

    @pytest.mark.parametrize("node", [None, "", 5])
    def test_without_a_node_it_is_malformed(self, node: Any) -> None:  # noqa: ANN401 - as above
        refused(decode(TOPIC, group(node=node, values={"a": 1})), Reason.MALFORMED, "node")


def test_the_time_is_always_in_milliseconds() -> None:
    found = only(decode(TOPIC, group(timestamp=45_000, values={"a": 1})))
    assert (found.ts, found.flags) == (NOW, {"clock": "45000"})
    refused(decode(TOPIC, group(timestamp="soon", values={"a": 1})), Reason.BAD_TIME)


class TestStates:
    def test_a_node_is_online_while_it_is_linked(self) -> None:
        states = [{"node": "press-9", "running": 3, "link": 1}, {"node": "oven", "running": 3, "link": 0}]
        decoded = decode("/neuron/edge/state/update", json.dumps({"timestamp": 1767225630117, "states": states}))
        assert decoded.states == [
            State("press-9", online=True, at=AT, reason="link 1, running 3"),
            State("oven", online=False, at=AT, reason="link 0, running 3"),
        ]

    def test_a_bad_one_does_not_lose_its_neighbours(self) -> None:
        decoded = decode("/neuron/edge/state", '{"states": [4, {"node": "a"}, {"node": "b", "link": 1}]}')
        assert [state.device for state in decoded.states] == ["b"]
        refused(decoded, Reason.MALFORMED, "state 1", "state 2")


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("/neuron/edge/read/req", '{"uuid": "1", "node": "press-9", "group": "fast"}'),
        ("/neuron/edge/write/req", '{"uuid": "1", "node": "press-9", "group": "fast", "tag": "a", "value": 1}'),
        ("/neuron/edge/read/resp", '{"uuid": "1", "tags": [{"name": "a", "value": 1}]}'),
        ("/neuron/edge/answers", '{"uuid": "1", "tags": [{"name": "a", "value": 1}]}'),
    ],
)
def test_requests_and_replies_are_ignored(topic: str, payload: str) -> None:
    assert decode(topic, payload).ignored is Ignored.COMMAND


def test_an_empty_payload_is_ignored_and_what_is_no_object_malformed() -> None:
    assert decode(TOPIC, "").ignored is Ignored.EMPTY
    refused(decode(TOPIC, "[1]"), Reason.MALFORMED)


@given(st.dictionaries(st.text("abc", min_size=1), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_both_shapes_come_through_exactly(sent: dict[str, float]) -> None:
    expected = {f"fast.{name}": value for name, value in sent.items()}
    tags = [{"name": name, "value": value} for name, value in sent.items()]
    assert only(decode(TOPIC, group(values=sent))).values == expected
    assert only(decode(TOPIC, group(tags=tags))).values == expected
