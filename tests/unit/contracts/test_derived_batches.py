"""Derived batches: divided so that each fits, and nothing is lost or out of order."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.derived import DERIVED_BATCH, DerivedBatch, Window, split
from contracts.readings import Reading

MINUTE = 60_000_000_000


def windows(count: int) -> list[Window]:
    return [Window("press-3", "press", f"m{number}", "1m", 0, MINUTE, 1, float(number)) for number in range(count)]


def readings(lengths: list[int]) -> list[Reading]:
    return [Reading("press-3", ts, ts, {"state": "x" * length}) for ts, length in enumerate(lengths)]


def divided(count: int, lengths: list[int], most: int) -> list[DerivedBatch]:
    batches = []
    for batch, data in split(7, windows(count), readings(lengths), most):
        assert DERIVED_BATCH.decode(data) == batch
        assert len(data) <= most or len(batch.windows) + len(batch.readings) == 1
        batches.append(batch)
    return batches


@given(st.integers(0, 40), st.lists(st.integers(0, 300), max_size=40), st.integers(50, 3000))
def test_every_batch_fits_and_together_they_are_everything_in_order(count: int, lengths: list[int], most: int) -> None:
    batches = divided(count, lengths, most)
    assert [window for batch in batches for window in batch.windows] == windows(count)
    assert [reading for batch in batches for reading in batch.readings] == readings(lengths)
    assert {batch.partition for batch in batches} <= {7}


def test_what_fits_is_one_batch() -> None:
    assert divided(3, [5, 5], 10_000) == [DerivedBatch(1, 7, windows(3), readings([5, 5]))]


def test_of_nothing_there_is_no_batch() -> None:
    assert divided(0, [], 10_000) == []


def test_what_is_too_large_comes_alone() -> None:
    batches = divided(1, [5, 5000, 5], 1000)
    assert [(len(batch.readings), len(batch.windows)) for batch in batches] == [(1, 0), (1, 0), (1, 1)]
