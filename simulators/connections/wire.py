"""One MQTT connection from CONNECT to its end: CONNACK, keepalive, flow control, and what may be wrong with it."""

import asyncio
import struct
from collections.abc import Callable, Sequence
from socket import SO_LINGER, SOL_SOCKET
from typing import Protocol

from simulators.connections import packets
from simulators.connections.packets import BrokenStreamError, Control, Publish, Reader

LARGEST = 1 << 20
"""Most bytes of one packet that the broker may send."""

_PACE_S = 0.05
_REFUSED = 0x80


class Session(Protocol):
    """What outlives a connection."""

    def accepted(self, wire: "Wire") -> None:
        """Hear that the broker has accepted the connection."""

    def acknowledged(self, ids: Sequence[int]) -> None:
        """Hear of PUBACKs."""

    def received(self, topic: str, payload: bytes) -> None:
        """Hear a message."""

    def refused(self, what: str) -> None:
        """Hear that the broker does not let it subscribe."""

    def resumed(self) -> None:
        """Hear that all that was written is handed to the operating system, and that more may be."""


class Wire(asyncio.Protocol):
    """One connection, which begins with `hello`.

    `answered` becomes what is wrong, or nothing once the broker has accepted it; `ended` becomes why it is no more.
    """

    def __init__(self, hello: bytes, keepalive: int, session: Session) -> None:
        self._loop = asyncio.get_running_loop()
        self._hello, self._tick_s, self._session = hello, keepalive / 2, session
        self._reader = Reader(LARGEST)
        self._transport: asyncio.Transport | None = None
        self._full = self._silent = self._quiet = False
        self._wrote = self._heard = True
        self._held = bytearray()
        self._rate = 0.0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._why = ""
        self.answered: asyncio.Future[str] = self._loop.create_future()
        self.ended: asyncio.Future[str] = self._loop.create_future()

    @property
    def made(self) -> bool:
        """Whether there is, or was, a connection at all."""
        return self._transport is not None

    @property
    def writable(self) -> bool:
        """Whether all that was written is handed to the operating system, so that more may be written."""
        return not (self._full or self._held or self._silent)

    @property
    def slow(self) -> bool:
        """Whether it writes no faster than it was told to."""
        return self._rate > 0

    def write(self, data: bytes) -> None:
        """Write whole packets. Before more than an acknowledgement is written, ask whether it is writable."""
        self._wrote = True
        if self._silent or self._held or self._rate:
            self._held += data
            if self._rate and "pace" not in self._timers and not self._silent:
                self._after("pace", _PACE_S, self._pace)
        elif self._transport is not None:
            self._transport.write(data)

    def leave(self) -> None:
        """Say goodbye and end; what is on its way still goes out, unless the connection is slow or silent."""
        if self._transport is None or self._held or self._silent:
            self.abort("left")
            return
        self._why = self._why or "left"
        self._transport.write(packets.DISCONNECT)
        self._transport.close()

    def abort(self, why: str) -> None:
        """End without a word."""
        self._why = self._why or why
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """End by a TCP RST, as when the power fails and comes back."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            self.abort("reset")

    def silence(self, seconds: float) -> None:
        """Read and write nothing for so long, and tell nobody: a half-open connection."""
        if self._transport is not None:
            self._silent = True
            self._transport.pause_reading()
            self._after("silence", seconds, self.recover)

    def throttle(self, bytes_per_s: float, seconds: float) -> None:
        """Write no faster, for so long."""
        self._rate = bytes_per_s
        self._after("throttle", seconds, self.recover)

    def recover(self) -> None:
        """Be neither silent nor slow any more."""
        for name in ("silence", "throttle", "pace"):
            self._stop(name)
        self._silent, self._rate = False, 0.0
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.resume_reading()
        held, self._held = bytes(self._held), bytearray()
        if held:
            self._transport.write(held)
        self._tell()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - Protocol, not BaseProtocol, is given one
        self._transport = transport
        transport.set_write_buffer_limits(high=1, low=0)  # so that it says when the operating system has everything
        transport.write(self._hello)
        self._after("tick", self._tick_s, self._tick)

    def data_received(self, data: bytes) -> None:
        """Take in what the broker sends."""
        self._heard = True
        try:
            ids, others = self._reader.feed(data)
            for packet in others:
                self._take(packet)
        except BrokenStreamError as error:
            self.abort(f"broken stream: {error}")
            return
        if ids:
            self._session.acknowledged(ids)

    def pause_writing(self) -> None:
        """Note that the operating system takes no more."""
        self._full = True

    def resume_writing(self) -> None:
        """Note that it has everything."""
        self._full = False
        self._tell()

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        for name in list(self._timers):
            self._stop(name)
        why = self._why or (str(error) if error else "closed by the broker")
        for future in (self.answered, self.ended):
            if not future.done():
                future.set_result(why)

    # The rest.

    def _take(self, packet: Publish | Control) -> None:
        if isinstance(packet, Publish):
            self._session.received(packet.topic, packet.payload)
            if packet.id:
                self.write(packets.puback(packet.id))
        elif packet.kind == packets.CONNACK and len(packet.body) == 2 and not self.answered.done():  # noqa: PLR2004 - its length
            code = packet.body[1]
            if code:
                self.abort(f"refused: {packets.REFUSALS.get(code, code)}")
            else:
                self.answered.set_result("")
                self._session.accepted(self)
        elif packet.kind == packets.SUBACK:
            refused = sum(code == _REFUSED for code in packet.body[2:])
            if refused:
                self._session.refused(f"{refused} of {len(packet.body) - 2} subscriptions")
        elif packet.kind != packets.PINGRESP:
            raise BrokenStreamError(f"a packet of kind {packet.kind}")

    def _tick(self) -> None:
        self._after("tick", self._tick_s, self._tick)
        if self._silent:
            return
        if not self._heard and self._quiet:
            self.abort("no answer")
            return
        self._quiet = not self._heard
        if not (self._heard and self._wrote):
            self.write(packets.PINGREQ)
        self._heard = self._wrote = False

    def _pace(self) -> None:
        self._stop("pace")
        interval = max(_PACE_S, 1 / self._rate)
        share, self._held = bytes(self._held[: int(self._rate * interval)]), self._held[int(self._rate * interval) :]
        if self._transport is not None and share:
            self._transport.write(share)
        if self._held:
            self._after("pace", interval, self._pace)
        else:
            self._tell()

    def _tell(self) -> None:
        if self.writable:
            self._session.resumed()

    def _after(self, name: str, seconds: float, what: Callable[[], None]) -> None:
        self._stop(name)
        self._timers[name] = self._loop.call_later(seconds, what)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
