import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices_api.cursors import encode_cursor, number_position, text_position


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_a_text_position_comes_back(position: str) -> None:
    assert text_position("devices", encode_cursor("devices", position)) == position


@given(st.integers(0, (1 << 63) - 1))
def test_a_number_position_comes_back(position: int) -> None:
    assert number_position("letters", encode_cursor("letters", position)) == position


@given(st.one_of(st.text(), st.integers(-(1 << 63), (1 << 63) - 1).map(lambda n: encode_cursor("other", n))))
def test_anything_else_is_refused(cursor: str) -> None:
    for read in (text_position, number_position):
        with pytest.raises(ValueError, match="this cursor is none"):
            read("devices", cursor)
