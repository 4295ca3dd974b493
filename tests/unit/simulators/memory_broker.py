"""An MQTT broker in memory, for one client: it keeps what it is sent, and acknowledges when it is told to."""

import asyncio
from typing import NamedTuple

from simulators.connections.wire import Wire


class Sent(NamedTuple):
    """A PUBLISH packet as it came."""

    id: int
    payload: bytes
    dup: bool = False


class MemoryBroker:
    """Takes the connections that `dial` asks for; with `full`, the operating system takes nothing more."""

    def __init__(self) -> None:
        self.up, self.code, self.full = True, 0, False
        self.hellos: list[bytes] = []
        self.subscribed: list[bytes] = []
        self.sent: list[Sent] = []
        self.packets: list[int] = []  # the kind of each packet
        self.password = b""  # what a hello has to end with
        self.link: _Link | None = None

    async def dial(self, wire: Wire) -> None:
        if not self.up:
            raise ConnectionRefusedError("nobody listens")
        self.link = _Link(self, wire)
        wire.connection_made(self.link)

    def payloads(self) -> list[bytes]:
        return [sent.payload for sent in self.sent]

    def acknowledge(self, *ids: int) -> None:
        self.say(b"".join(b"\x40\x02" + id_.to_bytes(2, "big") for id_ in ids))

    def say(self, data: bytes) -> None:
        assert self.link is not None
        self.link.wire.data_received(data)

    def lose(self) -> None:
        """End the connection."""
        assert self.link is not None
        self.link.abort()

    def empty(self) -> None:
        """Let the operating system take everything."""
        self.full = False
        assert self.link is not None
        self.link.drain()

    def take(self, kind: int, body: bytes) -> None:
        self.packets.append(kind >> 4)
        if kind >> 4 == 1:
            self.hellos.append(body)
            code = self.code if body.endswith(self.password) else 4
            asyncio.get_running_loop().call_soon(self.say, bytes([0x20, 2, 0, code]))
        elif kind >> 4 == 3:
            start = 2 + int.from_bytes(body[:2], "big")
            self.sent.append(Sent(int.from_bytes(body[start : start + 2], "big"), body[start + 2 :], bool(kind & 8)))
        elif kind >> 4 == 8:
            self.subscribed.append(body)
            self.say(b"\x90\x03" + body[:2] + b"\x01")


class _Link(asyncio.Transport):
    def __init__(self, broker: MemoryBroker, wire: Wire) -> None:
        super().__init__()
        self.broker, self.wire = broker, wire
        self._came, self._kept, self._closed = b"", b"", False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert (high, low) == (1, 0)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.broker.full:
            self._kept += bytes(data)
            self.wire.pause_writing()
        else:
            self._came += bytes(data)
            self._cut()

    def drain(self) -> None:
        self._came += self._kept
        self._kept = b""
        self._cut()
        self.wire.resume_writing()

    def pause_reading(self) -> None:
        """Read nothing: this broker says nothing by itself."""

    def resume_reading(self) -> None:
        """Read again."""

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self.wire.connection_lost, None)

    def _cut(self) -> None:
        while len(self._came) >= 2:
            size, place, more = 0, 1, True
            while more:
                byte = self._came[place]
                size |= (byte & 127) << 7 * (place - 1)
                place, more = place + 1, byte >= 128
            if len(self._came) < place + size:
                return
            packet, self._came = self._came[: place + size], self._came[place + size :]
            self.broker.take(packet[0], packet[place:])
