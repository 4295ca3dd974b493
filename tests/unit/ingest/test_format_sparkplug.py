import gzip
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from ingest.limits import Limits
from ingest.outcomes import Decoded, Ignored
from ingest.sparkplug import session as sessions
from ingest.sparkplug.payload import Payload
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused
from tests.unit.ingest.edge import (
    BOOLEAN,
    DOUBLE,
    INT16,
    INT64,
    START_MS,
    STRING,
    UINT32,
    Edge,
    Message,
    metric,
    written,
)

SECOND = 1_000_000_000
BIRTH = bytes.fromhex(
    "0880d0eab6b73312120a0562645365711880d0eab6b7332004580712210a144e6f646520436f6e74726f6c2f526562697274681880d0eab6b7"
    "33200b7000121b0a0c54616e6b20332f4c6576656c10291880d0eab6b733200250001800"
)
DATA_32_BITS = bytes.fromhex("08c4e3eab6b733120f102918e0e2eab6b73350f4ffffff0f1801")
DATA_16_BITS = bytes.fromhex("08c4e3eab6b733120d102918e0e2eab6b73350f4ff031801")
REBIRTH = bytes.fromhex("08b8e7eab6b73312210a144e6f646520436f6e74726f6c2f5265626972746818b8e7eab6b733200b7001")


def take(ingest: Ingest, message: Message, **more: Any) -> Decoded:  # noqa: ANN401 - as Ingest.decode takes it
    return ingest.decode(message[0], message[1], **more)


def one(datatype: int, **fields: object) -> Decoded:
    """Decode a birth with one metric."""
    payload = Payload(timestamp=START_MS, seq=0)
    metric(payload, "m", datatype=datatype, **fields)
    return Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload))


def value(datatype: int, **fields: object) -> object:
    return only(one(datatype, **fields)).values["m"]


def states(decoded: Decoded) -> list[tuple[str, bool, str]]:
    return [(state.device, state.online, state.reason) for state in decoded.states]


class TestVectors:
    def test_a_birth_is_a_reading_of_what_is_none_of_its_controls(self) -> None:
        decoded = Ingest().decode("spBv1.0/Works/NBIRTH/Tanks", BIRTH)
        reading = only(decoded)
        assert (reading.device, reading.ts, reading.values) == ("Works:Tanks", START_MS * 10**6, {"Tank 3/Level": 0.0})
        assert states(decoded) == [("Works:Tanks", True, "")]

    @pytest.mark.parametrize("data", [DATA_32_BITS, DATA_16_BITS])
    def test_a_number_under_an_alias_has_the_sign_of_its_type(self, data: bytes) -> None:
        ingest = Ingest()
        ingest.decode("spBv1.0/Works/NBIRTH/Tanks", BIRTH)
        reading = only(ingest.decode("spBv1.0/Works/NDATA/Tanks", data))
        assert (reading.ts, reading.values) == ((START_MS + 2400) * 10**6, {"Tank 3/Level": -12.0})

    def test_the_request_for_a_rebirth(self) -> None:
        at = (START_MS + 3000) * 10**6
        decoded = Ingest().decode("spBv1.0/Works/NDATA/Tanks", DATA_16_BITS, at=at)
        assert decoded.requests == [("spBv1.0/Works/NCMD/Tanks", REBIRTH)]


