"""Durations as operators write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.durations import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "ns"),
    [("0s", 0), ("30s", 30 * 10**9), ("5m", 300 * 10**9), ("1h30m", 5400 * 10**9), ("250ms", 250 * 10**6)],
)
def test_a_duration_is_read(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "1.5m", "5M", "5m!", "\u0665m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration: write whole numbers with d, h, m, s or ms"):
        parse_duration(text)


def test_a_duration_has_an_end() -> None:
    with pytest.raises(ValueError, match="is longer than 30d"):
        parse_duration("31d")


@given(st.integers(0, LONGEST // 10**6))
def test_what_is_written_is_read_as_the_same(ms: int) -> None:
    assert parse_duration(format_duration(ms * 10**6)) == ms * 10**6
