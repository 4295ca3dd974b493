"""Matchers: their syntax, their meaning, and that no pattern takes long."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.notify.matching import Matcher, parse_matcher

LABELS = {"severity": "critical", "device": "pump-7", "note": 'a "b" \\ c\nd'}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('severity="critical"', True),
        ("severity = critical", True),
        ("severity!=critical", False),
        ('device=~"pump-[0-9]+"', True),
        ('device=~"pump"', False),
        ('device!~"pump|valve-.*"', True),
        ('site=""', True),
        ("site=", True),
        ('site=~"plant.*"', False),
        ('site!="plant"', True),
        ('note="a \\"b\\" \\\\ c\\nd"', True),
        ('note=~"a.*d"', True),
    ],
)
def test_a_matcher_looks_at_the_whole_value_and_a_missing_label_is_empty(text: str, holds: bool) -> None:  # noqa: FBT001 - a table
    assert parse_matcher(text).matches(LABELS) is holds


@given(st.sampled_from(["=", "!="]), st.text(max_size=40))
def test_a_matcher_is_read_as_it_is_written(operator: str, value: str) -> None:
    again = parse_matcher(str(Matcher("label", operator, value)))
    assert (again.name, again.operator, again.value) == ("label", operator, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "severity",
        "=x",
        'a="x',
        'a="x"y"',
        "a b=c",
        'a=~"("',
        'a=~"(?=x)"',
        'a=~"a)|(b"',
        'a=~"x{1000000}"',
        "a=" + "x" * 4096,
    ],
)
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no matcher|is no regular expression"):
        parse_matcher(text)


def test_no_pattern_takes_long() -> None:
    matcher = parse_matcher('device=~"(a+)+(a|aa)*b"')
    began = perf_counter()
    assert not matcher.matches({"device": "a" * 100_000})
    assert perf_counter() - began < 5  # it is linear: a backtracking engine would never come back