class TestValues:
    @pytest.mark.parametrize(
        ("datatype", "field", "sent", "wanted"),
        [
            (1, "int_value", 0xFF, -1.0),
            (1, "int_value", 0xFFFFFFFF, -1.0),
            (1, "int_value", 0x7F, 127.0),
            (2, "int_value", 0x8000, -32768.0),
            (3, "int_value", 0xFFFFFFFE, -2.0),
            (3, "long_value", 0xFFFFFFFE, -2.0),
            (4, "long_value", 2**64 - 3, -3.0),
            (5, "int_value", 255, 255.0),
            (6, "int_value", 65535, 65535.0),
            (7, "int_value", 2**32 - 1, 2.0**32 - 1),
            (7, "long_value", 2**32 - 1, 2.0**32 - 1),
            (8, "long_value", 2**64 - 1, "18446744073709551615"),
            (9, "float_value", 2.5, 2.5),
            (10, "double_value", 0.1, 0.1),
            (10, "int_value", 300, 300.0),
            (11, "boolean_value", True, True),
            (11, "int_value", 1, True),
            (12, "string_value", "wet", "wet"),
            (12, "string_value", "12", "12"),
            (13, "long_value", START_MS, float(START_MS)),
            (14, "string_value", "long text", "long text"),
            (15, "string_value", "5f0c", "5f0c"),
            (17, "bytes_value", b"\x00\xff", "AP8="),
            (18, "bytes_value", b"\x01", "AQ=="),
        ],
    )
    def test_each_type(self, datatype: int, field: str, sent: object, wanted: object) -> None:
        found = value(datatype, **{field: sent})
        assert (found, type(found)) == (wanted, type(wanted))

    @pytest.mark.parametrize("field", ["float_value", "double_value"])
    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
    def test_what_is_no_number_loses_only_itself(self, field: str, number: float) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        metric(payload, "bad", datatype=DOUBLE, **{field: number})
        metric(payload, "good", datatype=DOUBLE, double_value=1.5)
        decoded = Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload))
        assert [reading.values for reading in decoded.readings] == [{"good": 1.5}]
        refused(decoded, Reason.BAD_VALUE, "'bad'")

    @pytest.mark.parametrize(
        ("datatype", "data", "wanted"),
        [
            (22, struct.pack("<2b", -1, 5), [-1.0, 5.0]),
            (23, struct.pack("<2h", -300, 5), [-300.0, 5.0]),
            (24, struct.pack("<i", -70000), [-70000.0]),
            (25, struct.pack("<q", -5), [-5.0]),
            (26, b"\xff", [255.0]),
            (27, struct.pack("<H", 65535), [65535.0]),
            (28, struct.pack("<I", 2**32 - 1), [2.0**32 - 1]),
            (29, struct.pack("<Q", 7), [7.0]),
            (30, struct.pack("<2f", 1.5, -2.5), [1.5, -2.5]),
            (31, struct.pack("<d", 0.1), [0.1]),
            (32, struct.pack("<I", 10) + b"\xa0\x40", [True, False, True] + [False] * 6 + [True]),
            (33, b"dry\0\xc3\xa4\0", ["dry", "ä"]),
            (34, struct.pack("<q", START_MS), [float(START_MS)]),
        ],
    )
    def test_arrays_count_from_one(self, datatype: int, data: bytes, wanted: list[object]) -> None:
        found = only(one(datatype, bytes_value=data)).values
        assert found == {f"m.{at}": item for at, item in enumerate(wanted, start=1)}

    def test_a_route_may_say_that_arrays_are_big_endian(self) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        metric(payload, "m", datatype=31, bytes_value=struct.pack(">d", 2.5))
        row = Row("big", ["spBv1.0/g/#"], "sparkplug", options={"big_endian": True})
        assert only(Ingest([row]).decode("spBv1.0/g/NBIRTH/n", written(payload))).values == {"m.1": 2.5}

    @pytest.mark.parametrize(
        ("datatype", "data", "reason"),
        [
            (23, b"\x01", Reason.MALFORMED),
            (32, b"\x01", Reason.MALFORMED),
            (32, struct.pack("<I", 9) + b"\xff", Reason.MALFORMED),
            (33, b"no end", Reason.MALFORMED),
            (33, b"\xff\0", Reason.MALFORMED),
            (26, b"\x00" * 10_001, Reason.TOO_LARGE),
        ],
    )
    def test_an_array_that_cannot_be_read_is_refused(self, datatype: int, data: bytes, reason: Reason) -> None:
        refused(one(datatype, bytes_value=data), reason, "'m'")

    def test_bytes_are_kept_as_they_came_and_flagged(self) -> None:
        assert only(one(17, bytes_value=b"\x01")).flags == {"encoding": "base64"}

    def test_a_data_set_is_kept_as_it_came(self) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        dataset = metric(payload, "m", datatype=16).dataset_value
        dataset.columns.extend([b"depth", b"soil"])
        dataset.types.extend([INT16, STRING])
        row = dataset.rows.add()
        row.elements.add(int_value=0xFFFF)
        row.elements.add(string_value=b"clay")
        reading = only(Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload)))
        assert reading.flags == {"encoding": "dataset"}
        assert json.loads(str(reading.values["m"])) == {
            "columns": ["depth", "soil"],
            "types": [INT16, STRING],
            "rows": [[-1, "clay"]],
        }

    def test_a_template_is_flattened_and_its_definition_left_out(self) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        template = metric(payload, "Pump", datatype=19).template_value
        template.metrics.add(name=b"rpm", datatype=INT16, int_value=0xFFFF)
        inner = template.metrics.add(name=b"motor", datatype=19).template_value
        inner.metrics.add(name=b"temp", datatype=DOUBLE, double_value=40.5)
        metric(payload, "Kind", datatype=19).template_value.is_definition = True
        decoded = Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload))
        assert only(decoded).values == {"Pump.rpm": -1.0, "Pump.motor.temp": 40.5}
        assert decoded.left_out == {Ignored.METADATA: 1}

    def test_a_template_nested_without_end_is_refused(self) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        inner = metric(payload, "m", datatype=19).template_value
        for _ in range(20):
            inner = inner.metrics.add(name=b"m", datatype=19).template_value
        refused(Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload)), Reason.TOO_LARGE, "nested deeper than 8")

    def test_null_and_transient_values_are_left_out(self) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        metric(payload, "a", datatype=DOUBLE, is_null=True)
        metric(payload, "b", datatype=DOUBLE)
        metric(payload, "c", datatype=DOUBLE, double_value=1, is_transient=True)
        metric(payload, "d", datatype=DOUBLE, double_value=2)
        decoded = Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload))
        assert only(decoded).values == {"d": 2.0}
        assert decoded.left_out == {Ignored.NO_VALUE: 2, Ignored.TRANSIENT: 1}

    def test_history_and_quality_are_flags(self) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        for name, quality in (("good", 192), ("bad", 0), ("stale", 500), ("doubtful", 64)):
            stated = metric(payload, name, datatype=DOUBLE, double_value=1).properties
            stated.keys.append(b"Quality")
            stated.values.add(type=3, int_value=quality)
        metric(payload, "old", datatype=DOUBLE, double_value=1, is_historical=True, timestamp=START_MS - 1000)
        decoded = Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload))
        assert {next(iter(reading.values)): reading.flags for reading in decoded.readings} == {
            "good": {},
            "bad": {"quality": "bad"},
            "stale": {"quality": "stale"},
            "doubtful": {"quality": "64"},
            "old": {"historical": ""},
        }

    def test_the_unit_of_a_birth_holds_for_its_data_and_by_name_after_a_restart(self) -> None:
        node, ingest = Edge(), Ingest()
        topic, data = node.birth()
        payload = Payload.FromString(data)
        stated = next(entry for entry in payload.metrics if entry.name == b"Level").properties
        stated.keys.append(b"engUnit")
        stated.values.add(type=STRING, string_value=b"mm")
        assert ingest.decode(topic, written(payload)).units == {"Works:Pump House": {"Level": "mm"}}
        assert take(ingest, node.data(Level=3.0, Flow=1.0)).units == {"Works:Pump House": {"Level": "mm"}}
        ingest.context.memory.doubt()
        assert take(ingest, node.data(Level=4.0, named=True)).units == {"Works:Pump House": {"Level": "mm"}}

    def test_properties_are_facts(self) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        metric(payload, "Properties/Hardware Model", datatype=STRING, string_value="P-300")
        metric(payload, "Properties/Bay", datatype=STRING, string_value="4")
        decoded = Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload))
        assert decoded.facts == {"g:n": {"model": "P-300", "Bay": "4"}}
        assert not decoded.readings

    def test_metrics_of_one_moment_may_be_more_than_one_reading_holds(self) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        for number in range(2500):
            metric(payload, f"m{number}", datatype=DOUBLE, double_value=number)
        decoded = Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload))
        assert [len(reading.values) for reading in decoded.readings] == [1000, 1000, 500]
        assert decoded.problems is None

    def test_values_beyond_the_limit_of_a_message_are_refused_and_counted(self) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        for number in range(7):
            metric(payload, f"m{number}", datatype=DOUBLE, double_value=number)
        decoded = Ingest(limits=Limits(points=4)).decode("spBv1.0/g/NBIRTH/n", written(payload))
        assert len(only_values(decoded)) == 4
        refused(decoded, Reason.TOO_LARGE, "3 values beyond the first 4")

    def test_a_name_that_is_no_text_loses_only_its_metric(self) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        payload.metrics.add(name=b"\xff", datatype=DOUBLE, double_value=1)
        payload.metrics.add(datatype=DOUBLE, double_value=1)
        metric(payload, "good", datatype=DOUBLE, double_value=2)
        decoded = Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload))
        assert only_values(decoded) == {"good": 2.0}
        refused(decoded, Reason.MALFORMED, "UTF-8", "neither a name nor an alias")


