import json

import pytest

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

USUAL = Ingest()
MS = 1_767_225_690_500
AT = MS * 1_000_000


def send(
    body: object, topic: str = "v1/devices/me/telemetry", *, device: str = "press-9", retained: bool = False
) -> Decoded:
    properties = {"device": device} if device else {}
    return USUAL.decode(topic, json.dumps(body), properties=properties, retained=retained)


@pytest.mark.parametrize("topic", ["v1/devices/me/telemetry", "v2/t", "v2/t/j"])
def test_the_device_is_the_one_that_the_broker_names(topic: str) -> None:
    decoded = send({"ts": MS, "values": {"ram": 2.14, "seal": "ok"}}, topic)
    assert only(decoded) == Reading("press-9", AT, NOW, {"ram": 2.14, "seal": "ok"})


@pytest.mark.parametrize("topic", ["v1/devices/me/telemetry", "v2/t", "v2/a"])
def test_without_a_name_from_the_broker_there_is_no_identity(topic: str) -> None:
    refused(send({"a": 1}, topic, device=""), Reason.NO_IDENTITY, "broker")


def test_a_route_may_have_the_device_in_its_topic() -> None:
    ingest = Ingest([Row("tb", ["tb/+/v1/devices/me/#"], "thingsboard", "{2}")])
    assert only(ingest.decode("tb/press-9/v1/devices/me/telemetry", '{"a": 1}')).device == "press-9"
    assert ingest.decode("tb/press-9/v1/devices/me/rpc/request/1", "{}").ignored is Ignored.COMMAND


def test_any_other_topic_that_is_bound_is_telemetry() -> None:
    ingest = Ingest([Row("tb", ["machines/+/up"], "thingsboard", "{2}")])
    assert only(ingest.decode("machines/press-9/up", '{"ts": 52000, "values": {"a": 1}}')).ts == 52_000_000_000


def test_records_come_alone_or_as_an_array_of_either_form() -> None:
    decoded = send([{"ts": MS, "values": {"a": 1}}, {"a": 2}, 5])
    assert [(r.ts, r.values) for r in decoded.readings] == [(AT, {"a": 1.0}), (NOW, {"a": 2.0})]
    refused(decoded, Reason.MALFORMED, "record 3: it is a number")


def test_ts_without_values_is_a_metric() -> None:
    assert only(send({"ts": MS, "a": 1})) == Reading("press-9", NOW, NOW, {"ts": float(MS), "a": 1.0})


def test_times_are_milliseconds_and_may_be_small() -> None:
    assert only(send({"ts": 45, "values": {"a": 1}})).ts == 45_000_000


def test_numbers_may_be_sent_as_text() -> None:
    decoded = send({"a": "21.5"})
    assert (only(decoded).values, decoded.spelled) == ({"a": 21.5}, {"press-9": {"a": "21.5"}})


@pytest.mark.parametrize("topic", ["v1/devices/me/attributes", "v2/a", "v2/a/j"])
def test_attributes_are_facts(topic: str) -> None:
    decoded = send({"serial": "QX-7", "fw_version": "1.2"}, topic)
    assert decoded.facts == {"press-9": {"attribute.serial": "QX-7", "firmware": "1.2"}}
    assert decoded.ignored is Ignored.METADATA


@pytest.mark.parametrize(
    "topic",
    [
        "v1/devices/me/rpc/response/4",
        "v1/devices/me/rpc/request/4",
        "v1/devices/me/attributes/request/1",
        "v1/devices/me/attributes/response/1",
        "v1/devices/me/claim",
        "v2/fw/request/1/chunk/0",
        "v2/sw/response/1/chunk/0",
        "v2/a/req/1",
        "v2/r/req/1",
        "/provision/request",
        "/provision/response",
    ],
)
def test_requests_and_replies_are_ignored(topic: str) -> None:
    assert USUAL.decode(topic, b"\x00\xff").ignored is Ignored.COMMAND


@pytest.mark.parametrize("topic", ["v2/t/p", "v2/a/p"])
def test_protobuf_of_a_devices_own_is_unsupported(topic: str) -> None:
    assert USUAL.decode(topic, b"\x08\x01").ignored is Ignored.UNSUPPORTED


@pytest.mark.parametrize("payload", ["5", "null", "hello", '{"a": 1'])
def test_what_is_no_object_is_malformed(payload: str) -> None:
    refused(USUAL.decode("v2/t", payload, properties={"device": "press-9"}), Reason.MALFORMED)


def test_retained_records_need_a_time() -> None:
    assert send({"a": 1}, retained=True).ignored is Ignored.RETAINED_UNTIMED
    assert only(send({"ts": MS, "values": {"a": 1}}, retained=True)).ts == AT
    assert USUAL.decode("v2/t", "").ignored is Ignored.EMPTY
