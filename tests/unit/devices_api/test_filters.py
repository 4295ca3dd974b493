import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.times import parse_time
from devices_api.errors import FilterError
from devices_api.lists.filters import DEEPEST, LONGEST, MOST_TERMS, parse
from tests.devices.filter_strategies import filters


@dataclass(frozen=True)
class Pump:
    id: str = "pump-7"
    name: str = "North pump"
    profile: str = "pump"
    zone: str = ""
    enabled: bool = True
    created: int = parse_time("2026-01-01T00:00:00Z")
    updated: int = parse_time("2026-01-02T00:00:00Z")
    version: int = 3
    deleted: int | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: {"site": "north", "my key": "", "a.b": "x"})
    facts: Mapping[str, str] = field(default_factory=lambda: {"firmware": "1.4.2"})
    attributes: Mapping[str, Any] = field(
        default_factory=lambda: {"kw": 7.5, "spare": False, "none": None, "of": {"bay": 12, "all": [1]}, "big": 10**400}
    )
    groups: frozenset[str] = frozenset({"hall-2", "north"})
    latitude: float | None = 48.1
    longitude: float | None = None
    online: bool | None = None
    last_changed: int | None = None
    reason: str | None = ""
    last_seen: int | None = parse_time("2026-01-03T12:00:00Z")
    messages: int = 12


@pytest.mark.parametrize(
    "text",
    [
        'profile eq "pump" and tags.site eq "north"',
        'profile EQ "x" Or name CONTAINS "pump"',
        'name startswith "North" AND name endswith "pump"',
        'tags."my key" eq ""',
        'tags."a.b" in ("y", "x")',
        'facts.firmware ge "1.4"',
        "attributes.kw gt 7 and attributes.kw le 7.5",
        "attributes.of.bay eq 12",
        "exists attributes.of and attributes.of.all exists",
        "attributes.spare eq false",
        "attributes.big gt 1e308",
        "attributes.none eq null",
        'attributes.kw ne "7.5"',
        'group eq "north" and not group in ("south", "east")',
        "location.latitude gt -90 and location.longitude eq null",
        "enabled eq true and version lt 4 and messages eq 12",
        'created eq "2026-01-01T01:00:00+01:00"',
        'last_seen ge "2026-01-03T00:00:00Z"',
        "deleted eq false and not exists deleted and deleted ne true",
        "not (online eq true or online eq false)",
        "not exists reason and zone eq null",
    ],
)
def test_a_pump_is_taken(text: str) -> None:
    assert parse(text).takes(Pump())


@pytest.mark.parametrize(
    "text",
    [
        'profile eq "Pump"',
        'tags.other eq "north"',
        'tags.other lt "z"',
        "attributes.spare eq 0",
        "attributes.of.all eq 1",
        'attributes.kw contains "7"',
        'attributes.kw.deeper eq "x"',
        "online eq true or online eq false",
        'last_changed gt "1970-01-01T00:00:00Z"',
        "location.longitude lt 0 or location.longitude ge 0",
        "deleted eq true or exists deleted",
        'group eq "hall"',
        'zone ne null or reason startswith ""',
    ],
)
def test_a_pump_is_not_taken(text: str) -> None:
    assert not parse(text).takes(Pump())


def test_what_is_missing_differs_from_everything() -> None:
    for text in ('tags.other ne "north"', "online ne true", "attributes.x ne 1", 'group ne "south"'):
        assert parse(text).takes(Pump())
    assert parse("online ne true").takes(replace(Pump(), online=False))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "character 1: expected a field"),
        ('colour eq "red"', r"character 1: expected a field \(id, name, .*tags.KEY.*\), found colour"),
        ("profile eq 5", "character 12: expected a text in double quotes for profile, found 5"),
        ("version eq true", "character 12: expected a number for version, found true"),
        ('online gt "x"', r"character 8: expected an operator that online has \(eq, ne, in, exists\), found gt"),
        ('profile is "x"', "character 9: expected an operator"),
        ('created gt "soon"', "character 12: 'soon' is no time"),
        ("created gt 12", "character 12: expected a time in double quotes for created, found 12"),
        ("attributes.a lt true", "character 17: expected a text in double quotes or a number for attributes.a"),
        ("attributes.a contains 1", "character 23: expected a text in double quotes for attributes.a"),
        ('tags.site in ("a", null)', "character 20: expected a text in double quotes for tags.site, found null"),
        ('tags.site in ("a" "b")', 'character 19: expected `,` or `\\)`, found "b"'),
        ('tags.a.b eq "x"', "character 1: expected tags with one key"),
        ('tags eq "x"', "character 1: expected tags with one key"),
        ('(profile eq "x"', r"character 16: expected `\)`, found the end"),
        ('profile eq "x" profile', "character 16: expected `and`, `or` or the end, found profile"),
        ('profile eq "x', "character 12: found a text that does not end"),
        (r'profile eq "\x"', "character 12: .* has an escape"),
        (r'profile eq "\ud800"', "character 12: .* has an escape"),
        (r'profile eq "\u0000"', r"character 12: no text has the character U\+0000"),
        ("version eq 1e999", "character 12: 1e999 is too large"),
        ("version = 1", "character 9: found '= 1'"),
        ("version eq 12x", "character 12: found '12x'"),
        ("not " * (DEEPEST + 1) + "exists group", f"character {4 * DEEPEST + 1}: more than {DEEPEST}"),
        (" or ".join(["exists group"] * (MOST_TERMS + 1)), f"more than {MOST_TERMS} terms"),
        (f'name eq "{"x" * LONGEST}"', f"{LONGEST} are allowed"),
        ("created in (" + ", ".join(f'"{n}"' for n in range(500)) + ")", "with its times written out"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, error: str) -> None:
    with pytest.raises(FilterError, match=error):
        parse(text)


@given(filters())
def test_the_canonical_form_reads_as_the_same_filter(text: str) -> None:
    filter_ = parse(text)
    assert parse(str(filter_)) == filter_
    assert str(parse(str(filter_))) == str(filter_)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(FilterError):
        parse(text)


def test_the_canonical_form_is_one_for_equal_filters() -> None:
    text = 'NOT (NOT (profile EQ "p")) and ((tags."site" exists) AND created gt "2026-01-01T01:00:00+01:00")'
    assert str(parse(text)) == 'profile eq "p" and exists tags.site and created gt "2026-01-01T00:00:00.000000000Z"'


def test_a_filter_names_its_fields() -> None:
    assert parse('tags.a eq "x" or not (exists deleted and online eq true)').fields == {"tags", "deleted", "online"}
