import json
from collections.abc import Sequence
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest.limits import MAX_DEPTH
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import AHEAD, NOW, Ingest, only, refused

TOPIC = "m/estate/c/greenhouse"
BASE = "urn:dev:mac:0ab3c4fffe112233:"
DEVICE = "urn:dev:mac:0ab3c4fffe112233"
AT = 1_767_225_500
SECOND = 1_000_000_000
USUAL = Ingest()

# The labels of CBOR, as RFC 8428 numbers them.
LABELS = {"bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6, "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4}
LABELS |= {"s": 5, "t": 6, "ut": 7, "vd": 8}


def send(pack: object, *, topic: str = TOPIC, retained: bool = False, **properties: str) -> Decoded:
    named = {name.replace("_", "-"): value for name, value in properties.items()}
    return USUAL.decode(topic, json.dumps(pack), retained=retained, properties=named)


def cbor(pack: Sequence[dict[str, Any]], *, topic: str = TOPIC) -> Decoded:
    return USUAL.decode(topic, cbor2.dumps([{LABELS[name]: value for name, value in r.items()} for r in pack]))


def raw(text: str, *, topic: str = TOPIC) -> Decoded:
    return USUAL.decode(topic, bytes.fromhex(text))


def found(decoded: Decoded) -> list[tuple[str, int, dict[str, Value]]]:
    assert decoded.problems is None, decoded.problems.detail
    return [(reading.device, reading.ts, dict(reading.values)) for reading in decoded.readings]


class TestPack:
    def test_records_share_what_stands_in_the_base_fields(self) -> None:
        decoded = send(
            [
                {"bn": BASE, "bt": AT, "bu": "Cel", "n": "bench", "v": 17.25},
                {"n": "vent", "t": -45, "v": 12.5},
                {"n": "mist", "u": "l/s", "v": 0.31, "s": 220.4},
            ]
        )
        assert found(decoded) == [
            (DEVICE, AT * SECOND, {"bench": 17.25, "mist": 0.31, "mist.sum": 220.4}),
            (DEVICE, (AT - 45) * SECOND, {"vent": 12.5}),
        ]
        assert decoded.units == {DEVICE: {"bench": "Cel", "vent": "Cel", "mist": "l/s", "mist.sum": "l"}}

    def test_base_fields_hold_from_their_record_on_until_set_again(self) -> None:
        decoded = send(
            [
                {"bn": "urn:a:", "bt": AT, "n": "x", "v": 1},
                {"bn": "urn:b:", "bt": AT + 1, "n": "x", "v": 2},
                {"n": "y", "v": 3},
            ]
        )
        assert found(decoded) == [
            ("urn:a", AT * SECOND, {"x": 1.0}),
            ("urn:b", (AT + 1) * SECOND, {"x": 2.0, "y": 3.0}),
        ]

    def test_base_values_and_sums_are_added_as_they_are_written(self) -> None:
        pack = [{"bn": BASE, "bv": 0.2, "bs": 10, "n": "level", "v": 0.1, "s": 2.5}, {"n": "flow", "v": 1}]
        assert only(send(pack)).values == {"level": 0.3, "level.sum": 12.5, "flow": 1.2}

    def test_a_base_value_is_for_numbers_alone(self) -> None:
        assert only(send([{"bn": BASE, "bv": 5, "n": "mode", "vs": "eco"}])).values == {"mode": "eco"}

    def test_large_integers_are_added_exactly(self) -> None:
        assert only(send([{"bn": BASE, "bv": 9007199254740992, "n": "ticks", "v": 1}])).values == {
            "ticks": "9007199254740993"
        }

    @pytest.mark.parametrize("pack", ["[]", ""])
    def test_a_pack_without_records_is_empty(self, pack: str) -> None:
        assert USUAL.decode(TOPIC, pack).ignored is Ignored.EMPTY

    @pytest.mark.parametrize("payload", ["{}", "5", "hello", '[{"n"'])
    def test_what_is_no_array_is_malformed(self, payload: str) -> None:
        refused(USUAL.decode(TOPIC, payload), Reason.MALFORMED)


