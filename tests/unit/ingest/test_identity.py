import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.topics import device_id_problem
from ingest.identity import Template, mac, spell


def test_parts_are_joined_with_colons_and_escaped_where_they_would_be_ambiguous() -> None:
    assert spell("Water Works", "Pump House 2", "Tank 3") == "Water Works:Pump House 2:Tank 3"
    assert spell("a:b", "c") == "a%3Ab:c"
    assert spell("A4:C1:38:0F:5E:27") == "A4:C1:38:0F:5E:27"
    assert spell("kiln/east+1#%") == "kiln%2Feast%2B1%23%25"
    assert spell("tab\t", "é") == "tab%09:é"


@given(st.lists(st.text(max_size=5), min_size=1, max_size=3), st.lists(st.text(max_size=5), min_size=1, max_size=3))
def test_different_identities_have_different_ids(one: list[str], other: list[str]) -> None:
    if len(one) == len(other):
        assert (spell(*one) == spell(*other)) == (one == other)


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3))
def test_an_id_fits_a_topic_level(parts: list[str]) -> None:
    assert device_id_problem(spell(*parts)) is None


@pytest.mark.parametrize("text", ["a4c1380f5e27", "A4:C1:38:0F:5E:27", "a4-c1-38-0f-5e-27"])
def test_a_mac_has_one_spelling(text: str) -> None:
    assert mac(text) == "A4:C1:38:0F:5E:27"


@pytest.mark.parametrize("text", ["", "a4c138", "g4c1380f5e27", "sensor"])
def test_other_text_is_no_mac(text: str) -> None:
    assert mac(text) is None


LEVELS = ["site", "north", "pump-7"]


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("{3}", "pump-7"),
        ("{-1}", "pump-7"),
        ("{2}-{3}", "north-pump-7"),
        ("fixed", "fixed"),
        ("{4}", ""),
        ("{-4}", ""),
        ("{2}-{4}", ""),
        ("{property:who}", "a%2Fb"),
        ("{property:other}", ""),
    ],
)
def test_a_template_takes_levels_and_properties(text: str, device: str) -> None:
    assert Template(text).fill(LEVELS, {"who": "a/b"}) == device


@pytest.mark.parametrize("text", ["{0}", "{x}", "{}", "{property:}", "{1", "1}", "{123}"])
def test_what_is_no_template_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"level|brace"):
        Template(text)
