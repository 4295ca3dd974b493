"""MQTT 3.1.1 as a device speaks it: packets written, and what a broker sends cut into packets. Pure."""

from collections.abc import Iterable, Sequence
from struct import unpack
from typing import NamedTuple

from simulators.connections.outlet import Outgoing
from simulators.connections.parties import Login
from simulators.formats.wire import Will

CONNACK, PUBACK, SUBACK, PINGRESP = 2, 4, 9, 13
REFUSALS = {
    1: "protocol version",
    2: "client id",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
}
"""What a broker means by the code in its CONNACK."""

PINGREQ, DISCONNECT = b"\xc0\x00", b"\xe0\x00"
_PUBLISH, _QOS, _QOS_1 = 3, 0x06, 0x02
_MORE, _LEAST, _LONGEST = 0x80, 2, 4
_TWO = [number.to_bytes(2, "big") for number in range(1 << 16)]


class BrokenStreamError(Exception):
    """What the broker sends is not MQTT, or more than is taken."""


class Publish(NamedTuple):
    """A message; `id` is 0 where no PUBACK is due."""

    topic: str
    payload: bytes
    id: int


class Control(NamedTuple):
    """Any other packet, unread."""

    kind: int
    body: bytes


def connect(client_id: str, keepalive: int, login: Login | None, will: Will | None, *, kept: bool = True) -> bytes:
    """Begin a session, which the broker keeps if it is to be `kept`; the will has QoS 1."""
    flags, body = 0 if kept else 0x02, _field(client_id.encode())
    if will is not None:
        flags |= 0x04 | 0x08 | (0x20 if will.retain else 0)
        body += _field(will.topic) + _field(will.payload)
    if login is not None:
        flags |= 0xC0
        body += _field(login.username.encode()) + _field(login.password.encode())
    head = b"\x00\x04MQTT\x04" + bytes([flags]) + _TWO[keepalive]
    return b"\x10" + _length(len(head) + len(body)) + head + body


def publishes(ids: Iterable[int], messages: Sequence[Outgoing], flags: int = 0) -> bytes:
    """Write messages at QoS 1, with `flags` set beside their own."""
    parts: list[bytes] = []
    for id_, (_, topic, payload, mine) in zip(ids, messages, strict=True):
        size = len(topic)
        length = 4 + size + len(payload)
        if mine | flags:
            head = bytes([0x32 | mine | flags]) + _length(length)
        else:
            head = _HEADS[length] if length < len(_HEADS) else b"\x32" + _length(length)
        parts += (head, _TWO[size], topic, _TWO[id_], payload)
    return b"".join(parts)


def puback(id_: int) -> bytes:
    """Acknowledge a message."""
    return b"\x40\x02" + _TWO[id_]


def subscribe(id_: int, filters: Sequence[str]) -> bytes:
    """Subscribe at QoS 1."""
    body = _TWO[id_] + b"".join(_field(topic.encode()) + b"\x01" for topic in filters)
    return b"\x82" + _length(len(body)) + body


def _field(content: bytes) -> bytes:
    return _TWO[len(content)] + content


def _length(number: int) -> bytes:
    out = bytearray()
    while number >= _MORE:
        out.append(number & 0x7F | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)


_HEADS = [b"\x32" + _length(number) for number in range(4096)]


class Reader:
    """Takes bytes as they come, and gives packets. One that is longer than `most` bytes ends the stream."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = b""
        self._need = 0

    def feed(self, data: bytes) -> tuple[list[int], list[Publish | Control]]:
        """Take in bytes; return the ids that are acknowledged, and all other packets. Raises BrokenStreamError."""
        if self._rest:
            self._rest += data  # at most a packet and what came with its end
            if len(self._rest) < self._need:
                return [], []
            data, self._rest = self._rest, b""
        count, odd = divmod(len(data), 4)
        if not odd and data[::4] == b"\x40" * count and data[1::4] == b"\x02" * count:
            return list(unpack(f">{2 * count}H", data)[1::2]), []
        return self._cut(data)

    def _cut(self, data: bytes) -> tuple[list[int], list[Publish | Control]]:
        ids: list[int] = []
        others: list[Publish | Control] = []
        position, end = 0, len(data)
        self._need = _LEAST
        while end - position >= _LEAST:
            length, start = self._head(data, position, end)
            stop = start + length
            if not start or stop > end:
                self._need = stop - position if start else end - position + 1
                break
            kind = data[position] >> 4
            if kind == PUBACK and length == _LEAST:
                ids.append(data[start] << 8 | data[start + 1])
            elif kind == _PUBLISH:
                others.append(_message(data[position], data[start:stop]))
            else:
                others.append(Control(kind, data[start:stop]))
            position = stop
        self._rest = data[position:]
        return ids, others

    def _head(self, data: bytes, position: int, end: int) -> tuple[int, int]:
        """Read a packet's length; where it starts after that is 0 if the length is not whole yet."""
        length = 0
        for n in range(min(_LONGEST, end - position - 1)):
            byte = data[position + 1 + n]
            length |= (byte & 0x7F) << 7 * n
            if length > self._most:
                raise BrokenStreamError(f"a packet of kind {data[position] >> 4} with {length} bytes or more")
            if byte < _MORE:
                return length, position + 2 + n
        if end - position > _LONGEST:
            raise BrokenStreamError("a packet whose length has no end")
        return 0, 0


def _message(head: int, body: bytes) -> Publish:
    qos, after = head & _QOS, 2 + int.from_bytes(body[:2], "big")
    start = after + 2 if qos else after
    if qos not in {0, _QOS_1} or start > len(body):
        raise BrokenStreamError("a message that is not of QoS 0 or 1, or ends too early")
    topic = body[2:after].decode(errors="backslashreplace")
    return Publish(topic, body[start:], int.from_bytes(body[after:start], "big"))
