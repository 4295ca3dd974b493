"""Load for the benchmarks: publishes at QoS 1 for some seconds, or so many messages, in a process of its own.

A client library costs several times what the pipeline spends on a message, and would be what is measured. So this
writes PUBLISH packets itself, many at a time, and counts the PUBACKs; nothing else of MQTT is needed here. Prints one
JSON object: how many messages the broker acknowledged, and the seconds it took.
"""

import argparse
import asyncio
import json
import struct
import time
from functools import partial

DEVICES = 1000
WINDOW = 1000
CHUNK = 50
"""Packets written at a time."""

CONNACK, PUBACK = b"\x20\x02\x00\x00", b"\x40\x02"
_ANSWER_BYTES = 4
_PACKET_IDS = 65_535


class Publisher(asyncio.Protocol):
    """One connection that publishes messages of its share of the devices, `rate` a second, or flat out where it is 0.

    A thousand messages at most are unacknowledged. `done` is set once the time is over, or `most` have been sent where
    that is not 0, and all are acknowledged.
    """

    def __init__(self, number: int, publishers: int, seconds: float, rate: float, most: int) -> None:
        self._topics = [
            struct.pack("!H", 28) + f"devices/bench-{device:04}/telemetry".encode()
            for device in range(number, DEVICES, publishers)
        ]
        self._client_id = f"bench-{number}".encode()
        self._began, self._seconds, self._rate, self._most = time.monotonic(), seconds, rate, most
        self._sent = self.acknowledged = 0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack("!H", len(self._client_id)) + self._client_id
        transport.write(b"\x10" + bytes([len(body)]) + body)

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        whole = len(data) - len(data) % _ANSWER_BYTES
        self._buffer = data[whole:]
        if data.startswith(CONNACK):
            whole -= _ANSWER_BYTES
        elif not data.startswith(PUBACK):
            self.done.set_exception(ConnectionError(f"the broker answered {data[:16]!r}"))
            return
        self.acknowledged += whole // _ANSWER_BYTES
        self.publish()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the broker closed the connection"))

    def publish(self) -> None:
        """Fill the window, as far as the rate allows."""
        elapsed = time.monotonic() - self._began
        if (self._sent >= self._most) if self._most else (elapsed >= self._seconds):
            if self.acknowledged == self._sent and not self.done.done():
                self.done.set_result(None)
            return
        room = WINDOW - (self._sent - self.acknowledged)
        if self._rate:
            room = min(room, int(elapsed * self._rate) - self._sent)
        if self._most and self._most - self._sent < CHUNK <= room:
            self._write(self._most - self._sent)
            return
        while room >= CHUNK and (not self._most or self._most - self._sent >= CHUNK):
            self._write(CHUNK)
            room -= CHUNK

    def _write(self, count: int) -> None:
        assert self._transport is not None
        packets: list[bytes] = []
        for turn in range(self._sent, self._sent + count):
            topic = self._topics[turn % len(self._topics)]
            ts = time.time_ns()  # noqa: TID251 - a device stamps what it sends
            values = b'"temperature":%d.25,"humidity":40.5,"pressure":%d.125' % (turn % 40, 980 + turn % 20)
            payload = b'{"ts":%d,"values":{%b}}' % (ts, values)
            length = len(topic) + 2 + len(payload)
            header = struct.pack(
                "!BBB", 0x32, length & 0x7F | 0x80, length >> 7
            )  # 128 bytes and more: two for the length
            packets += (header, topic, struct.pack("!H", turn % _PACKET_IDS + 1), payload)
        self._transport.write(b"".join(packets))
        self._sent += count


def _same(publisher: Publisher) -> Publisher:
    return publisher


async def main() -> None:
    """Read the arguments, publish, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--publishers", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.0, help="messages/s of all publishers; 0: flat out")
    parser.add_argument(
        "--messages", type=int, default=0, help="of all publishers, whatever the time; 0: no end but it"
    )
    given = parser.parse_args()
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    publishers = [
        Publisher(
            number,
            given.publishers,
            given.seconds,
            given.rate / given.publishers,
            given.messages // given.publishers + (number < given.messages % given.publishers),
        )
        for number in range(given.publishers)
    ]
    for publisher in publishers:
        await loop.create_connection(partial(_same, publisher), given.host, given.port)
    pending = {publisher.done for publisher in publishers}
    while pending:
        _, pending = await asyncio.wait(pending, timeout=0.005)
        for publisher in publishers:
            publisher.publish()
    for publisher in publishers:
        publisher.done.result()
    print(json.dumps({"acknowledged": sum(p.acknowledged for p in publishers), "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    asyncio.run(main())