class TestNames:
    @pytest.mark.parametrize(
        ("record", "device", "metric"),
        [
            ({"bn": "urn:dev:ow:10a0b0c0:", "n": "depth"}, "urn:dev:ow:10a0b0c0", "depth"),
            ({"bn": "shed/", "n": "depth"}, "shed", "depth"),
            ({"bn": "shed", "n": "depth"}, "shed", "depth"),
            ({"bn": "farm/shed/", "n": "a:b/c"}, "farm%2Fshed", "a:b/c"),
            ({"n": "urn:dev:ow:10a0b0c0:depth"}, "urn:dev:ow:10a0b0c0", "depth"),
            ({"n": "shed/depth"}, "shed", "depth"),
            ({"bn": "urn:dev:ow:10a0b0c0:depth"}, "urn:dev:ow:10a0b0c0", "depth"),
            ({"bn": "urn:dev:ow:10a0b0c0:", "u": "m"}, "urn:dev:ow:10a0b0c0", "m"),
            ({"bn": "urn:dev:ow:10a0b0c0:"}, "urn:dev:ow:10a0b0c0", "value"),
        ],
    )
    def test_the_name_gives_device_and_metric(self, record: dict[str, str], device: str, metric: str) -> None:
        reading = only(send([{**record, "v": 2.5}]))
        assert (reading.device, reading.values) == (device, {metric: 2.5})

    @pytest.mark.parametrize("record", [{"n": "depth"}, {}, {"n": ":depth"}, {"bn": ":", "n": "depth"}])
    def test_a_record_without_device_is_rejected_alone(self, record: dict[str, str]) -> None:
        decoded = send([{**record, "v": 1}, {"bn": BASE, "n": "ok", "v": 2}])
        assert [r.values for r in decoded.readings] == [{"ok": 2.0}]
        refused(decoded, Reason.NO_IDENTITY, "record 1: ", "gives no device")

    def test_a_topic_that_names_the_device_wins(self) -> None:
        decoded = send([{"bn": BASE, "bt": AT, "n": "bench", "v": 1}], topic="devices/north/telemetry")
        assert only(decoded) == Reading("north", AT * SECOND, NOW, {"bench": 1.0})

    def test_on_such_a_topic_a_record_may_have_but_a_base_name(self) -> None:
        assert only(send([{"bn": "urn:x:depth", "v": 1}], topic="devices/north/telemetry")).values == {"depth": 1.0}

    def test_units_tell_records_apart_that_have_no_names(self) -> None:
        decoded = send([{"bn": "urn:dev:ow:10a0b0c0", "u": "%RH", "v": 61}, {"u": "Cel", "v": 4.5}])
        assert found(decoded) == [("urn:dev:ow:10a0b0c0", NOW, {"%RH": 61.0, "Cel": 4.5})]

    def test_records_of_one_name_in_one_unit_need_no_telling_apart(self) -> None:
        decoded = send([{"bn": "urn:dev:ow:depth", "bt": AT, "u": "m", "v": 1}, {"u": "m", "t": 5, "v": 2}])
        assert found(decoded) == [
            ("urn:dev:ow", AT * SECOND, {"depth": 1.0}),
            ("urn:dev:ow", (AT + 5) * SECOND, {"depth": 2.0}),
        ]

    def test_one_name_in_two_units_is_refused_where_names_are_given(self) -> None:
        decoded = send([{"bn": BASE, "n": "x", "u": "m", "v": 1}, {"n": "x", "u": "s", "v": 2}])
        assert [r.values for r in decoded.readings] == [{"x": 1.0}]
        refused(decoded, Reason.BAD_UNIT, "'x'")

    def test_a_message_may_be_for_many_devices(self) -> None:
        decoded = send([{"n": "shed/depth", "v": 1}, {"n": "barn/depth", "v": 2}])
        assert [(r.device, r.values) for r in decoded.readings] == [("shed", {"depth": 1.0}), ("barn", {"depth": 2.0})]