def only_values(decoded: Decoded) -> dict[str, Any]:
    [reading] = decoded.readings
    return dict(reading.values)


class TestTopics:
    def test_a_device_is_known_by_group_node_and_its_own_name(self) -> None:
        node = Edge(name="Pump House 2", group="Water Works", aliases={"": {}, "Tank:3": {"Level": 1}})
        ingest = Ingest()
        take(ingest, node.birth())
        assert only(take(ingest, node.device_birth("Tank:3"))).device == "Water Works:Pump House 2:Tank%3A3"

    @pytest.mark.parametrize(
        ("topic", "why"),
        [
            ("spBv1.0/g/NCMD/n", Ignored.COMMAND),
            ("spBv1.0/g/DCMD/n/d", Ignored.COMMAND),
            ("spBv1.0/STATE/scada", Ignored.COMMAND),
            ("spBv1.0/g/OTHER/n", Ignored.UNSUPPORTED),
            ("spBv1.0", Ignored.UNSUPPORTED),
            ("spBv1.0/g", Ignored.UNSUPPORTED),
        ],
    )
    def test_what_is_no_telemetry_is_ignored(self, topic: str, why: Ignored) -> None:
        decoded = Ingest().decode(topic, REBIRTH)
        assert (decoded.ignored, decoded.requests) == (why, [])

    @pytest.mark.parametrize(
        "topic", ["spBv1.0/g/NDATA/n/d", "spBv1.0/g/DDATA/n", "spBv1.0/g/NDATA", "spBv1.0//NDATA/n", "spBv1.0/g/NDATA/"]
    )
    def test_a_topic_that_lacks_a_level_or_has_one_too_many_is_refused(self, topic: str) -> None:
        refused(Ingest().decode(topic, DATA_16_BITS), Reason.NO_IDENTITY)

    def test_a_dead_letter_is_its_devices(self) -> None:
        assert Ingest().decode("spBv1.0/g/DDATA/n/d", DATA_16_BITS).device == "g:n:d"


