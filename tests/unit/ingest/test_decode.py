import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest.limits import Limits
from ingest.outcomes import Decoded, Ignored
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

MOMENT = 1_767_225_600_250_000_000
USUAL = Ingest()


def decode(payload: bytes | str, *, retained: bool = False, ingest: Ingest = USUAL) -> Decoded:
    return ingest.decode("devices/d/telemetry", payload, retained=retained)


def plain(payload: bytes | str, *, metric: str = "m", retained: bool = False) -> Decoded:
    return USUAL.decode(f"devices/d/telemetry/{metric}", payload, retained=retained)


def values(payload: bytes | str) -> dict[str, Value]:
    return only(decode(payload)).values


class TestShape:
    def test_an_object_is_one_reading_at_the_received_time(self) -> None:
        reading = only(decode('{"soil_moisture": 31.4, "valve_open": true}'))
        assert reading == Reading("d", NOW, NOW, {"soil_moisture": 31.4, "valve_open": True})

    def test_ts_and_values_is_one_reading_at_its_own_time(self) -> None:
        reading = only(decode('{"ts": 1767225600250, "values": {"soil_moisture": 31.2}}'))
        assert reading == Reading("d", MOMENT, NOW, {"soil_moisture": 31.2})

    def test_a_nanosecond_time_is_exact(self) -> None:
        assert only(decode('{"ts": 1767225600250000001, "values": {"a": 1}}')).ts == MOMENT + 1

    def test_ts_beside_plain_values_is_the_time_and_no_metric(self) -> None:
        reading = only(decode('{"ts": 1767225600250, "a": 1}'))
        assert (reading.ts, reading.values) == (MOMENT, {"a": 1.0})

    def test_values_without_ts_is_an_object_like_any_other(self) -> None:
        assert values('{"values": {"a": 1}}') == {"values.a": 1.0}

    def test_what_stands_beside_ts_and_values_is_left_out_and_counted(self) -> None:
        decoded = decode('{"ts": 1767225600250, "values": {"a": 1}, "seq": 7}')
        assert (only(decoded).values, decoded.left_out) == ({"a": 1.0}, {Ignored.NO_VALUE: 1})

    def test_an_array_is_many_readings(self) -> None:
        decoded = decode(
            '[{"ts": 1767225540000, "values": {"a": 1}},'
            ' {"ts": "2026-01-01T00:00:00.25Z", "values": {"a": 2}}, {"a": 3}]'
        )
        assert [(r.ts, r.values) for r in decoded.readings] == [
            (1_767_225_540_000_000_000, {"a": 1.0}),
            (MOMENT, {"a": 2.0}),
            (NOW, {"a": 3.0}),
        ]

    def test_a_bad_element_does_not_lose_its_neighbours(self) -> None:
        decoded = decode('[{"a": 1}, 5, {"ts": "2026-02-30T00:00:00Z", "a": 2}, [1], null, {"a": 3}]')
        assert [r.values for r in decoded.readings] == [{"a": 1.0}, {"a": 3.0}]
        refused(
            decoded,
            Reason.MALFORMED,
            "element 2 is a number",
            "element 3: the time",
            "element 4 is an array",
            "element 5",
        )

    def test_a_null_time_is_none(self) -> None:
        assert only(decode('{"ts": null, "values": {"a": 1}}')).ts == NOW

    def test_a_bad_time_rejects_its_element(self) -> None:
        decoded = decode('{"ts": "soon", "a": 1}')
        assert not decoded.readings
        refused(decoded, Reason.BAD_TIME, "'soon'")

    def test_nested_objects_and_arrays_are_flattened(self) -> None:
        assert values('{"a": {"b": 1, "c": {"d": "x"}}, "e": [1, true, "y"], "f": [{"g": 2}]}') == {
            "a.b": 1.0,
            "a.c.d": "x",
            "e.1": 1.0,
            "e.2": True,
            "e.3": "y",
            "f.1.g": 2.0,
        }

    def test_the_last_of_duplicate_keys_wins(self) -> None:
        assert values('{"a": 1, "a": 2}') == {"a": 2.0}
        assert values('{"a": 1, "a": "x"}') == {"a": "x"}

    def test_a_byte_order_mark_is_dropped(self) -> None:
        assert values(b'\xef\xbb\xbf{"a": 1}') == {"a": 1.0}

    @pytest.mark.parametrize(
        "payload",
        [b'{"a": 1', b'{"a": 1} x', b"{'a': 1}", b'{"a": "\xff"}', b"\xff\xfe", b"hello", b'{"a": "\n"}', b"{}\0"],
    )
    def test_what_is_not_json_is_malformed(self, payload: bytes) -> None:
        refused(decode(payload), Reason.MALFORMED)

    @pytest.mark.parametrize(("payload", "kind"), [("5", "a number"), ('"x"', "text"), ("true", "true or false")])
    def test_a_bare_value_is_malformed_where_an_object_is_promised(self, payload: str, kind: str) -> None:
        refused(decode(payload), Reason.MALFORMED, kind)

    @pytest.mark.parametrize("payload", ["", "{}", "[]", "[{}]", '{"ts": 1767225600250, "values": {}}'])
    def test_nothing_in_it_is_ignored(self, payload: str) -> None:
        assert decode(payload).ignored is Ignored.EMPTY

    def test_a_metric_may_be_called_v(self) -> None:
        assert len(decode('[{"v": 1}, {"n": 2, "v": 3}]').readings) == 2