class TestTime:
    @pytest.mark.parametrize(
        ("base", "own", "ts"),
        [
            (AT, 0.5, AT * SECOND + 500_000_000),
            (AT + 0.001, 0.000002, AT * SECOND + 1_002_000),
            (AT, 86_400, NOW),
            (0, 0, NOW),
            (0, -30, NOW - 30 * SECOND),
            (-10, -0.25, NOW - 10_250_000_000),
            (0, 12, NOW + 12 * SECOND),
            (1 << 28, 0, (1 << 28) * SECOND),
            (-30, AT, (AT - 30) * SECOND),
        ],
    )
    def test_a_time_is_absolute_from_two_to_the_28_and_else_relative(self, base: float, own: float, ts: int) -> None:
        assert only(send([{"bn": BASE, "bt": base, "n": "x", "t": own, "v": 1}])).ts == ts

    @pytest.mark.parametrize("own", [AT + 86_400, (1 << 28) - 1, -(10**15)])
    def test_a_time_that_cannot_be_true_is_the_time_of_arrival(self, own: int) -> None:
        reading = only(send([{"bn": BASE, "n": "x", "t": own, "v": 1}]))
        assert (reading.ts, list(reading.flags)) == (NOW, ["clock"])

    def test_a_little_ahead_is_allowed(self) -> None:
        ahead = AHEAD // SECOND
        assert only(send([{"bn": BASE, "n": "x", "t": ahead, "v": 1}])).ts == NOW + AHEAD

    @pytest.mark.parametrize("label", ["t", "bt"])
    def test_a_number_that_is_no_time_rejects_its_record(self, label: str) -> None:
        decoded = send([{"bn": BASE, "n": "a", "v": 1}, {"n": "b", "v": 2, label: 10**60}])
        assert [r.values for r in decoded.readings] == [{"a": 1.0}]
        refused(decoded, Reason.BAD_TIME, "record 2: ")

    def test_retained_packs_need_a_time_of_their_own(self) -> None:
        decoded = send(
            [{"bn": BASE, "n": "a", "t": -5, "v": 1}, {"n": "b", "v": 1}, {"n": "c", "t": AT, "v": 1}], retained=True
        )
        assert found(decoded) == [(DEVICE, AT * SECOND, {"c": 1.0})]
        assert decoded.left_out == {Ignored.RETAINED_UNTIMED: 2}