class TestPacked:
    @pytest.mark.parametrize(
        "pack", [gzip.compress, zlib.compress, lambda data: zlib.compress(data, wbits=-zlib.MAX_WBITS)]
    )
    def test_a_packed_payload_is_unpacked(self, pack: Callable[[bytes], bytes]) -> None:
        packed = Payload(uuid=b"SPBV1.0_COMPRESSED", body=pack(BIRTH))
        assert only_values(Ingest().decode("spBv1.0/g/NBIRTH/n", written(packed))) == {"Tank 3/Level": 0.0}

    @pytest.mark.parametrize(
        "body",
        [b"", b"not packed", gzip.compress(BIRTH)[:-9], gzip.compress(b"\xff")],
        # What is packed holds the time, and names of tests have to be the same in each process that collects them.
        ids=["nothing", "not packed", "cut off", "of noise"],
    )
    def test_one_that_cannot_be_unpacked_is_refused(self, body: bytes) -> None:
        packed = Payload(uuid=b"SPBV1.0_COMPRESSED", body=body)
        refused(Ingest().decode("spBv1.0/g/NBIRTH/n", written(packed)), Reason.MALFORMED)

    def test_one_that_unpacks_to_more_than_is_allowed_is_refused(self) -> None:
        packed = Payload(uuid=b"SPBV1.0_COMPRESSED", body=gzip.compress(b"\0" * (64 << 20)))
        refused(Ingest().decode("spBv1.0/g/NBIRTH/n", written(packed)), Reason.TOO_LARGE, "1048576 bytes")