class TestValues:
    def test_integers_are_numbers_until_they_would_be_rounded(self) -> None:
        found = values(
            '{"a": 9007199254740992, "b": 9007199254740993, "c": -9007199254740993, "d": 18446744073709551616}'
        )
        assert found == {
            "a": 9007199254740992.0,
            "b": "9007199254740993",
            "c": "-9007199254740993",
            "d": "18446744073709551616",
        }
        assert type(found["a"]) is float

    def test_null_is_no_value(self) -> None:
        decoded = decode('{"a": null, "b": 1, "c": "unavailable", "d": "NaN"}')
        assert (only(decoded).values, decoded.left_out) == ({"b": 1.0}, {Ignored.NO_VALUE: 3})

    def test_nothing_but_null_is_ignored(self) -> None:
        decoded = decode('{"a": null}')
        assert (decoded.ignored, decoded.left_out) == (Ignored.NO_VALUE, {Ignored.NO_VALUE: 1})

    @pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 301])
    def test_a_bad_value_loses_only_itself(self, token: str) -> None:
        decoded = decode(f'{{"good": 1.5, "bad": {token}}}')
        assert [r.values for r in decoded.readings] == [{"good": 1.5}]
        refused(decoded, Reason.BAD_VALUE, "'bad' is")

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("21.5", 21.5),
            ("-3", -3.0),
            ("+.5e1", 5.0),
            ("5.", 5.0),
            ("9007199254740993", "9007199254740993"),
            ("1e999", "1e999"),
            ("1_000", "1_000"),
            ("0x10", "0x10"),
            ("1,5", "1,5"),
            (" 1", " 1"),
            ("ON", "ON"),
            ("", ""),
            ("inf", "inf"),
            ("²", "²"),
            ("é\U0001f600", "é\U0001f600"),
        ],
    )
    def test_text_that_is_wholly_a_number_is_one(self, text: str, value: Value) -> None:
        assert values(json.dumps({"a": text})) == {"a": value}

    def test_half_a_surrogate_pair_is_no_text(self) -> None:
        decoded = decode('{"a": "\\ud800", "b\\udfff": 1, "c": 1}')
        assert [r.values for r in decoded.readings] == [{"c": 1.0}]
        refused(decoded, Reason.BAD_VALUE, "surrogate")

    @pytest.mark.parametrize(
        "payload", ['{"\\ud800": 1, "c": 1}', '{"ts": 1767225600250, "values": {"\\ud800": 1, "c": 1}}']
    )
    def test_half_a_surrogate_pair_is_no_name_also_among_numbers_alone(self, payload: str) -> None:
        decoded = decode(payload)
        assert [r.values for r in decoded.readings] == [{"c": 1.0}]
        refused(decoded, Reason.BAD_VALUE, "surrogate")

    def test_a_name_may_be_in_any_script(self) -> None:
        assert values('{"température": 1, "温度": 2}') == {"température": 1.0, "温度": 2.0}

    def test_a_value_needs_a_name(self) -> None:
        decoded = decode('{"": 1, "a": 2}')
        assert [r.values for r in decoded.readings] == [{"a": 2.0}]
        refused(decoded, Reason.BAD_VALUE, "empty name")


