"""Which devices a list has, in what order, and where one of its pages ends. Pure."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Self, TypeVar

import msgspec

from devices_api.cursors import BAD_CURSOR, encode_cursor, text_position
from devices_api.lists.filter_terms import SCALARS, Kind
from devices_api.lists.filters import Filter
from devices_api.registry.devices import Device, ListedDevice

WITHOUT = frozenset(
    {"zone", "deleted", "location.latitude", "location.longitude", "online", "last_changed", "reason", "last_seen"}
)
"""Fields of SCALARS that a device may have no value of."""

_Integer = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_VALUES: dict[Kind, Any] = {Kind.TEXT: str, Kind.NUMBER: float, Kind.BOOLEAN: bool, Kind.TIME: _Integer}


@dataclass(frozen=True)
class Chosen:
    """Devices that `filter` takes and in which all `words` occur; those deleted only if the filter names `deleted`."""

    filter: Filter | None = None
    words: tuple[str, ...] = ()

    @property
    def live(self) -> bool:
        """Whether those that are deleted are left out."""
        return self.filter is None or "deleted" not in self.filter.fields


@dataclass(frozen=True)
class Order:
    """By a field of SCALARS, then by id in the same direction; devices without a value come last in either."""

    field: str = "id"
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `field` or `-field`. Raises ValueError with a sentence for the caller."""
        field = text.removeprefix("-")
        if field not in SCALARS:
            raise ValueError(
                f"{text!r} is no order: write one of {', '.join(SCALARS)}, with - before it for descending"
            )
        return cls(field, text.startswith("-"))

    def __str__(self) -> str:
        return f"-{self.field}" if self.descending else self.field


@dataclass(frozen=True)
class Position:
    """Where a page ends: the value of its last device in the list's order, and its id."""

    value: str | float | bool | None
    id: str


DeviceT = TypeVar("DeviceT", Device, ListedDevice)


@dataclass(frozen=True)
class Page(Generic[DeviceT]):
    """Devices in order, and where the next page begins, unless this is the last."""

    devices: list[DeviceT]
    end: Position | None


def write_cursor(chosen: Chosen, order: Order, end: Position) -> str:
    """Write where the next page of a list begins."""
    return encode_cursor("devices", msgspec.json.encode((_of(chosen, order), end.value, end.id)).decode())


def read_cursor(chosen: Chosen, order: Order, cursor: str) -> Position:
    """Read a cursor. Raises ValueError if it is not from a list of `chosen` in this `order`."""
    try:
        of, value, id_ = msgspec.json.decode(text_position("devices", cursor), type=tuple[str, Any, str])
        value = msgspec.convert(value, _VALUES[SCALARS[order.field]] | None)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(BAD_CURSOR) from error
    if of != _of(chosen, order) or "\0" in id_ or (isinstance(value, str) and "\0" in value):
        raise ValueError(BAD_CURSOR)
    if value is None and order.field not in WITHOUT:
        raise ValueError(BAD_CURSOR)
    return Position(value, id_)


def _of(chosen: Chosen, order: Order) -> str:
    written = "\n".join([str(order), " ".join(chosen.words), str(chosen.filter or "")])
    return hashlib.sha256(written.encode()).hexdigest()[:16]
