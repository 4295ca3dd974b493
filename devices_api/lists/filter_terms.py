"""What a filter of devices is made of, and whether it takes a device. Pure."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from contracts.times import format_time

Literal = str | float | bool
"""What a field is compared with. Numbers are doubles, but times are ns since 1970 UTC as int."""


class Kind(StrEnum):
    """What values a field has."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    GROUP = "group"
    JSON = "JSON"


SCALARS: Mapping[str, Kind] = {
    "id": Kind.TEXT,
    "name": Kind.TEXT,
    "profile": Kind.TEXT,
    "zone": Kind.TEXT,
    "enabled": Kind.BOOLEAN,
    "created": Kind.TIME,
    "updated": Kind.TIME,
    "version": Kind.NUMBER,
    "deleted": Kind.TIME,
    "location.latitude": Kind.NUMBER,
    "location.longitude": Kind.NUMBER,
    "online": Kind.BOOLEAN,
    "last_changed": Kind.TIME,
    "reason": Kind.TEXT,
    "last_seen": Kind.TIME,
    "messages": Kind.NUMBER,
}
"""Fields that have one value at most."""

KEYED: Mapping[str, Kind] = {"tags": Kind.TEXT, "facts": Kind.TEXT, "attributes": Kind.JSON}
"""Fields that are followed by a key, and attributes by the keys of a path."""

GROUP = "group"


class Operator(StrEnum):
    """How a term compares; `ne` is the negation of AMONG."""

    EXISTS = "exists"
    AMONG = "in"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"
    CONTAINS = "contains"
    STARTSWITH = "startswith"
    ENDSWITH = "endswith"


ORDERING = (Operator.GT, Operator.GE, Operator.LT, Operator.LE)
PARTS = (Operator.CONTAINS, Operator.STARTSWITH, Operator.ENDSWITH)


class Described(Protocol):
    """A device as filters see it, with its live state. Times in ns since 1970 UTC.

    `groups` has every group that it is in, and those above. Empty `zone` and `reason` are no value.
    """

    @property
    def id(self) -> str: ...  # noqa: D102 - the class says it
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def profile(self) -> str: ...  # noqa: D102
    @property
    def zone(self) -> str: ...  # noqa: D102
    @property
    def enabled(self) -> bool: ...  # noqa: D102
    @property
    def created(self) -> int: ...  # noqa: D102
    @property
    def updated(self) -> int: ...  # noqa: D102
    @property
    def version(self) -> int: ...  # noqa: D102
    @property
    def deleted(self) -> int | None: ...  # noqa: D102
    @property
    def tags(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def facts(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def attributes(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def groups(self) -> Collection[str]: ...  # noqa: D102
    @property
    def latitude(self) -> float | None: ...  # noqa: D102
    @property
    def longitude(self) -> float | None: ...  # noqa: D102
    @property
    def online(self) -> bool | None: ...  # noqa: D102
    @property
    def last_changed(self) -> int | None: ...  # noqa: D102
    @property
    def reason(self) -> str | None: ...  # noqa: D102
    @property
    def last_seen(self) -> int | None: ...  # noqa: D102
    @property
    def messages(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Field:
    """A field of a device; `keys` follow those of KEYED."""

    name: str
    keys: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """Tell what values it has."""
        return Kind.GROUP if self.name == GROUP else SCALARS.get(self.name) or KEYED[self.name]

    def of(self, device: Described) -> Any:  # noqa: ANN401 - an attribute may be of any JSON type
        """Give the value that `device` has, None where it has none; for groups, all of them."""
        if self.name == GROUP:
            return device.groups or None
        value = getattr(device, self.name.removeprefix("location."))
        for key in self.keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return None if value == "" and not self.keys else value

    def __str__(self) -> str:
        return ".".join([self.name, *(key if plain(key) else json.dumps(key, ensure_ascii=False) for key in self.keys)])


def plain(key: str) -> bool:
    """Whether `key` is written without quotes."""
    return bool(key) and all(c.isalnum() or c in "_-" for c in key)


@dataclass(frozen=True)
class Term:
    """One comparison. EXISTS has no `values`, AMONG has any number, and the others have one.

    It does not hold where the device has no value, or an attribute of another type than what it is compared with.
    """

    field: Field
    operator: Operator
    values: tuple[Literal, ...] = ()

    def takes(self, device: Described) -> bool:
        """Whether it holds for `device`."""
        value = self.field.of(device)
        if value is None or self.operator is Operator.EXISTS:
            return value is not None
        if self.field.kind is Kind.GROUP:
            return any(given in value for given in self.values)
        return any(holds(self.operator, value, given) for given in self.values)

    def __str__(self) -> str:
        if self.operator is Operator.EXISTS:
            return f"exists {self.field}"
        values = [_write(self.field.kind, value) for value in self.values]
        if self.operator is not Operator.AMONG:
            return f"{self.field} {self.operator} {values[0]}"
        return f"{self.field} eq {values[0]}" if len(values) == 1 else f"{self.field} in ({', '.join(values)})"


@dataclass(frozen=True)
class Not:
    """What `part` is not."""

    part: "Term | All | Any_"

    def takes(self, device: Described) -> bool:
        """Whether it holds for `device`."""
        return not self.part.takes(device)

    def __str__(self) -> str:
        part = self.part
        if isinstance(part, Term) and part.operator is Operator.AMONG and len(part.values) == 1:
            return f"{part.field} ne {_write(part.field.kind, part.values[0])}"
        return f"not {part}" if isinstance(part, Term) else f"not ({part})"


@dataclass(frozen=True)
class All:
    """All of two `parts` or more, none of which is an All."""

    parts: "tuple[Term | Not | Any_, ...]"

    def takes(self, device: Described) -> bool:
        """Whether it holds for `device`."""
        return all(part.takes(device) for part in self.parts)

    def __str__(self) -> str:
        return " and ".join(f"({part})" if isinstance(part, Any_) else str(part) for part in self.parts)


@dataclass(frozen=True)
class Any_:  # noqa: N801 - typing has an Any
    """One at least of two `parts` or more, none of which is an Any_."""

    parts: "tuple[Term | Not | All, ...]"

    def takes(self, device: Described) -> bool:
        """Whether it holds for `device`."""
        return any(part.takes(device) for part in self.parts)

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


Node = Term | Not | All | Any_


def holds(operator: Operator, value: object, given: Literal) -> bool:  # noqa: PLR0911 - one each
    """Whether `value` compares so with `given`; never where they are of two types."""
    if isinstance(given, str):
        if not isinstance(value, str):
            return False
        match operator:
            case Operator.CONTAINS:
                return given in value
            case Operator.STARTSWITH:
                return value.startswith(given)
            case Operator.ENDSWITH:
                return value.endswith(given)
        return _compare(operator, value, given)
    if isinstance(given, bool) or isinstance(value, bool):
        return value is given
    if isinstance(given, float) and isinstance(value, int):
        value = _double(value)
    return isinstance(value, int | float) and _compare(operator, value, given)


def _compare(operator: Operator, value: Any, given: Any) -> bool:  # noqa: ANN401 - two of a type that has an order
    match operator:
        case Operator.GT:
            return bool(value > given)
        case Operator.GE:
            return bool(value >= given)
        case Operator.LT:
            return bool(value < given)
        case Operator.LE:
            return bool(value <= given)
    return bool(value == given)


def _double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _write(kind: Kind, value: Literal) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind is Kind.TIME:
        return f'"{format_time(int(value))}"'
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return json.dumps(value, ensure_ascii=False)