class TestLimits:
    SMALL = Ingest(limits=Limits(payload_bytes=200, metrics=3, name_bytes=8, text_bytes=10))

    def test_values_beyond_the_limit_are_left_out(self) -> None:
        decoded = decode('{"a":1,"b":2,"c":3,"d":4,"e":5}', ingest=self.SMALL)
        assert [r.values for r in decoded.readings] == [{"a": 1.0, "b": 2.0, "c": 3.0}]
        refused(decoded, Reason.TOO_LARGE, "2 values beyond the first 3")

    @pytest.mark.parametrize("name", ["abcdefghi", "é" * 5])
    def test_a_long_name_loses_only_its_value(self, name: str) -> None:
        decoded = decode(json.dumps({name: 1, "a": 2}), ingest=self.SMALL)
        assert [r.values for r in decoded.readings] == [{"a": 2.0}]
        refused(decoded, Reason.TOO_LARGE, "bytes long")

    def test_a_long_text_loses_only_itself(self) -> None:
        decoded = decode(json.dumps({"t": "x" * 11, "a": "x" * 10}), ingest=self.SMALL)
        assert [r.values for r in decoded.readings] == [{"a": "x" * 10}]
        refused(decoded, Reason.TOO_LARGE, "11 bytes")

    def test_nesting_has_a_limit(self) -> None:
        assert values('{"1":{"2":{"3":{"4":{"5":{"6":{"7":{"8":1}}}}}}}}') == {"1.2.3.4.5.6.7.8": 1.0}
        decoded = decode('{"1":{"2":{"3":{"4":{"5":{"6":{"7":{"8":{"9":1}}}}}}}},"a":1}')
        assert [r.values for r in decoded.readings] == [{"a": 1.0}]
        refused(decoded, Reason.TOO_LARGE, "nested deeper than 8")

    @pytest.mark.parametrize("payload", ["[" * 100_000, '{"a":' * 100_000, "[" * 5_000 + "NaN" + "]" * 5_000])
    def test_nesting_without_end_is_rejected(self, payload: str) -> None:
        assert decode(payload).problems is not None

    def test_a_message_has_a_most_of_values(self) -> None:
        decoded = decode("[" + ",".join(['{"a":1,"b":2}'] * 5_001) + "]")
        assert len(decoded.readings) == 5_000
        refused(decoded, Reason.TOO_LARGE, "element 5001", "10000 values")

    def test_a_detail_names_the_first_problems_and_counts_the_rest(self) -> None:
        refused(decode(json.dumps([1] * 1_000)), Reason.MALFORMED, "element 20 ", "and 980 more")


class TestPlain:
    @pytest.mark.parametrize(
        ("payload", "value"),
        [
            ("4.75", 4.75),
            (" 4.75\n", 4.75),
            ("-12", -12.0),
            ("true", True),
            ("false", False),
            ("ON", "ON"),
            ("True", "True"),
            ('"quoted text"', "quoted text"),
            ('"21"', 21.0),
            ("two words", "two words"),
            ("9007199254740993", "9007199254740993"),
            (b"\xef\xbb\xbf7", 7.0),
        ],
    )
    def test_one_plain_value_is_a_reading(self, payload: bytes | str, value: Value) -> None:
        assert only(plain(payload)) == Reading("d", NOW, NOW, {"m": value})

    @pytest.mark.parametrize("payload", ["", "  ", b"\xef\xbb\xbf"])
    def test_an_empty_payload_is_ignored(self, payload: bytes | str) -> None:
        assert plain(payload).ignored is Ignored.EMPTY

    @pytest.mark.parametrize("payload", ["null", "nan", "NaN", "unknown", "???", '"unavailable"'])
    def test_no_value_is_ignored(self, payload: str) -> None:
        assert (plain(payload).ignored, plain(payload).left_out) == (Ignored.NO_VALUE, {Ignored.NO_VALUE: 1})

    @pytest.mark.parametrize(
        ("payload", "reason"),
        [
            ("Infinity", Reason.BAD_VALUE),
            ('"\\ud800"', Reason.BAD_VALUE),
            ('{"a": 1}', Reason.MALFORMED),
            ("[1]", Reason.MALFORMED),
            ('"open', Reason.MALFORMED),
            (b"\xff", Reason.MALFORMED),
            ("x" * 8_193, Reason.TOO_LARGE),
        ],
    )
    def test_anything_else_is_rejected(self, payload: bytes | str, reason: Reason) -> None:
        refused(plain(payload), reason)

    def test_the_metric_needs_a_name(self) -> None:
        refused(plain("1", metric=""), Reason.BAD_VALUE, "empty name")


