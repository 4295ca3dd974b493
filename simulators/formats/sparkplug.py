"""Sparkplug B: births name and type each metric once, data then give aliases; a session's messages are numbered.

`spBv1.0/fleet/{type}/edge-{gateway}[/{id}]`. Each device of the fleet is behind the edge node of its gateway; one
without a gateway has an edge node of its own. The node's birth carries its number, 0, in front, by which `stamp` knows
it; all else that is numbered begins with its time.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache

from contracts.readings import Value
from simulators.formats.plain import said
from simulators.formats.wire import Encoded, Rows, Stored, Will
from simulators.models.model import Metric
from simulators.plan.devices import Device

_MS = 1_000_000
_GROUP = "fleet"
_NUMBERS = 256
_INT64, _BOOLEAN, _STRING = 4, 11, 12
_KINDS = {"number": 10, "boolean": _BOOLEAN, "text": _STRING}  # numbers are doubles
_REBIRTH = b"Node Control/Rebirth"
_ALIASES = 1 << 10
"""Aliases of one device, so that none is used twice in a node."""

# Fields as they are written: number and kind of the field, then its value.
_TIMED = b"\x08"  # timestamp
_BORN = b"\x18\x00"  # seq, 0
_TRUE = b"\x70\x01"  # boolean_value of a metric
_UINT64 = (1 << 64) - 1
_pack = struct.Struct("<d").pack


class Sparkplug:
    """Sparkplug B with doubles, booleans and strings; times are in ms. A clock that was never set says 0.

    All devices of a node have to be opened together, since its birth ends what was known of them; those that are of
    another part of the fleet than their gateway come after it.
    """

    name = "sparkplug"
    session = True

    def __init__(self) -> None:
        self._next: dict[bytes, int] = {}  # number of the next message of each node
        self._connections: dict[int, int] = {}  # bdSeq of each node's connection
        self._present: set[int] = set()  # gateways that are devices of this format themselves

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        """Store everything under group, node and device."""
        if device.number == device.via:
            self._present.add(device.number)
        return Stored(f"{_GROUP}:{_node(device.via)}:{device.id}", {metric: metric for metric in metrics}, _MS)

    def encode(self, rows: Rows) -> Encoded:
        """Write readings, as DDATA with aliases."""
        payloads = []
        for device, ts, *values in zip(rows.devices, rows.ts, *rows.columns.values(), strict=True):
            first = device.number * _ALIASES
            metrics = [_datum(first + at, value) for at, value in enumerate(values) if value is not None]
            payloads.append(_timestamp(ts) + b"".join(metrics))
        return Encoded([_topic("DDATA", device.via, device.id) for device in rows.devices], payloads)

    def opening(self, rows: Rows) -> Encoded:
        """Write the births: of each node, and then of its devices."""
        nodes: dict[int, list[int]] = {}
        for row, device in enumerate(rows.devices):
            nodes.setdefault(device.via, []).append(row)
        names, found = tuple(rows.columns), Encoded([], [])
        order: list[int] = []
        carried: list[tuple[str, ...]] = []
        for via, members in nodes.items():
            own = [row for row in members if rows.devices[row].number == via]
            if own or via not in self._present:
                found.topics.append(_topic("NBIRTH", via))
                found.payloads.append(self._node_birth(via, rows.ts[members[0]]))
                order.append((own or members)[0])
                carried.append(())
            for row in members:
                found.topics.append(_topic("DBIRTH", via, rows.devices[row].id))
                found.payloads.append(_device_birth(rows, row))
                order.append(row)
                carried.append(names)
        found.rows, found.metrics = order, carried
        return found

    def closing(self, devices: Sequence[Device]) -> Encoded:
        """Write the deaths: a gateway's is its node's, and with it that of all devices behind it."""
        behind = [row for row, device in enumerate(devices) if device.number != device.via]
        gateways = [row for row, device in enumerate(devices) if device.number == device.via]
        topics = [_topic("DDEATH", devices[row].via, devices[row].id) for row in behind]
        topics += [_topic("NDEATH", devices[row].via) for row in gateways]
        payloads = [_timestamp(None)] * len(behind) + [self._node_death(devices[row].via) for row in gateways]
        return said(topics, payloads, behind + gateways)

    def will(self, device: Device) -> Will:
        """Give the node's death, numbered as the birth that follows will be."""
        self._connections[device.via] = (self._connections.get(device.via, -1) + 1) % _NUMBERS
        return Will(_topic("NDEATH", device.via), self._node_death(device.via), retain=False)

    def subscriptions(self, device: Device) -> list[str]:
        """Listen to commands for the node."""
        return [_topic("NCMD", device.via).decode()]

    def asks(self, device: Device, topic: str, payload: bytes) -> bool:
        """Whether the command asks the device's node for a rebirth."""
        _, named, value = payload.partition(_REBIRTH)
        return topic.encode() == _topic("NCMD", device.via) and bool(named) and _TRUE in value

    def stamp(self, topic: bytes, payload: bytes) -> bytes:
        """Put the number of the message behind it. With the birth of its node they begin again."""
        node = topic.split(b"/", 4)[3]
        if payload.startswith(_BORN):
            self._next[node] = 1
        elif payload.startswith(_TIMED):
            number = self._next.get(node, 0)
            self._next[node] = (number + 1) % _NUMBERS
            return b"%b\x18%b" % (payload, _varint(number))
        return payload

    def _node_birth(self, via: int, ts: int | None) -> bytes:
        rebirth = _field(1, _REBIRTH) + b"\x20%c" % _BOOLEAN + b"\x70\x00"
        return _BORN + _timestamp(ts) + self._node_death(via) + _field(2, rebirth)

    def _node_death(self, via: int) -> bytes:
        number = self._connections.get(via, 0)
        return _field(2, _field(1, b"bdSeq") + b"\x20%c" % _INT64 + b"\x58" + _varint(number))


