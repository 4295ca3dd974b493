"""What a subscriber sends to an MQTT broker, in 3.1.1 and 5. Pure."""

import struct
from collections.abc import Iterable

import msgspec

PINGREQ = b"\xc0\x00"
GOODBYE = b"\xe0\x00"

_MORE = 0x80  # in a byte of a length: another one follows
_MAX_TOPIC = 65_535


class Will(msgspec.Struct, frozen=True):
    """What the broker is to publish, retained, when it loses us."""

    topic: str
    payload: bytes


class Connect(msgspec.Struct, frozen=True):
    """Opens a session that the broker keeps. `expiry_s` and `receive_maximum` are told with MQTT 5 alone."""

    client_id: str
    five: bool
    keep_alive_s: int
    username: str = ""
    password: str = ""
    will: Will | None = None
    expiry_s: int = 0
    receive_maximum: int = 0

    def encode(self) -> bytes:
        """Write the packet."""
        flags, after = 0, [_string(self.client_id)]
        properties = b""
        if self.five:
            properties = _properties(
                b"\x11" + struct.pack("!I", self.expiry_s) + b"\x21" + struct.pack("!H", self.receive_maximum)
            )
        if self.will is not None:
            flags |= 0x2C  # retained, QoS 1
            after += [b"\x00"] if self.five else []
            after += [_string(self.will.topic), _data(self.will.payload)]
        if self.username or self.password:
            # MQTT 3.1.1 has no password without a user name, which may be empty.
            flags |= 0x80
            after.append(_string(self.username))
        if self.password:
            flags |= 0x40
            after.append(_string(self.password))
        level = 5 if self.five else 4
        head = _string("MQTT") + struct.pack("!BBH", level, flags, self.keep_alive_s)
        return _packet(0x10, head, properties, *after)


def subscribe(number: int, filters: Iterable[str], *, five: bool) -> bytes:
    """Subscribe at QoS 1.

    With MQTT 5, retained messages come only where there was no such subscription; with 3.1.1, always.
    """
    options = b"\x11" if five else b"\x01"
    body = b"".join(_string(topic) + options for topic in filters)
    return _packet(0x82, struct.pack("!H", number), b"\x00" if five else b"", body)


def unsubscribe(number: int, filters: Iterable[str], *, five: bool) -> bytes:
    """End subscriptions."""
    return _packet(0xA2, struct.pack("!H", number), b"\x00" if five else b"", *map(_string, filters))


def publish(topic: str, payload: bytes, *, five: bool, retain: bool = False) -> bytes:
    """Publish at QoS 0. Raises ValueError if MQTT has no such topic."""
    if not topic or len(topic.encode()) > _MAX_TOPIC or any(c in topic for c in "+#\0"):
        raise ValueError(f"{topic[:80]!r} is no topic to publish on")
    return _packet(0x31 if retain else 0x30, _string(topic), b"\x00" if five else b"", payload)


def _packet(head: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([head]) + _encode_length(len(body)) + body


def _properties(body: bytes) -> bytes:
    return _encode_length(len(body)) + body


def _encode_length(length: int) -> bytes:
    out = bytearray()
    while length >= _MORE:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out)


def _string(text: str) -> bytes:
    return _data(text.encode())


def _data(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data