class TestValues:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ({"v": -3}, -3.0),
            ({"vb": False}, False),
            ({"vs": "17"}, "17"),
            ({"vs": "unknown"}, "unknown"),
            ({"vs": ""}, ""),
            ({"vd": "3q2-7w"}, "3q2-7w"),
        ],
    )
    def test_each_kind_of_value_keeps_its_type(self, field: dict[str, Any], value: Value) -> None:
        stored = only(send([{"bn": BASE, "n": "x", **field}])).values["x"]
        assert (stored, type(stored)) == (value, type(value))

    def test_data_says_how_it_is_encoded(self) -> None:
        assert only(send([{"bn": BASE, "n": "x", "vd": "3q2-7w"}])).flags == {"encoding": "base64url"}

    def test_an_inherited_unit_is_for_numbers_alone(self) -> None:
        decoded = send(
            [
                {"bn": BASE, "bu": "V", "n": "a", "v": 1},
                {"n": "b", "vs": "x"},
                {"n": "c", "vb": True},
                {"n": "d", "vd": "AA"},
                {"n": "e", "u": "%", "vs": "full"},
            ]
        )
        assert decoded.units == {DEVICE: {"a": "V", "e": "%"}}

    def test_a_sum_alone_is_a_value(self) -> None:
        decoded = send([{"bn": BASE, "n": "power", "u": "W", "s": 3600}])
        assert (only(decoded).values, decoded.units) == ({"power.sum": 3600.0}, {DEVICE: {"power.sum": "W.s"}})

    def test_null_is_no_value(self) -> None:
        assert send([{"bn": BASE, "n": "x", "v": None}]).ignored is Ignored.NO_VALUE

    @pytest.mark.parametrize(
        ("record", "reason"),
        [
            ({"n": "x"}, Reason.MALFORMED),
            ({"n": "x", "v": 1, "vs": "a"}, Reason.MALFORMED),
            ({"n": "x", "v": "1"}, Reason.BAD_VALUE),
            ({"n": "x", "v": True}, Reason.BAD_VALUE),
            ({"n": "x", "v": [1]}, Reason.BAD_VALUE),
            ({"n": "x", "v": float("nan")}, Reason.BAD_VALUE),
            ({"n": "x", "vb": 1}, Reason.BAD_VALUE),
            ({"n": "x", "vs": 1}, Reason.BAD_VALUE),
            ({"n": "x", "vd": "a+b="}, Reason.BAD_VALUE),
            ({"n": "x", "s": None}, Reason.BAD_VALUE),
            ({"n": 5, "v": 1}, Reason.BAD_VALUE),
            ({"n": "x", "u": 5, "v": 1}, Reason.BAD_VALUE),
            ({"n": "x", "t": "soon", "v": 1}, Reason.BAD_VALUE),
            (5, Reason.MALFORMED),
            (None, Reason.MALFORMED),
        ],
    )
    def test_a_bad_record_is_rejected_alone(self, record: object, reason: Reason) -> None:
        decoded = send([{"bn": BASE, "n": "a", "v": 1}, record, {"n": "b", "v": 2}])
        assert [r.values for r in decoded.readings] == [{"a": 1.0, "b": 2.0}]
        refused(decoded, reason)

    def test_base_fields_of_a_rejected_record_still_apply(self) -> None:
        decoded = send([{"bn": BASE, "bt": AT, "bu": "K"}, {"n": "a", "v": 280}])
        assert [(r.device, r.ts) for r in decoded.readings] == [(DEVICE, AT * SECOND)]
        assert decoded.units == {DEVICE: {"a": "K"}}
        refused(decoded, Reason.MALFORMED, "record 1: it has no value")

    def test_nothing_is_guessed_from_a_base_field_that_cannot_be_read(self) -> None:
        decoded = send(
            [
                {"bn": BASE, "bt": AT, "n": "a", "v": 1},
                {"bt": "noon", "n": "b", "v": 2},
                {"n": "c", "v": 3},
                {"bt": AT + 1, "n": "d", "v": 4},
            ]
        )
        assert [(r.ts, r.values) for r in decoded.readings] == [
            (AT * SECOND, {"a": 1.0}),
            ((AT + 1) * SECOND, {"d": 4.0}),
        ]
        refused(decoded, Reason.BAD_VALUE, "record 2: bt cannot be read", "record 3: bt before it")


class TestLabels:
    @pytest.mark.parametrize("version", [11, 99.0, -1, "10", None])
    def test_a_version_that_is_not_known_rejects_the_pack(self, version: object) -> None:
        decoded = send([{"bn": BASE, "n": "a", "v": 1}, {"bver": version, "n": "b", "v": 2}])
        assert not decoded.readings
        refused(decoded, Reason.MALFORMED, "record 2: bver")

    @pytest.mark.parametrize("version", [10, 5])
    def test_known_versions_are_read(self, version: int) -> None:
        assert only(send([{"bver": version, "bn": BASE, "n": "a", "v": 1}])).values == {"a": 1.0}

    def test_a_label_that_must_be_understood_rejects_the_pack(self) -> None:
        decoded = send([{"bn": BASE, "n": "a", "v": 1}, {"n": "b", "v": 2, "cal_": 1}])
        assert not decoded.readings
        refused(decoded, Reason.MALFORMED, "'cal_'")

    def test_other_labels_are_skipped(self) -> None:
        assert only(send([{"bn": BASE, "n": "a", "v": 1, "note": "x", "_b": 1}])).values == {"a": 1.0}

    def test_the_update_time_is_the_expected_interval(self) -> None:
        decoded = send([{"bn": BASE, "n": "a", "v": 1, "ut": 900}])
        assert decoded.facts == {DEVICE: {"interval": "900"}}


