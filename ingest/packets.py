"""Cuts what an MQTT broker sends, in 3.1.1 and 5, into packets. Pure."""

import msgspec

from ingest.properties import BrokenStreamError, of_message, read_length, span

CONNACK, PUBREL, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = 2, 6, 9, 11, 13, 14

_PUBLISH = 3
_DUP, _QOS, _QOS_1, _RETAIN = 0x08, 0x06, 0x02, 0x01
_ONE_BYTE = 0x80  # lengths below it are one byte
_LEAST = 2


class Publish(msgspec.Struct, gc=False):
    """A message. `ack` is the packet that acknowledges it, and tells it from others that are not; empty at QoS 0.

    `properties`: with MQTT 5, the content type and the user's, by name.
    """

    topic: str
    payload: bytes
    ack: bytes
    dup: bool
    retain: bool
    properties: dict[str, str] | None = None


class Control(msgspec.Struct):
    """Any other packet, unread."""

    kind: int
    body: bytes


class Reader:
    """Takes bytes as they come, and gives packets.

    A message whose packet is longer than `most` bytes loses what is beyond: so no packet takes more memory than that,
    and the message does not come again for ever.
    """

    def __init__(self, most: int, *, five: bool) -> None:
        self._most, self._five = most, five
        self._parts: list[bytes] = []  # of a packet that is not whole yet
        self._have = 0
        self._need = _LEAST  # bytes from the beginning of a packet, before more can be said of it
        self._skip = 0

    def feed(self, data: bytes) -> list[Publish | Control]:
        """Take in bytes, and return the packets that they complete. Raises BrokenStreamError."""
        if self._skip:
            data, self._skip = data[self._skip :], max(0, self._skip - len(data))
            if not data:
                return []
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._parts)
            self._parts.clear()
        found: list[Publish | Control] = []
        position = self._cut(data, found)
        if position < len(data):
            self._parts.append(data[position:])
            self._have = len(data) - position
        return found

    def _cut(self, data: bytes, found: list[Publish | Control]) -> int:
        """Append the packets that are whole to `found`, and return where the first begins that is not."""
        position, end, most = 0, len(data), self._most
        while end - position >= _LEAST:
            head, length, start = data[position], data[position + 1], position + 2
            if length >= _ONE_BYTE:
                length, start = read_length(data, position + 1, end)
                if not start:
                    self._need = end - position + 1
                    return position
            stop = start + length
            if length > most:
                if head >> 4 != _PUBLISH:
                    raise BrokenStreamError(f"a packet of kind {head >> 4} with {length} bytes")
                stop = start + most
            if stop > end:
                self._need = stop - position
                return position
            if head >> 4 == _PUBLISH:
                found.append(self._publish(data, head, start, stop))
            else:
                found.append(Control(head >> 4, data[start:stop]))
            position = start + length
        self._need = _LEAST
        self._skip = max(0, position - end)
        return position

    def _publish(self, data: bytes, head: int, start: int, stop: int) -> Publish:
        """Read one message; it lies within `start` and `stop`."""
        begin = start + 2
        body = after = begin + (data[start] << 8 | data[start + 1]) if begin <= stop else stop + 1
        ack = b""
        if head & _QOS:
            body += 2
            ack = (b"\x40\x02" if head & _QOS_1 else b"\x50\x02") + data[after:body]
        if body > stop:
            raise BrokenStreamError("a message that ends before its payload begins")
        properties: dict[str, str] | None = None
        if self._five:
            if body < stop and data[body]:
                begun, body = span(data, body, stop)
                properties = of_message(data, begun, body)
            else:
                body += 1
        try:
            topic = data[begin:after].decode()
        except UnicodeDecodeError:  # a broker should not have taken it; refused here, it would come again for ever
            topic = data[begin:after].decode(errors="backslashreplace")
        return Publish(topic, data[body:stop], ack, head & _DUP != 0, head & _RETAIN != 0, properties)
