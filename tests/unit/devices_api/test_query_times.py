import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.times import LATEST, SECOND, format_time, parse_interval, parse_time

moments = st.integers(0, LATEST)


@given(moments)
def test_what_is_written_can_be_read(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns


@given(moments)
def test_written_times_have_one_form(ns: int) -> None:
    text = format_time(ns)
    assert len(text) == 30
    seconds = datetime.fromisoformat(text[:19] + "+00:00")
    assert (seconds - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) == ns // SECOND


@given(st.integers(86_400, 10**10), st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_an_offset_changes_nothing(seconds: int, offset: int) -> None:
    if seconds * SECOND > LATEST:
        return
    moment = datetime.fromtimestamp(seconds, timezone(timedelta(minutes=offset)))
    assert parse_time(moment.isoformat()) == seconds * SECOND
    assert parse_time(moment.isoformat().replace("+", " ")) == seconds * SECOND, "a + that was not escaped"


@pytest.mark.parametrize("text", ["1767225600", "1767225600000", "1767225600000000", "1767225600000000000"])
def test_the_unit_of_an_integer_is_told_by_its_size(text: str) -> None:
    assert format_time(parse_time(text)) == "2026-01-01T00:00:00.000000000Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "-1",
        "1.5",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00.0000000001Z",
        "2026-01-01T00:00:00+24:00",
        "1969-12-31T23:59:59Z",
        "9999-01-01T00:00:00Z",
        "99999999999999999999",
        "٢٠٢٦-01-01T00:00:00Z",
        "²",
    ],
)
def test_other_texts_are_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time|is not between"):
        parse_time(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= parse_time(text) <= LATEST


def test_intervals() -> None:
    assert [parse_interval(text) // SECOND for text in ("10s", "1m", "5m", "1h", "1d")] == [10, 60, 300, 3600, 86_400]


@pytest.mark.parametrize("text", ["", "0m", "m", "1", "1.5m", "1 m", "-1m", "1w", "999999d", "1234567s"])
def test_other_intervals_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"interval|longer"):
        parse_interval(text)