class TestSessions:
    def test_data_before_a_birth_is_stored_by_name_and_refused_by_alias(self) -> None:
        node, ingest = Edge(), Ingest()
        decoded = take(ingest, node.data(Level=1.0, named=True))
        assert only(decoded).values == {"Level": 1.0}
        assert len(decoded.requests) == 1
        refused(take(ingest, node.data(Level=2.0)), Reason.UNKNOWN_ALIAS, "the alias 1")

    def test_a_whole_number_without_its_type_may_be_negative_and_is_refused(self) -> None:
        ingest = Ingest()
        payload = Payload(timestamp=START_MS, seq=3)
        metric(payload, "a", int_value=127)
        metric(payload, "b", int_value=128)
        decoded = ingest.decode("spBv1.0/g/NDATA/n", written(payload))
        assert only_values(decoded) == {"a": 127.0}
        refused(decoded, Reason.UNKNOWN_ALIAS, "the type of 'b'")

    def test_the_dead_letter_of_an_unknown_alias_is_that_whatever_else_is_wrong(self) -> None:
        payload = Payload(timestamp=START_MS, seq=3)
        metric(payload, "a", double_value=float("nan"))
        metric(payload, alias=7, double_value=1)
        refused(Ingest().decode("spBv1.0/g/NDATA/n", written(payload)), Reason.UNKNOWN_ALIAS)

    def test_a_new_birth_drops_the_aliases_of_node_and_devices(self) -> None:
        node, ingest = Edge(aliases={"": {"Level": 1}, "t": {"Level": 5}}), Ingest()
        take(ingest, node.birth())
        take(ingest, node.device_birth("t"))
        assert only(take(ingest, node.data("t", Level=2.0))).values == {"Level": 2.0}
        take(ingest, node.birth())
        refused(take(ingest, node.data("t", Level=2.0)), Reason.UNKNOWN_ALIAS)
        assert only(take(ingest, node.data(Level=2.0))).values == {"Level": 2.0}

    def test_an_alias_is_of_the_device_that_defined_it(self) -> None:
        node, ingest = Edge(aliases={"": {"Level": 1}, "t": {"Level": 5}}), Ingest()
        take(ingest, node.birth())
        take(ingest, node.device_birth("t"))
        node.aliases[""]["Stray"] = 5
        refused(take(ingest, node.data(Stray=1.0)), Reason.UNKNOWN_ALIAS)

    def test_a_death_takes_the_node_and_its_devices_offline(self) -> None:
        node, ingest = Edge(aliases={"": {}, "t": {"L": 1}, "u": {"L": 2}}), Ingest()
        for message in (node.birth(), node.device_birth("t"), node.device_birth("u")):
            take(ingest, message)
        decoded = take(ingest, node.death(), at=NOW + 7)
        assert states(decoded) == [
            ("Works:Pump House", False, "NDEATH"),
            ("Works:Pump House:t", False, "NDEATH"),
            ("Works:Pump House:u", False, "NDEATH"),
        ]
        assert {state.at for state in decoded.states} == {NOW + 7}
        assert states(take(ingest, node.death())) == [("Works:Pump House", False, "NDEATH")]
        refused(take(ingest, node.data("t", L=1.0)), Reason.UNKNOWN_ALIAS)

    def test_the_devices_are_known_after_a_restart(self) -> None:
        node, ingest = Edge(aliases={"": {}, "t": {"L": 1}}), Ingest()
        take(ingest, node.birth())
        take(ingest, node.device_birth("t"))
        after = ingest.restarted()
        assert states(take(after, node.death())) == [
            ("Works:Pump House", False, "NDEATH"),
            ("Works:Pump House:t", False, "NDEATH"),
        ]

    def test_an_old_will_is_ignored(self) -> None:
        node, ingest = Edge(bd_seq=255), Ingest()
        will = node.death()
        take(ingest, node.birth())
        node.connect_again()
        take(ingest, node.birth())
        assert take(ingest, will).ignored is Ignored.OUTDATED
        assert only(take(ingest, node.data(Level=1.0))).values == {"Level": 1.0}

    def test_the_will_of_a_connection_whose_birth_was_missed_puts_the_births_in_doubt(self) -> None:
        node, ingest = Edge(), Ingest()
        take(ingest, node.birth())
        node.connect_again()
        take(ingest, node.death())
        refused(take(ingest, node.data(Level=1.0)), Reason.UNKNOWN_ALIAS)

    def test_an_old_will_that_comes_after_a_lost_connection_takes_nobody_offline(self) -> None:
        node, ingest = Edge(), Ingest()
        will = node.death()
        node.connect_again()
        take(ingest, node.birth())
        ingest.context.memory.doubt(NOW + 1)
        assert take(ingest, will, at=NOW + 2).ignored is Ignored.OUTDATED

    def test_the_will_of_a_connection_that_began_while_ingest_was_away_takes_the_node_offline(self) -> None:
        node, ingest = Edge(), Ingest()
        take(ingest, node.birth())
        after = ingest.restarted()
        node.connect_again()
        assert states(take(after, node.death())) == [("Works:Pump House", False, "NDEATH")]

    def test_a_will_is_told_from_old_ones_after_a_restart(self) -> None:
        node, ingest = Edge(), Ingest()
        take(ingest, node.birth())
        after = ingest.restarted()
        node.connect_again()
        take(after, node.birth())
        node.bd_seq -= 1
        assert take(after, node.death()).ignored is Ignored.OUTDATED

    @pytest.mark.parametrize("datatype", [INT64, 8])
    def test_the_number_of_a_connection_is_any_whole_number(self, datatype: int) -> None:
        payload = Payload(timestamp=START_MS, seq=0)
        metric(payload, "bdSeq", datatype=datatype, long_value=4)
        ingest = Ingest()
        ingest.decode("spBv1.0/g/NBIRTH/n", written(payload))
        assert states(ingest.decode("spBv1.0/g/NDEATH/n", written(payload))) == [("g:n", False, "NDEATH")]

    def test_the_death_of_a_device_is_its_own_and_has_the_time_it_says(self) -> None:
        node, ingest = Edge(aliases={"": {"Level": 1}, "t": {"L": 2}}), Ingest()
        take(ingest, node.birth(), at=START_MS * 10**6)
        take(ingest, node.device_birth("t"), at=START_MS * 10**6)
        node.ms += 500
        decoded = take(ingest, node.device_death("t"))
        assert states(decoded) == [("Works:Pump House:t", False, "DDEATH")]
        assert decoded.states[0].at == (START_MS + 500) * 10**6
        assert only(take(ingest, node.data(Level=1.0))).values == {"Level": 1.0}
        refused(take(ingest, node.data("t", L=1.0)), Reason.UNKNOWN_ALIAS)
        assert states(take(ingest, node.death())) == [("Works:Pump House", False, "NDEATH")]

    def test_a_device_whose_clock_is_behind_does_not_die_before_it_was_born(self) -> None:
        node, ingest = Edge(aliases={"": {}, "t": {"L": 2}}), Ingest()
        take(ingest, node.birth())
        take(ingest, node.device_birth("t"))
        assert take(ingest, node.device_death("t"), at=NOW + 5).states[0].at == NOW + 5

    def test_numbers_wrap_around(self) -> None:
        node, ingest = Edge(), Ingest()
        take(ingest, node.birth())
        for number in range(600):
            assert only(take(ingest, node.data(Level=float(number)))).values == {"Level": float(number)}

    def test_a_birth_may_begin_with_any_number(self) -> None:
        ingest = Ingest()
        payload = Payload(timestamp=START_MS, seq=255)
        metric(payload, "m", alias=1, datatype=DOUBLE, double_value=0)
        ingest.decode("spBv1.0/g/NBIRTH/n", written(payload))
        data = Payload(timestamp=START_MS, seq=0)
        metric(data, alias=1, double_value=3)
        assert only(ingest.decode("spBv1.0/g/NDATA/n", written(data))).values == {"m": 3.0}

    def test_too_many_devices_are_refused_and_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ingest.sparkplug.messages.MOST_DEVICES", 1)
        node, ingest = Edge(aliases={"": {}, "t": {"L": 1}, "u": {"L": 2}}), Ingest()
        take(ingest, node.birth())
        take(ingest, node.device_birth("t"))
        refused(take(ingest, node.device_birth("u")), Reason.TOO_LARGE, "more than 1 devices")

    def test_too_many_definitions_are_refused_and_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sessions, "MOST_DEFINITIONS", 3)
        node, ingest = Edge(), Ingest()
        refused(take(ingest, node.birth()), Reason.TOO_LARGE, "1 metrics more")
        assert only(take(ingest, node.data(Level=1.0))).values == {"Level": 1.0}


