"""A device's twin: what it is to be (desired) and what it says that it is (reported), each a JSON object. Pure.

A state changes by merge patches (RFC 7396): what a patch names is replaced, null removes it, objects are merged. It is
kept with the time of each field, also of those that were removed, so that patches may be merged in any order, and any
number of times, and come to the same end: that of the order of their times.
"""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

At = tuple[int, int]
"""When a patch came, in ns since 1970 UTC, and its place among those of the same moment."""
NEVER: At = (0, 0)

MOST_BYTES = 32 << 10
"""Largest state, as JSON."""
DEEPEST = 16
MOST_REMOVED = 512
"""Removed fields whose time is known; beyond that the oldest are forgotten."""
FORGET_NS = 8 * 86_400_000_000_000
"""After so long a removed field is forgotten: no report waits for longer than the stream keeps it."""

State = dict[str, Any]


class Field(
    msgspec.Struct, frozen=True, omit_defaults=True, rename={"put": "p", "made": "m", "value": "v", "parts": "c"}
):
    """A field, or a whole state.

    `put`: when it was last given a value that is no object, or removed, with all that was in it; `value`: that, None if
    it was removed. `made`: when it was last given an object, or something in it. `parts`: what is in it, or was.
    """

    put: At = NEVER
    made: At = NEVER
    value: Any = None
    parts: dict[str, "Field"] = {}


EMPTY = Field()


@dataclass(frozen=True)
class Twin:
    """A device's twin. `version` is that of the desired state, `applied` the one that the device says it has."""

    device: str
    desired: Field = EMPTY
    reported: Field = EMPTY
    version: int = 0
    reports: int = 0
    applied: int | None = None


def merge(field: Field, patch: object, at: At) -> Field:
    """Merge a patch of `at`. What it says counts where nothing else has been said at that time or later."""
    if isinstance(patch, dict):
        parts = field.parts | {name: merge(field.parts.get(name, EMPTY), inner, at) for name, inner in patch.items()}
        return msgspec.structs.replace(field, made=max(field.made, at), parts=parts)
    return field if at <= field.put else msgspec.structs.replace(field, put=at, value=patch)


def state_of(field: Field) -> State:
    """Give the state as it is."""
    return _shown(field, NEVER, times=False) or {}


def times_of(field: Field) -> State:
    """Give when each field was last given its value, in ns since 1970 UTC, in the shape of the state."""
    return _shown(field, NEVER, times=True) or {}


def _shown(field: Field, floor: At, *, times: bool) -> Any:  # noqa: ANN401 - any JSON
    """Show a field; None if it is not there. At `floor` something that it is in was last replaced as a whole."""
    cleared = max(floor, field.put)
    if field.made > cleared:
        inner = ((name, _shown(part, cleared, times=times)) for name, part in field.parts.items())
        return {name: value for name, value in inner if value is not None}
    if field.put <= floor or field.value is None:
        return None
    return field.put[0] if times else field.value


def after_all(field: Field, now: int) -> At:
    """Give a time that is later than that of any patch merged so far: `now`, unless the clock has been set back."""
    ns, place = _newest(field)
    return (now, 0) if now > ns else (ns, place + 1)


def _newest(field: Field) -> At:
    return (
        max(field.put, field.made, *map(_newest, field.parts.values())) if field.parts else max(field.put, field.made)
    )


def forget(field: Field, now: int) -> Field:
    """Drop what was removed and makes no difference any more: it is too old, or there is too much of it."""
    removed: list[At] = []
    _removed(field, NEVER, removed)
    before: At = (now - FORGET_NS, 0)
    if len(removed) > MOST_REMOVED:
        before = max(before, sorted(removed)[-MOST_REMOVED - 1])
    return _without(field, NEVER, before) or EMPTY


def _removed(field: Field, floor: At, found: list[At]) -> None:
    if _shown(field, floor, times=True) is None:
        found.append(max(field.put, field.made))
    cleared = max(floor, field.put)
    for part in field.parts.values():
        _removed(part, cleared, found)


def _without(field: Field, floor: At, before: At) -> Field | None:
    cleared = max(floor, field.put)
    kept = ((name, _without(part, cleared, before)) for name, part in field.parts.items())
    field = msgspec.structs.replace(field, parts={name: part for name, part in kept if part is not None})
    gone = not field.parts and max(field.put, field.made) <= max(floor, before)
    return None if gone and _shown(field, floor, times=True) is None else field


def delta(desired: State, reported: State) -> State:
    """Give what `desired` has and `reported` has not, as a patch that makes up for it."""
    return _difference(reported, desired, removing=False)


def difference(old: State, new: State) -> State:
    """Give the patch that makes `old` into `new`."""
    return _difference(old, new, removing=True)


def _difference(old: State, new: State, *, removing: bool) -> State:
    patch: State = {name: None for name in old if name not in new} if removing else {}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := _difference(before, value, removing=removing):
                patch[name] = inner
        elif not same(value, before):
            patch[name] = value
    return patch


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def without_nulls(state: State) -> State:
    """Drop what is null: a state has no such fields."""
    return {
        name: without_nulls(value) if isinstance(value, dict) else value
        for name, value in state.items()
        if value is not None
    }


def check(state: object) -> State:
    """Return a state, or a patch, that is one. Raises ValueError with what is wrong."""
    if not isinstance(state, dict):
        raise ValueError("it has to be a JSON object")  # noqa: TRY004 - whoever calls handles one error
    if _too_deep(state, DEEPEST):
        raise ValueError(f"it is more than {DEEPEST} levels deep")
    try:
        text = json.dumps(state, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a surrogate pair, which is no text") from error
    except ValueError as error:
        raise ValueError("it holds a number that JSON does not have") from error
    if size > MOST_BYTES:
        raise ValueError(f"it has {size} bytes as JSON; at most {MOST_BYTES} are kept")
    if "\\u0000" in text:
        raise ValueError("it may not hold the character U+0000")
    return state


def _too_deep(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is not None and (levels == 0 or any(_too_deep(item, levels - 1) for item in inner))


def read_report(payload: bytes) -> tuple[State, int | None]:
    """Read what a device reports: a patch, or `{"reported": patch, "version": n}` with the version that it has applied.

    Raises ValueError with what is wrong.
    """
    try:
        told = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from error
    version = None
    if isinstance(told, dict) and isinstance(told.get("reported"), dict) and told.keys() <= {"reported", "version"}:
        told, version = told["reported"], told.get("version")
        if version is not None and (type(version) is not int or not 0 <= version < 1 << 31):
            raise ValueError("version has to be a whole number")
    return check(told), version
