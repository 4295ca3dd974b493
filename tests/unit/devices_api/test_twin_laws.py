from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices_api.twins import twin
from devices_api.twins.twin import EMPTY, Field, State, delta, difference, merge, read_report, state_of, times_of

NAMES = st.sampled_from("abc")
LEAVES = st.one_of(st.booleans(), st.integers(0, 2), st.just(1.0), st.lists(st.integers(0, 1) | st.none(), max_size=2))


def objects(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[State]:
    values = st.recursive(leaves, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)
    return st.dictionaries(NAMES, values, max_size=3)


STATES = objects(LEAVES)
PATCHES = objects(LEAVES | st.none())


def patched(state: object, patch: object) -> Any:  # noqa: ANN401 - any JSON
    """RFC 7396, as its section 2 says it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(state) if isinstance(state, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), value)
    return result


def agrees(state: object, wanted: object) -> bool:
    """Whether `state` has all that `wanted` has."""
    if isinstance(wanted, dict):
        return isinstance(state, dict) and all(name in state and agrees(state[name], wanted[name]) for name in wanted)
    return twin.same(state, wanted)


def leaves(times: object, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    if isinstance(times, dict):
        return {key: at for name, inner in times.items() for key, at in leaves(inner, (*path, name)).items()}
    assert isinstance(times, int)
    return {path: times}


def merged(patches: list[tuple[int, State]], into: Field = EMPTY) -> Field:
    for at, patch in patches:
        into = merge(into, patch, (at, 0))
    return into


@settings(max_examples=50)
@given(st.lists(PATCHES, max_size=5), st.data())
def test_patches_in_any_order_and_number_come_to_what_rfc_7396_makes_of_them_in_their_own(
    patches: list[State], data: st.DataObject
) -> None:
    numbered = list(enumerate(patches, 1))
    expected: State = {}
    for patch in patches:
        expected = patched(expected, patch)
    again = data.draw(st.lists(st.sampled_from(numbered), max_size=3)) if numbered else []
    state = merged(data.draw(st.permutations(numbered + again)))
    assert state_of(state) == expected
    assert leaves(times_of(state)) == leaves(times_of(merged(numbered)))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 9), PATCHES), max_size=5), st.integers(1, 9), PATCHES)
def test_a_fields_time_never_goes_back(patches: list[tuple[int, State]], at: int, patch: State) -> None:
    before = merged(patches)
    after = merge(before, patch, (at, 0))
    earlier, later = leaves(times_of(before)), leaves(times_of(after))
    assert all(later[path] >= earlier[path] for path in earlier.keys() & later.keys())


@settings(max_examples=50)
@given(STATES, STATES)
def test_a_delta_makes_the_reported_state_agree_with_the_desired_one_and_is_empty_then(
    desired: State, reported: State
) -> None:
    lacking = delta(desired, reported)
    made = patched(reported, lacking)
    assert agrees(made, desired)
    assert delta(desired, made) == {}
    assert bool(lacking) != agrees(reported, desired)


@settings(max_examples=50)
@given(STATES, STATES)
def test_a_difference_makes_one_state_of_another(old: State, new: State) -> None:
    assert twin.same(patched(old, difference(old, new)), new)


@settings(max_examples=40)
@given(st.lists(PATCHES, min_size=1, max_size=5), st.data())
def test_forgetting_what_was_removed_long_ago_changes_nothing_that_comes_after(
    patches: list[State], data: st.DataObject
) -> None:
    split = data.draw(st.integers(0, len(patches)))
    numbered = [(number * 2 * twin.FORGET_NS, patch) for number, patch in enumerate(patches, 1)]
    first = merged(numbered[:split])
    forgot = twin.forget(first, (split * 2 + 1) * twin.FORGET_NS + 1)
    assert state_of(forgot) == state_of(first)
    assert state_of(merged(numbered[split:], forgot)) == state_of(merged(numbered))


def test_no_more_removed_fields_are_remembered_than_there_is_room_for() -> None:
    field = EMPTY
    for number in range(1, 3 * twin.MOST_REMOVED):
        field = merge(field, {f"n{number}": None}, (number, 1))
    field = twin.forget(field, 0)
    assert state_of(field) == {}
    assert len(field.parts) <= twin.MOST_REMOVED
    assert f"n{3 * twin.MOST_REMOVED - 1}" in field.parts


def test_a_change_comes_after_all_others_also_when_the_clock_has_been_set_back() -> None:
    field = merge(EMPTY, {"a": {"b": 1}}, (50, 7))
    assert state_of(merge(field, {"a": 2}, twin.after_all(field, 10))) == {"a": 2}


def test_a_report_may_say_which_version_it_is_about() -> None:
    assert read_report(b'{"valve": 1}') == ({"valve": 1}, None)
    assert read_report(b'{"reported": {"valve": 1}, "version": 3}') == ({"valve": 1}, 3)
    assert read_report(b'{"reported": 5}') == ({"reported": 5}, None)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1]", "JSON object"),
        (b'{"reported": {}, "version": -1}', "version"),
        (b'{"reported": {}, "version": true}', "version"),
        (b'{"a":' * 20 + b"1" + b"}" * 20, "levels deep"),
        (b'{"a": "' + b"x" * 40_000 + b'"}', "at most 32768"),
        (b'{"a": "\\u0000"}', r"U\+0000"),
        (b'{"a": 1e999}', "no JSON|JSON does not have"),
    ],
)
def test_a_report_that_cannot_be_kept_is_told_why(payload: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_report(payload)