class TestGaps:
    def test_aliases_are_refused_until_the_missing_message_has_come(self) -> None:
        node, ingest = Edge(), Ingest()
        take(ingest, node.birth())
        late = node.data(Level=1.0)
        early = node.data(Level=2.0)
        decoded = take(ingest, early, at=NOW + 1)
        refused(decoded, Reason.UNKNOWN_ALIAS)
        assert decoded.requests == []
        assert only(take(ingest, node.data(Level=3.0, named=True), at=NOW + 2)).values == {"Level": 3.0}
        decoded = take(ingest, late, at=NOW + SECOND)
        assert only(decoded).values == {"Level": 1.0}
        assert states(decoded) == [("Works:Pump House", True, "")]
        assert only(take(ingest, early, at=NOW + 1, replayed=True)).values == {"Level": 2.0}
        assert only(take(ingest, node.data(Level=4.0), at=NOW + 2 * SECOND)).values == {"Level": 4.0}

    def test_after_the_time_for_reordering_a_birth_is_asked_for(self) -> None:
        node, ingest = Edge(), Ingest()
        take(ingest, node.birth())
        late = node.data(Level=1.0)
        refused_at = NOW + SECOND
        early = node.data(Level=2.0)
        take(ingest, early, at=refused_at)
        assert take(ingest, node.data(Level=3.0, named=True), at=NOW + 2 * SECOND).requests == []
        decoded = take(ingest, node.data(Level=4.0, named=True), at=NOW + 4 * SECOND)
        assert [topic for topic, _ in decoded.requests] == ["spBv1.0/Works/NCMD/Pump House"]
        take(ingest, late, at=NOW + 5 * SECOND)
        refused(take(ingest, node.data(Level=5.0), at=NOW + 5 * SECOND), Reason.UNKNOWN_ALIAS)
        take(ingest, node.birth(), at=NOW + 6 * SECOND)
        assert only(take(ingest, node.data(Level=6.0), at=NOW + 7 * SECOND)).values == {"Level": 6.0}

    def test_what_came_after_the_gap_can_be_replayed_after_the_birth(self) -> None:
        node, ingest = Edge(), Ingest()
        take(ingest, node.birth())
        node.data(Level=1.0)
        early = node.data(Level=2.0)
        take(ingest, early, at=NOW + SECOND)
        take(ingest, node.data(Level=3.0), at=NOW + 4 * SECOND)
        take(ingest, node.birth(), at=NOW + 5 * SECOND)
        assert only(take(ingest, early, at=NOW + SECOND, replayed=True)).values == {"Level": 2.0}

    def test_a_missing_birth_of_a_device_does_not_lend_its_aliases_to_another(self) -> None:
        node, ingest = Edge(aliases={"": {}, "t": {"Level": 1, "Flow": 2}}), Ingest()
        take(ingest, node.birth())
        take(ingest, node.device_birth("t"))
        before = node.data("t", Level=1.0)
        node.aliases["t"] = {"Flow": 1, "Level": 2}
        take(ingest, node.device_birth("t"), at=NOW + 1)
        refused(take(ingest, before, at=NOW + 2), Reason.UNKNOWN_ALIAS)
        take(ingest, node.birth(), at=NOW + 3)
        take(ingest, node.device_birth("t"), at=NOW + 4)
        refused(take(ingest, before, at=NOW + 2, replayed=True), Reason.UNKNOWN_ALIAS)

    def test_a_birth_of_a_device_that_comes_late_is_not_believed(self) -> None:
        node, ingest = Edge(aliases={"": {}, "t": {"Level": 1}}), Ingest()
        take(ingest, node.birth())
        late = node.device_birth("t")
        take(ingest, node.device_birth("t"), at=NOW + 1)
        take(ingest, late, at=NOW + 2)
        refused(take(ingest, node.data("t", Level=1.0), at=NOW + 3), Reason.UNKNOWN_ALIAS)


