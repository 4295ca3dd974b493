import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest.outcomes import Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, decode, only, refused

BASE = "$aws/things/sluice-3/shadow"
ACCEPTED = f"{BASE}/update/accepted"
AT = 1_767_225_615_000_000_000


def document(reported: Any, metadata: Any = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    return {
        "state": {"reported": reported},
        "metadata": {"reported": metadata},
        "version": 904,
        "timestamp": 1767225616,
    } | more


def test_fields_are_stored_at_their_own_times() -> None:
    decoded = decode(
        ACCEPTED,
        json.dumps(
            document(
                {"gate_pct": 42, "head_m": 1.83, "mode": "auto"},
                {"gate_pct": {"timestamp": 1767225615}, "head_m": {"timestamp": 1767225615}, "mode": {}},
            )
        ),
    )
    assert decoded.readings == [
        Reading("sluice-3", AT, NOW, {"gate_pct": 42.0, "head_m": 1.83}),
        Reading("sluice-3", AT + 10**9, NOW, {"mode": "auto"}),
    ]


def test_nested_fields_and_lists_have_nested_times() -> None:
    reported = {"pump": {"rpm": 900, "timestamp": 7}, "levels": [1.5, {"left": 2}]}
    metadata = {
        "pump": {"rpm": {"timestamp": 1767225615}, "timestamp": {"timestamp": 1767225614}},
        "levels": [{"timestamp": 1767225615}, {"left": {"timestamp": 1767225614}}],
    }
    decoded = decode(ACCEPTED, json.dumps(document(reported, metadata)))
    assert [(r.ts, r.values) for r in decoded.readings] == [
        (AT, {"pump.rpm": 900.0, "levels.1": 1.5}),
        (AT - 10**9, {"pump.timestamp": 7.0, "levels.2.left": 2.0}),
    ]


def test_the_name_of_a_named_shadow_stands_in_front() -> None:
    decoded = decode(f"{BASE}/name/climate/update/accepted", json.dumps(document({"t": 4, "fan": {"on": True}})))
    assert only(decoded).values == {"climate.t": 4.0, "climate.fan.on": True}
    assert only(decoded).device == "sluice-3"


@pytest.mark.parametrize(
    "topic",
    ["$aws/things/shadow/shadow/update/accepted", "$aws/things/shadow/shadow/name/shadow/update/accepted"],
)
def test_a_thing_and_a_shadow_may_be_called_shadow(topic: str) -> None:
    assert only(decode(topic, json.dumps(document({"t": 4})))).device == "shadow"


def test_null_deletes_a_field_and_is_no_value() -> None:
    decoded = decode(ACCEPTED, json.dumps(document({"a": None, "b": 1})))
    assert (only(decoded).values, decoded.left_out) == ({"b": 1.0}, {Ignored.NO_VALUE: 1})
    assert decode(ACCEPTED, json.dumps(document(None))).ignored is Ignored.NO_VALUE


def test_an_update_without_its_time_is_when_it_is_received() -> None:
    assert only(decode(ACCEPTED, '{"state": {"reported": {"a": 1}}}')).ts == NOW


def test_a_late_version_is_as_good_as_any() -> None:
    ingest = Ingest()
    assert ingest.decode(ACCEPTED, json.dumps(document({"a": 2}, version=905))).readings
    late = document({"a": 1}, {"a": {"timestamp": 1767225600}}, version=904)
    assert only(ingest.decode(ACCEPTED, json.dumps(late))).ts == 1_767_225_600_000_000_000


class TestOneOfThree:
    BODY = json.dumps(document({"a": 1}))
    WHOLE = json.dumps({"previous": document({"a": 0}), "current": document({"a": 1}), "timestamp": 1767225616})

    def ingest(self, read: str) -> Ingest:
        return Ingest([Row("mine", ["$aws/things/+/shadow/#"], "aws_shadow", options={"read": read})])

    @pytest.mark.parametrize(
        ("read", "taken"), [("accepted", "/accepted"), ("update", ""), ("documents", "/documents")]
    )
    def test_one_topic_is_read_and_the_others_repeat_it(self, read: str, taken: str) -> None:
        ingest = self.ingest(read)
        for end in ("", "/accepted", "/documents"):
            body = self.WHOLE if end == "/documents" else self.BODY
            decoded = ingest.decode(f"{BASE}/update{end}", body)
            if end == taken:
                assert only(decoded).values == {"a": 1.0}
            else:
                assert decoded.ignored is Ignored.REPEAT

    def test_the_one_with_times_is_read_unless_somebody_chooses(self) -> None:
        assert decode(ACCEPTED, self.BODY).readings
        assert decode(f"{BASE}/update", self.BODY).ignored is Ignored.REPEAT


@pytest.mark.parametrize(
    "end",
    ["update/delta", "update/rejected", "get", "get/accepted", "get/rejected", "delete", "delete/accepted", "name/x"],
)
def test_everything_else_is_ignored(end: str) -> None:
    assert decode(f"{BASE}/{end}", json.dumps(document({"a": 1}))).ignored is Ignored.COMMAND


@pytest.mark.parametrize("end", ["", "jobs/notify", "update2"])
def test_a_topic_of_another_shape_is_unsupported(end: str) -> None:
    assert decode(f"{BASE}/{end}", "{}").ignored is Ignored.UNSUPPORTED


def test_what_is_desired_is_no_reading() -> None:
    body = document({"a": 1}) | {"state": {"desired": {"a": 2}}}
    assert decode(ACCEPTED, json.dumps(body)).ignored is Ignored.COMMAND
    both = document({"a": 1}) | {"state": {"desired": {"a": 2}, "reported": {"a": 1}}}
    assert only(decode(ACCEPTED, json.dumps(both))).values == {"a": 1.0}


@pytest.mark.parametrize("payload", ['{"state": 5}', "{}", "[]", "{"])
def test_a_document_without_a_state_is_malformed(payload: str) -> None:
    refused(decode(ACCEPTED, payload), Reason.MALFORMED)


def test_an_empty_payload_and_an_empty_state_are_ignored() -> None:
    assert decode(ACCEPTED, "").ignored is Ignored.EMPTY
    assert decode(ACCEPTED, json.dumps(document({}))).ignored is Ignored.NO_VALUE


def test_a_report_that_is_no_object_is_malformed() -> None:
    refused(decode(ACCEPTED, json.dumps(document([1]))), Reason.MALFORMED, "an array")


def test_nesting_has_a_limit_and_neighbours_are_kept() -> None:
    deep: Any = 1
    for _ in range(9):
        deep = {"n": deep}
    decoded = decode(ACCEPTED, json.dumps(document({"deep": deep, "a": 1})))
    assert [reading.values for reading in decoded.readings] == [{"a": 1.0}]
    refused(decoded, Reason.TOO_LARGE, "nested deeper than 8")


def test_a_long_name_over_many_values_is_refused_at_once() -> None:
    decoded = decode(ACCEPTED, json.dumps(document({"n" * 500_000: [1] * 100_000, "a": 1})))
    assert decoded.readings[0].values == {"a": 1.0}
    refused(decoded, Reason.TOO_LARGE, "500000 bytes long")


@given(
    st.recursive(
        st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, min_size=1, max_size=3),
        max_leaves=8,
    )
)
def test_a_state_is_flattened_like_any_other_object(value: Any) -> None:  # noqa: ANN401 - as above
    shadow = decode(ACCEPTED, json.dumps(document({"x": value})))
    plain = decode("devices/sluice-3/telemetry", json.dumps({"ts": 1767225616, "x": value}))
    assert [r.values for r in shadow.readings] == [r.values for r in plain.readings]


def test_a_shadow_of_which_everything_was_deleted_has_no_value() -> None:
    assert decode(ACCEPTED, '{"state": null, "version": 905, "timestamp": 1767225616}').ignored is Ignored.NO_VALUE
