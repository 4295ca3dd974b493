"""Filters and devices over the same few values, so that many filters take some devices and not others."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from contracts.times import format_time
from devices_api.lists.filter_terms import KEYED, ORDERING, PARTS, SCALARS, Kind

TEXTS = ["a", "b", "ab", "B", "é", "ü_%", 'q"\\', "😀"]
KEYS = ["k", "site", "a.b", 'q"\\', "é", "0", ""]
NUMBERS = [-1.5, 0, 1, 2, 7.25, 1e300]
TIMES = [0, 1_767_225_600_000_000_000, 1_767_225_600_000_000_001]
GROUPS = {"g": ("g",), "h": ("g", "h"), "h_": ("g", "h_"), "i": ("g", "h", "i"), "z": ("z",)}
"""Each group with those above it."""


@dataclass(frozen=True)
class FilteredDevice:
    """A device as filters see it; `direct` are the groups that it is a member of, and `view` what of them is seen."""

    id: str
    name: str
    profile: str
    zone: str
    enabled: bool
    created: int
    updated: int
    version: int
    deleted: int | None
    tags: Mapping[str, str]
    facts: Mapping[str, str]
    attributes: Mapping[str, Any]
    direct: frozenset[str]
    latitude: float | None
    longitude: float | None
    online: bool | None
    last_changed: int | None
    reason: str | None
    last_seen: int | None
    messages: int
    view: frozenset[str] | None = None

    @property
    def groups(self) -> frozenset[str]:
        groups = frozenset(above for group in self.direct for above in GROUPS[group])
        return groups if self.view is None else frozenset(id_ for id_ in groups if self.view & {*GROUPS[id_]})

    def seen_by(self, view: frozenset[str] | None) -> "FilteredDevice":
        """Give the device as somebody sees it who is limited to the groups `view`."""
        return replace(self, view=view)


_texts = st.sampled_from(TEXTS)
_keys = st.sampled_from(KEYS)
_numbers = st.sampled_from(NUMBERS)
_times = st.sampled_from(TIMES)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _texts, st.sampled_from([[1], 10**400, -(10**400)])),
    lambda inner: st.dictionaries(_keys, inner, max_size=3),
    max_leaves=4,
)


@st.composite
def devices(draw: st.DrawFn, id_: str) -> FilteredDevice:
    """Draw a device; what only a device that has told of itself has comes together."""
    told = draw(st.booleans())
    seen = draw(st.booleans())
    return FilteredDevice(
        id=id_,
        name=draw(_texts),
        profile=draw(_texts),
        zone=draw(st.sampled_from(["", "UTC"])),
        enabled=draw(st.booleans()),
        created=draw(_times),
        updated=draw(_times),
        version=draw(st.integers(1, 3)),
        deleted=draw(st.none() | _times),
        tags=draw(st.dictionaries(_keys, _texts | st.just(""), max_size=3)),
        facts=draw(st.dictionaries(_keys, _texts, max_size=3)),
        attributes=draw(st.dictionaries(_keys, _json, max_size=3)),
        direct=draw(st.frozensets(st.sampled_from(sorted(GROUPS)), max_size=2)),
        latitude=draw(st.none() | _numbers),
        longitude=draw(st.none() | _numbers),
        online=draw(st.booleans()) if told else None,
        last_changed=draw(_times) if told else None,
        reason=draw(_texts | st.just("")) if told else None,
        last_seen=draw(_times) if seen else None,
        messages=draw(st.integers(0, 2)) if seen else 0,
    )


def _quoted(text: str) -> str:
    return json.dumps(text)


@st.composite
def terms(draw: st.DrawFn) -> str:
    """Draw one comparison, as text."""
    name = draw(st.sampled_from([*SCALARS, *KEYED, "group"]))
    kind = Kind.GROUP if name == "group" else SCALARS.get(name) or KEYED[name]
    keys = draw(st.lists(_keys, min_size=1, max_size=3 if kind is Kind.JSON else 1)) if name in KEYED else []
    field = ".".join([name, *map(_quoted, keys)])
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from([f"exists {field}", f"{field} exists", f"{field} eq null", f"{field} ne null"]))
    text, number = _texts.map(_quoted), _numbers.map(repr)
    constant = st.sampled_from(["true", "false"])
    values = {
        Kind.TEXT: text,
        Kind.NUMBER: number,
        Kind.BOOLEAN: constant,
        Kind.TIME: _times.map(lambda ns: _quoted(format_time(ns))),
        Kind.GROUP: st.sampled_from([*GROUPS, "nowhere"]).map(_quoted),
        Kind.JSON: text | number | constant,
    }[kind]
    operators: list[str] = ["eq", "ne", "in"]
    if kind not in (Kind.BOOLEAN, Kind.GROUP):
        operators += ORDERING
    if kind in (Kind.TEXT, Kind.JSON):
        operators += PARTS
    operator = draw(st.sampled_from(operators))
    if operator == "in":
        return f"{field} in ({', '.join(draw(st.lists(values, min_size=1, max_size=3)))})"
    if operator in PARTS:
        return f"{field} {operator} {draw(text | st.just(_quoted('')))}"
    if operator in ORDERING and kind is Kind.JSON:
        return f"{field} {operator} {draw(text | number)}"
    return f"{field} {operator} {draw(values)}"


def filters() -> st.SearchStrategy[str]:
    """Give filters of a few terms, as text."""
    return st.recursive(
        terms(),
        lambda inner: st.one_of(
            inner.map(lambda part: f"not ({part})"),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: " and ".join(f"({part})" for part in parts)),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: " or ".join(f"({part})" for part in parts)),
        ),
        max_leaves=5,
    )