class TestRequests:
    def test_a_node_is_asked_once_in_a_while_and_ever_more_rarely(self) -> None:
        node, ingest = Edge(), Ingest()
        asked = [
            second
            for second in range(0, 1000, 10)
            if take(ingest, node.data(Level=1.0), at=NOW + second * SECOND).requests
        ]
        assert asked == [0, 30, 90, 210, 450, 930]

    def test_a_birth_makes_the_next_wait_short_again(self) -> None:
        node, ingest = Edge(), Ingest()
        for second in (0, 30):
            assert take(ingest, node.data(Level=1.0), at=NOW + second * SECOND).requests
        take(ingest, node.birth(), at=NOW + 31 * SECOND)
        ingest.context.memory.doubt()
        assert not take(ingest, node.data(Level=1.0), at=NOW + 59 * SECOND).requests
        assert take(ingest, node.data(Level=1.0), at=NOW + 60 * SECOND).requests

    def test_all_nodes_together_are_asked_a_bounded_number_of_times_in_a_second(self) -> None:
        ingest = Ingest()
        asked = sum(bool(take(ingest, Edge(name=f"n{n}").data(Level=1.0)).requests) for n in range(200))
        assert asked == 50

    def test_what_cannot_be_read_asks_for_a_birth_and_a_birth_that_cannot_be_read_ends_the_one_before(self) -> None:
        node, ingest = Edge(), Ingest()
        take(ingest, node.birth())
        decoded = ingest.decode(node.topic("NBIRTH"), b"\xff")
        refused(decoded, Reason.MALFORMED)
        assert len(decoded.requests) == 1
        refused(take(ingest, node.data(Level=1.0)), Reason.UNKNOWN_ALIAS)

    def test_a_route_may_say_that_nobody_is_asked(self) -> None:
        row = Row("quiet", ["spBv1.0/Works/#"], "sparkplug", options={"rebirth": False})
        assert take(Ingest([row]), Edge().data(Level=1.0)).requests == []


