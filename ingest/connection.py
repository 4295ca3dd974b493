"""One connection to an MQTT broker, from CONNECT to its end."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ingest import requests
from ingest.answers import Answer, read_answer, read_codes, reason
from ingest.packets import CONNACK, DISCONNECT, PINGRESP, PUBREL, SUBACK, UNSUBACK, Control, Publish, Reader
from ingest.properties import BrokenStreamError

PACKET_BYTES = 16 << 20
"""Longest packet taken in; a longer message is cut. It holds the largest payload that a setting allows, and more."""

ANSWER_S = 5.0
"""How long a broker may take to answer."""

_MOST_UNSENT = 1 << 20  # bytes that wait to be written, before nothing more is sent to devices
_IDENTIFIERS = 65_535


T = TypeVar("T")


class BrokerError(Exception):
    """The broker refused, or did not answer, or said what is no MQTT."""


class Connection(asyncio.Protocol):
    """Speaks MQTT with a broker; `arrived` is called with each message, in order, and must not raise.

    `ended` is done once the connection is, with the reason. What is written after that is dropped.
    """

    def __init__(self, arrived: Callable[[Publish], None], *, five: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived, self._five = arrived, five
        self._reader = Reader(PACKET_BYTES, five=five)
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Answer] = self._loop.create_future()
        self._pending: dict[int, asyncio.Future[bytes]] = {}  # packet identifier -> codes of its SUBACK or UNSUBACK
        self._number = 0
        self._heard = self._pinged = False
        self._pings = self._pongs = 0
        self._asking: tuple[int, int] | None = None  # number and time of the ping that `ask` has sent
        self.answered_at = 0
        """When `ask` was called of which the broker has answered the last; 0 if it has not yet."""
        self._paused = self._congested = False
        self._why = ""
        self.ended: asyncio.Future[str] = self._loop.create_future()

    @property
    def open(self) -> bool:
        """Whether the broker has taken the connection, and it has not ended."""
        return self._transport is not None and self._answered.done() and not self.ended.done()

    async def greet(self, connect: requests.Connect) -> Answer:
        """Begin the session. Raises BrokerError if the broker does not take it."""
        self._write(connect.encode())
        answer = await self._answer(self._answered)
        if answer.refusal:
            raise BrokerError(answer.refusal)
        return answer

    async def subscribe(self, filters: Iterable[str]) -> bytes:
        """Subscribe, and return the broker's code for each filter. Raises BrokerError if it does not answer."""
        number = self._next()
        return await self._request(number, requests.subscribe(number, filters, five=self._five))

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """End subscriptions. Raises BrokerError if the broker does not answer."""
        number = self._next()
        await self._request(number, requests.unsubscribe(number, filters, five=self._five))

    def acknowledge(self, acks: list[bytes]) -> None:
        """Send the packets that acknowledge messages, in one go."""
        self._write(b"".join(acks))

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Publish at QoS 0; false if too much waits to be written. Raises ValueError for what is no topic."""
        packet = requests.publish(topic, payload, five=self._five, retain=retain)
        if self._congested:
            return False
        self._write(packet)
        return True

    def pause(self) -> None:
        """Read nothing more, until `resume`."""
        if not self._paused and not self.ended.done():
            self._paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def ask(self, now: int) -> None:
        """Ask the broker for a sign, at `now`, unless one is under way: it comes behind what is there for us."""
        if self._asking is None and not self._paused:
            self._ping()
            self._asking = self._pings, now

    async def keep_alive(self, seconds: int) -> None:
        """Show that we live, and end the connection if the broker does not: for as long as it lasts."""
        while True:
            await asyncio.sleep(seconds / 2)
            # What it says cannot be heard while nothing is read.
            if self._pinged and not self._heard and not self._paused:
                self.end("no answer to a ping")
                return
            self._heard, self._pinged = False, True
            self._ping()

    async def close(self) -> None:
        """Say goodbye; the broker keeps the session, and publishes no will."""
        if self._transport is None or self.ended.done():
            return
        if self._answered.done():
            self._write(requests.GOODBYE)
        self._why = self._why or "closed"
        self._transport.close()
        done, _ = await asyncio.wait({self.ended}, timeout=ANSWER_S / 2)
        if not done:
            self.end("closed")

    def end(self, why: str) -> None:
        """End the connection at once; what was not written is lost."""
        self._why = self._why or why
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's protocol gets a stream
        self._transport = transport
        transport.set_write_buffer_limits(_MOST_UNSENT)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._heard = True
        try:
            for packet in self._reader.feed(data):
                if type(packet) is Publish:
                    self._arrived(packet)
                elif type(packet) is Control:
                    self._hear(packet)
        except BrokenStreamError as error:
            self.end(f"the broker sent {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if not self.ended.done():
            self.ended.set_result(self._why or (str(exc) if exc else "closed by the broker"))

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._congested = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._congested = False

    def _hear(self, packet: Control) -> None:
        body = packet.body
        if packet.kind == CONNACK:
            if not self._answered.done():
                self._answered.set_result(read_answer(body, five=self._five))
        elif packet.kind in (SUBACK, UNSUBACK):
            number, codes = read_codes(body, five=self._five)
            waiting = self._pending.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(codes)
        elif packet.kind == PUBREL:
            self._write(b"\x70\x02" + body[:2])
        elif packet.kind == DISCONNECT:
            self._why = reason(body[0]) if body else "closed by the broker"
        elif packet.kind == PINGRESP:
            self._pongs += 1
            if self._asking is not None and self._pongs >= self._asking[0]:
                self.answered_at, self._asking = self._asking[1], None
        else:
            raise BrokenStreamError(f"a packet of kind {packet.kind}")

    def _ping(self) -> None:
        self._pings += 1
        self._write(requests.PINGREQ)

    def _next(self) -> int:
        self._number = self._number % _IDENTIFIERS + 1
        return self._number

    async def _request(self, number: int, packet: bytes) -> bytes:
        waiting: asyncio.Future[bytes] = self._loop.create_future()
        self._pending[number] = waiting
        try:
            self._write(packet)
            return await self._answer(waiting)
        finally:
            del self._pending[number]

    async def _answer(self, waiting: asyncio.Future[T]) -> T:
        """Wait for an answer, and not for ever. Raises BrokerError if none comes."""
        both: set[asyncio.Future[Any]] = {waiting, self.ended}
        await asyncio.wait(both, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise BrokerError(self.ended.result() if self.ended.done() else f"no answer within {ANSWER_S:.0f} s")

    def _write(self, data: bytes) -> None:
        if self._transport is not None and data and not self._transport.is_closing():
            self._transport.write(data)


async def connect(
    host: str, port: int, arrived: Callable[[Publish], None], *, five: bool, tls: ssl.SSLContext | None
) -> Connection:
    """Open a connection. Raises OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(ANSWER_S):
        _, connection = await loop.create_connection(lambda: Connection(arrived, five=five), host, port, ssl=tls)
    return connection