class TestWhereItIsRecognized:
    @pytest.mark.parametrize("topic", [TOPIC, f"/{TOPIC}", f"{TOPIC}/bench/2", "devices/north/telemetry"])
    def test_on_its_own_topics_and_the_default_one(self, topic: str) -> None:
        assert only(send([{"bn": BASE, "n": "a", "v": 1}], topic=topic)).values == {"a": 1.0}

    @pytest.mark.parametrize(
        "pack", [[{"n": "a", "v": 1}, {"n": "b", "vs": "x"}], [{"bn": BASE, "n": "a", "v": 1}, {"n": "b", "s": 1}]]
    )
    def test_on_the_default_topic_by_its_records(self, pack: list[object]) -> None:
        assert set(only(send(pack, topic="devices/north/telemetry")).values) & {"a"} == {"a"}

    def test_on_the_default_topic_by_its_content_type(self) -> None:
        decoded = send(
            [{"n": "a", "v": 1}, {"n": "b"}],
            topic="devices/north/telemetry",
            content_type="application/SenML+JSON; x=1",
        )
        assert [r.values for r in decoded.readings] == [{"a": 1.0}]
        refused(decoded, Reason.MALFORMED, "record 2")

    def test_on_the_default_topic_as_cbor(self) -> None:
        decoded = cbor([{"n": "a", "v": 1.5}], topic="devices/north/telemetry")
        assert only(decoded) == Reading("north", NOW, NOW, {"a": 1.5})

    def test_on_a_topic_that_names_no_device_and_has_no_decoder(self) -> None:
        ingest = Ingest([Row("hall", ["hall/#"])])
        payload = json.dumps([{"bn": BASE, "n": "a", "v": 1}])
        assert only(ingest.decode("hall/7", payload)).device == DEVICE


