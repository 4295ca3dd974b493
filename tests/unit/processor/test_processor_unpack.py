"""What of a batch can be stored."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import READING_BATCH, Reading, ReadingBatch, Value
from contracts.wire import SchemaError
from processor.unpack import unpack


def encoded(*readings: Reading) -> bytes:
    return READING_BATCH.encode(ReadingBatch(1, 3, list(readings)))


def test_a_good_batch_is_taken_whole() -> None:
    readings = [Reading("a", 1, 2, {"m": 1.0, "n": "x"}), Reading("b", 2, 2, {"m": False}, {"clock": "0"})]
    unpacked = unpack(encoded(*readings))
    assert unpacked.readings == readings
    assert unpacked.points == 3
    assert not unpacked.refused


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_costs_only_itself(number: float) -> None:
    unpacked = unpack(encoded(Reading("a", 1, 2, {"m": number, "n": 2.0}), Reading("b", 1, 2, {"m": 3.0})))
    assert [reading.values for reading in unpacked.readings] == [{"n": 2.0}, {"m": 3.0}]
    assert unpacked.points == 2
    assert unpacked.refused == {Reason.BAD_VALUE: [f"device 'a': metric 'm' is {number}"]}


@pytest.mark.parametrize(("ts", "received"), [(-1, 0), (1 << 63, 0), (0, -1), (0, 1 << 63)])
def test_a_time_that_the_store_cannot_hold_costs_only_its_reading(ts: int, received: int) -> None:
    unpacked = unpack(encoded(Reading("a", ts, received, {"m": 1.0}), Reading("b", 1, 2, {"m": 3.0})))
    assert [reading.device for reading in unpacked.readings] == ["b"]
    assert list(unpacked.refused) == [Reason.BAD_TIME]


def test_of_many_parts_left_out_only_some_are_described() -> None:
    unpacked = unpack(encoded(*[Reading("a", -1, 0, {"m": 1.0})] * 1000))
    assert len(unpacked.refused[Reason.BAD_TIME]) == 10


@given(st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    with suppress(SchemaError):
        unpack(data)


numbers = st.one_of(st.floats(), st.booleans(), st.text(max_size=2))


@given(st.lists(st.tuples(st.integers(-(1 << 63), (1 << 64) - 1), st.dictionaries(st.sampled_from("mno"), numbers))))
def test_points_are_counted(drawn: list[tuple[int, dict[str, Value]]]) -> None:
    unpacked = unpack(encoded(*[Reading("a", ts, 1, values) for ts, values in drawn]))
    assert unpacked.points == sum(len(reading.values) for reading in unpacked.readings)
    assert all(0 <= reading.ts < 1 << 63 for reading in unpacked.readings)
