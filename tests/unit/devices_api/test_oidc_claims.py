"""What a token says of who has it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.times import LATEST, SECOND, format_time
from devices_api.access import Scope, View
from devices_api.keys.oidc import LEEWAY, Claims

NOW = 1_767_225_600 * SECOND
GOOD = {"sub": "anna", "exp": NOW // SECOND + 60}


@pytest.mark.parametrize(
    ("claims", "token", "scopes"),
    [
        (Claims(), {"scope": "read write"}, {"read", "write"}),
        (Claims(prefix="s:"), {"scope": "s:read s:all write"}, {"read"}),
        (Claims("roles", "s:"), {"roles": ["s:admin", 5, None], "scope": "s:read"}, {"admin"}),
        (Claims(), {"scope": {"read": True}}, set()),
        (Claims(), {}, set()),
    ],
)
def test_scopes_are_those_with_the_prefix(claims: Claims, token: dict[str, Any], scopes: set[str]) -> None:
    who = claims.read(GOOD | token, NOW)
    assert who is not None
    assert who.scopes == frozenset(map(Scope, scopes))


@pytest.mark.parametrize(
    ("claims", "token", "view"),
    [
        (Claims(), {}, frozenset()),
        (Claims(everything=True), {}, None),
        (Claims(everything=True), {"groups": []}, frozenset()),
        (Claims(everything=True), {"groups": None}, frozenset()),
        (Claims(everything=True), {"groups": {"north": 1}}, frozenset()),
        (Claims(), {"groups": ["north", "a/b", "x\0", "", 1]}, frozenset({"north"})),
        (Claims(groups="sites"), {"groups": ["north"], "sites": "south east"}, frozenset({"south", "east"})),
    ],
)
def test_without_groups_no_device_is_seen_unless_that_is_set(claims: Claims, token: dict[str, Any], view: View) -> None:
    who = claims.read(GOOD | token, NOW)
    assert who is not None
    assert who.view == view


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_a_token_is_in_force_from_its_begin_to_its_end_but_for_the_leeway(begins: int, ends: int) -> None:
    now = NOW // SECOND
    who = Claims().read({"sub": "anna", "nbf": now + begins, "exp": now + ends}, NOW)
    assert (who is not None) == (begins * SECOND <= LEEWAY and -ends * SECOND < LEEWAY)


@settings(max_examples=50)
@given(st.floats(), st.none() | st.booleans() | st.text() | st.floats() | st.integers())
def test_any_moment_is_read_or_refused(begins: float, ends: object) -> None:
    who = Claims().read({"sub": "anna", "nbf": begins, "exp": ends}, NOW)
    if who is not None:
        assert who.expires is not None
        assert NOW - LEEWAY < who.expires <= LATEST
        assert format_time(who.expires)


@pytest.mark.parametrize("subject", ["", "a\0", "a\n", "é", "\ud800", "x" * 256, 5, None])
def test_a_subject_that_the_audit_log_cannot_name_proves_nobody(subject: object) -> None:
    assert Claims().read(GOOD | {"sub": subject}, NOW) is None