def _device_birth(rows: Rows, row: int) -> bytes:
    device, metrics = rows.devices[row], []
    for at, (name, column) in enumerate(rows.columns.items()):
        value = column[row]
        alias = b"\x10" + _varint(device.number * _ALIASES + at)
        kind, unit = _KINDS[rows.metrics[name].type], rows.metrics[name].unit
        whole = _field(1, name.encode()) + alias + b"\x20%c" % kind + (_properties(unit) if unit else b"")
        metrics.append(_field(2, whole + (b"\x38\x01" if value is None else _value(value))))  # is_null
    return _timestamp(rows.ts[row]) + b"".join(metrics)


def _properties(unit: str) -> bytes:
    return _field(9, _field(1, b"engUnit") + _field(2, b"\x08%c" % _STRING + _field(8, unit.encode())))


def _datum(alias: int, value: Value) -> bytes:
    if type(value) is float:
        return _double_head(alias) + _pack(value)
    return _field(2, b"\x10" + _varint(alias) + _value(value))


@lru_cache(maxsize=65_536)
def _double_head(alias: int) -> bytes:
    """Write all of a metric but the eight bytes of its value, which is a double."""
    inner = b"\x10" + _varint(alias) + b"\x69"
    return b"\x12" + _varint(len(inner) + 8) + inner


def _value(value: Value) -> bytes:
    if type(value) is bool:
        return b"\x70%c" % value
    if isinstance(value, str):
        return _field(15, value.encode())
    return b"\x69" + _pack(value)


def _timestamp(ts: int | None) -> bytes:
    return _TIMED + _varint((ts or 0) // _MS & _UINT64)


def _field(number: int, data: bytes) -> bytes:
    """Write a field of bytes."""
    return b"%c%b%b" % (number << 3 | 2, _varint(len(data)), data)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _node(via: int) -> str:
    return f"edge-{via}"


@lru_cache(maxsize=65_536)
def _topic(kind: str, via: int, device: str = "") -> bytes:
    return f"spBv1.0/{_GROUP}/{kind}/{_node(via)}{'/' if device else ''}{device}".encode()