class TestReplays:
    def test_what_a_restart_left_is_translated_by_the_birth_that_was_asked_for(self) -> None:
        node, ingest = Edge(), Ingest()
        take(ingest, node.birth())
        ingest = ingest.restarted()
        letter = node.data(Level=1.5)
        assert take(ingest, letter, at=NOW + 1).requests
        refused(take(ingest, letter, at=NOW + 1, replayed=True), Reason.UNKNOWN_ALIAS)
        take(ingest, node.birth(), at=NOW + SECOND)
        assert only(take(ingest, letter, at=NOW + 1, replayed=True)).values == {"Level": 1.5}

    def test_it_is_not_where_nobody_asked_for_the_birth(self) -> None:
        node, ingest = Edge(), Ingest()
        letter = node.data(Level=1.5)
        take(ingest, letter, at=NOW)
        take(ingest, node.birth(), at=NOW + 11 * SECOND)
        refused(take(ingest, letter, at=NOW, replayed=True), Reason.UNKNOWN_ALIAS)

    def test_it_is_not_where_the_node_has_died_meanwhile(self) -> None:
        node, ingest = Edge(), Ingest()
        letter = node.data(Level=1.5)
        take(ingest, letter, at=NOW)
        take(ingest, node.death(), at=NOW + 1)
        take(ingest, node.birth(), at=NOW + 2)
        refused(take(ingest, letter, at=NOW, replayed=True), Reason.UNKNOWN_ALIAS)

    def test_it_is_not_across_a_lost_connection(self) -> None:
        node, ingest = Edge(), Ingest()
        letter = node.data(Level=1.5)
        take(ingest, letter, at=NOW)
        ingest.context.memory.doubt(NOW + 1)
        take(ingest, node.data(Level=2.5), at=NOW + 30 * SECOND)
        take(ingest, node.birth(), at=NOW + 31 * SECOND)
        refused(take(ingest, letter, at=NOW, replayed=True), Reason.UNKNOWN_ALIAS)

    def test_a_birth_that_says_the_same_carries_on_and_another_one_does_not(self) -> None:
        node, ingest = Edge(), Ingest()
        letter = node.data(Level=1.5)
        take(ingest, letter, at=NOW)
        take(ingest, node.birth(), at=NOW + 1)
        take(ingest, node.birth(), at=NOW + 20 * SECOND)
        assert only(take(ingest, letter, at=NOW, replayed=True)).values == {"Level": 1.5}
        node.aliases[""] = {"Flow": 1, "Level": 2}
        take(ingest, node.birth(), at=NOW + 21 * SECOND)
        refused(take(ingest, letter, at=NOW, replayed=True), Reason.UNKNOWN_ALIAS)

    def test_a_replay_changes_nothing(self) -> None:
        node, ingest = Edge(), Ingest()
        old = node.birth()
        node.aliases[""] = {"Flow": 1, "Level": 2}
        take(ingest, node.birth())
        decoded = take(ingest, old, replayed=True)
        assert (decoded.states, decoded.requests) == ([], [])
        assert take(ingest, node.death(), replayed=True).ignored is Ignored.OUTDATED
        assert only(take(ingest, node.data(Level=7.0))).values == {"Level": 7.0}

    def test_a_retained_birth_changes_nothing(self) -> None:
        node, ingest = Edge(), Ingest()
        decoded = take(ingest, node.birth(), retained=True)
        assert (len(decoded.readings), decoded.states) == (1, [])
        refused(take(ingest, node.data(Level=1.0)), Reason.UNKNOWN_ALIAS)


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.binary(max_size=4) | st.sampled_from([b"a", b"b", b"bdSeq", b"Properties/x", b"Node Control/x"]),
    "alias": st.integers(0, 5),
    "timestamp": st.integers(0, 2**64 - 1) | st.just(START_MS),
    "datatype": st.integers(0, 36),
    "is_historical": st.booleans(),
    "is_transient": st.booleans(),
    "is_null": st.booleans(),
}
HELD: list[st.SearchStrategy[dict[str, Any]]] = [
    st.fixed_dictionaries({"int_value": st.integers(0, 2**32 - 1)}),
    st.fixed_dictionaries({"long_value": st.integers(0, 2**64 - 1)}),
    st.fixed_dictionaries({"float_value": st.floats(width=32)}),
    st.fixed_dictionaries({"double_value": st.floats()}),
    st.fixed_dictionaries({"boolean_value": st.booleans()}),
    st.fixed_dictionaries({"string_value": st.binary(max_size=8)}),
    st.fixed_dictionaries({"bytes_value": st.binary(max_size=16)}),
]
PLAIN = st.builds(lambda fields, held: fields | held, st.fixed_dictionaries({}, optional=FIELDS), st.one_of(HELD))
METRICS = st.lists(st.tuples(PLAIN, st.lists(PLAIN, max_size=2), st.booleans()), max_size=4)
_STATED = {"int_value", "long_value", "double_value", "boolean_value", "string_value"}
KINDS = ["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), METRICS, st.integers(0, 3), st.booleans()), max_size=6))
def test_any_messages_one_after_another_have_one_outcome_each(messages: list[tuple[str, Any, int, bool]]) -> None:
    ingest = Ingest()
    for kind, metrics, seq, replayed in messages:
        payload = Payload(timestamp=START_MS, seq=seq)
        for fields, inner, is_template in metrics:
            made = payload.metrics.add(**fields)
            made.properties.keys.extend([b"engUnit", b"Quality"])
            made.properties.values.add(**{key: held for key, held in fields.items() if key in _STATED})
            if is_template:
                for part in inner:
                    made.template_value.metrics.add(**part)
        topic = f"spBv1.0/g/{kind}/n" + ("/d" if kind.startswith("D") else "")
        ingest.decode(topic, written(payload), replayed=replayed)


@given(st.binary(max_size=300), st.sampled_from(["NBIRTH", "NDATA", "NDEATH"]))
def test_any_bytes_have_one_outcome(payload: bytes, kind: str) -> None:
    Ingest().decode(f"spBv1.0/g/{kind}/n", payload)


@given(st.integers(-(2**15), 2**15 - 1), st.integers(0, 2**32 - 1), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_through_exactly(signed: int, unsigned: int, real: float) -> None:
    payload = Payload(timestamp=START_MS, seq=0)
    metric(payload, "signed", datatype=INT16, int_value=signed & 0xFFFF)
    metric(payload, "unsigned", datatype=UINT32, int_value=unsigned)
    metric(payload, "real", datatype=DOUBLE, double_value=real)
    metric(payload, "yes", datatype=BOOLEAN, boolean_value=True)
    found = only(Ingest().decode("spBv1.0/g/NBIRTH/n", written(payload))).values
    assert found == {"signed": float(signed), "unsigned": float(unsigned), "real": real, "yes": True}