class TestCbor:
    def test_numbered_labels_are_the_named_ones(self) -> None:
        decoded = cbor(
            [
                {"bn": BASE, "bt": AT, "bu": "Cel", "n": "bench", "v": 17.25},
                {"n": "vent", "t": -45, "v": 12.5},
                {"n": "fan", "t": -5, "vb": True},
                {"n": "image", "vd": b"\xde\xad\xbe\xef", "ut": 60},
            ]
        )
        assert found(decoded) == [
            (DEVICE, AT * SECOND, {"bench": 17.25}),
            (DEVICE, (AT - 45) * SECOND, {"vent": 12.5}),
            (DEVICE, (AT - 5) * SECOND, {"fan": True}),
            (DEVICE, AT * SECOND, {"image": "3q2-7w"}),
        ]
        assert decoded.facts == {DEVICE: {"interval": "60"}}

    @pytest.mark.parametrize(
        ("number", "value"),
        [
            ("f94c40", 17.0),
            ("fa41890000", 17.125),
            ("fb4031200000000000", 17.125),
            ("1911d7", 4567.0),
            ("3904d2", -1235.0),
            ("c4822119be24", 486.76),
            ("1b0020000000000001", "9007199254740993"),
        ],
    )
    def test_every_kind_of_number_is_read(self, number: str, value: Value) -> None:
        decoded = raw(f"81a300616e02{number}2163783a79")
        assert only(decoded).values == {"n": value}

    @pytest.mark.parametrize("number", ["f97e00", "f97c00", "f9fc00", "fb7ff0000000000000", "c4821a000f424001"])
    def test_nan_and_infinities_are_no_values(self, number: str) -> None:
        refused(raw(f"81a300616e02{number}2163783a79"), Reason.BAD_VALUE, "no number")

    def test_text_labels_are_legal_too(self) -> None:
        payload = cbor2.dumps([{-2: BASE, "n": "a", 2: 1, "note": 5, 77: 1}])
        assert only(USUAL.decode(TOPIC, payload)).values == {"a": 1.0}

    def test_both_forms_of_one_label_reject_the_record(self) -> None:
        decoded = USUAL.decode(TOPIC, cbor2.dumps([{-2: BASE, 0: "a", 2: 1}, {0: "b", "n": "c", 2: 2}, {0: "d", 2: 3}]))
        assert [r.values for r in decoded.readings] == [{"a": 1.0, "d": 3.0}]
        refused(decoded, Reason.BAD_VALUE, "record 2: n cannot be read")

    def test_data_is_bytes_and_no_text(self) -> None:
        refused(cbor([{"bn": BASE, "n": "x", "vd": "3q2-7w"}]), Reason.BAD_VALUE, "vd")

    def test_an_array_of_indefinite_length_is_read(self) -> None:
        assert only(raw("9fbf00616e02012163783a79ffff")).values == {"n": 1.0}

    def test_bytes_after_the_pack_reject_it(self) -> None:
        refused(raw("81a300616e02012163783a7900"), Reason.MALFORMED, "1 bytes follow")

    @pytest.mark.parametrize(
        "value",
        ["c11a6955b900", "c074323032362d30312d30315430303a30303a30305a", "d81c01", "d81d00", "c2420100", "d9d9f701"],
    )
    def test_tags_are_refused(self, value: str) -> None:
        refused(raw(f"81a300616e02{value}2163783a79"), Reason.MALFORMED, "CBOR")

    def test_a_version_is_an_integer(self) -> None:
        assert only(cbor([{"bver": 10, "bn": BASE, "n": "a", "v": 1}])).values == {"a": 1.0}
        refused(cbor([{"bver": 12, "bn": BASE, "n": "a", "v": 1}]), Reason.MALFORMED, "bver")

    @pytest.mark.parametrize("payload", [b"\x81" * 100_000, b"\x81" * MAX_DEPTH + b"\x81\x01"])
    def test_nesting_has_a_limit(self, payload: bytes) -> None:
        refused(USUAL.decode(TOPIC, payload), Reason.TOO_LARGE, "depth")

    @pytest.mark.parametrize("payload", ["9b7fffffffffffffff01", "81a300616e", "815b7fffffffffffffff01", "81ff"])
    def test_what_is_cut_off_is_malformed(self, payload: str) -> None:
        refused(raw(payload), Reason.MALFORMED)

    def test_the_content_type_decides_before_the_first_byte(self) -> None:
        decoded = USUAL.decode(
            TOPIC, cbor2.dumps({0: "a", 2: 1}), properties={"content-type": "application/senml+cbor"}
        )
        refused(decoded, Reason.MALFORMED, "no SenML pack")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
RECORDS = st.fixed_dictionaries(
    {"n": TEXTS},
    optional={"t": st.integers(AT, AT + 100), "u": st.sampled_from(["Cel", "V"])},
).flatmap(
    lambda record: st.one_of(
        st.floats(allow_nan=False, allow_infinity=False).map(lambda v: {**record, "v": v}),
        st.booleans().map(lambda v: {**record, "vb": v}),
        TEXTS.map(lambda v: {**record, "vs": v}),
    )
)


@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_json_and_cbor_say_the_same(records: list[dict[str, Any]]) -> None:
    pack = [{"bn": BASE, **records[0]}, *records[1:]]
    assert found_all(send(pack)) == found_all(cbor(pack))


def found_all(decoded: Decoded) -> object:
    return list(decoded.readings), decoded.units, decoded.problems and decoded.problems.detail


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1000))
def test_a_value_comes_through_exactly(value: float, time: float) -> None:
    reading = only(send([{"bn": BASE, "bt": AT, "n": "x", "t": -time, "v": value}]))
    assert reading.values == {"x": value}
    assert abs(reading.ts - (AT - time) * SECOND) < 1000