class TestRetained:
    def test_without_a_time_it_makes_no_reading(self) -> None:
        assert decode('{"a": 1}', retained=True).ignored is Ignored.RETAINED_UNTIMED
        assert plain("1", retained=True).ignored is Ignored.RETAINED_UNTIMED

    def test_with_a_time_that_cannot_be_true_it_makes_none_either(self) -> None:
        assert decode('{"ts": 5, "values": {"a": 1}}', retained=True).ignored is Ignored.RETAINED_UNTIMED

    def test_with_its_own_time_it_is_a_reading(self) -> None:
        assert only(decode('{"ts": 1767225600250, "values": {"a": 1}}', retained=True)).ts == MOMENT

    def test_each_element_is_judged_by_itself(self) -> None:
        decoded = decode('[{"a": 1}, {"ts": 1767225600250, "a": 2}]', retained=True)
        assert [r.values for r in decoded.readings] == [{"a": 2.0}]
        assert decoded.left_out == {Ignored.RETAINED_UNTIMED: 1}


@pytest.mark.parametrize(
    ("payload", "online"),
    [(b"online", True), (b"OFFLINE", False), (b' "online"\n', True), (b"\xef\xbb\xbfoffline", False)],
)
def test_a_status_is_online_or_offline(payload: bytes, *, online: bool) -> None:
    decoded = USUAL.decode("devices/d/status", payload)
    assert [(state.device, state.online, state.at) for state in decoded.states] == [("d", online, NOW)]
    assert decoded.ignored is Ignored.PRESENCE


def test_another_status_is_malformed_and_an_empty_one_ignored() -> None:
    for payload in (b"on", b"\xff"):
        refused(USUAL.decode("devices/d/status", payload), Reason.MALFORMED, "neither online nor offline")
    assert USUAL.decode("devices/d/status", b"").ignored is Ignored.EMPTY


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=10) | st.sampled_from(["ts", "values"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_have_one_outcome(payload: bytes, retained: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    decode(payload, retained=retained)
    plain(payload, retained=retained)
    USUAL.decode("devices/d/status", payload, retained=retained)


@given(JSON, st.booleans())
def test_any_json_has_one_outcome(body: Any, retained: bool) -> None:  # noqa: ANN401, FBT001 - hypothesis gives them
    payload = json.dumps(body)
    decode(payload, retained=retained)
    plain(payload, retained=retained)


@given(st.dictionaries(st.text(min_size=1, max_size=10), st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_come_through_exactly(sent: dict[str, float]) -> None:
    sent.pop("ts", None)
    if sent:
        assert values(json.dumps(sent)) == sent


def test_a_long_name_over_many_values_is_refused_once_and_at_once() -> None:
    payload = json.dumps({"n" * 500_000: [1] * 100_000, "kept": 1})
    decoded = decode(payload)
    assert decoded.readings[0].values == {"kept": 1.0}
    refused(decoded, Reason.TOO_LARGE, "500000 bytes long")
    assert decoded.problems is not None
    assert decoded.problems.detail.count("the name") == 1


def test_a_reading_that_its_names_make_larger_than_a_batch_is_refused() -> None:
    generous = Ingest(limits=Limits(metrics=10_000, name_bytes=1024))
    payload = json.dumps({"n" * 1000: [1] * 9_000})
    assert len(payload) < 30_000
    decoded = decode(payload, ingest=generous)
    assert decoded.readings == []
    refused(decoded, Reason.TOO_LARGE, "4194304 are allowed")
