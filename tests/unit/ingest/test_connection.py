import asyncio

import pytest

from ingest.connection import BrokerError, Connection
from ingest.packets import Publish
from ingest.requests import Connect

GREETING = Connect("ingest", five=False, keep_alive_s=30)
MESSAGE = b"\x32\x06\x00\x01a\x00\x07x"


class Wire(asyncio.Transport):
    """What lies between a connection and its broker; `sent` has what was written."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection
        self.sent: list[bytes] = []
        self.asked: list[str] = []  # of reading
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._connection.connection_lost(None)

    abort = close


class Taken:
    """A connection with its wire, and the messages that came."""

    def __init__(self, *, five: bool = False) -> None:
        self.messages: list[Publish] = []
        self.connection = Connection(self.messages.append, five=five)
        self.wire = Wire(self.connection)
        self.connection.connection_made(self.wire)

    async def greeted(self) -> "Taken":
        greeting = asyncio.create_task(self.connection.greet(GREETING))
        await asyncio.sleep(0)
        self.connection.data_received(b"\x20\x02\x01\x00")
        assert (await greeting).session_present
        self.wire.sent.clear()
        return self


async def test_a_broker_that_answers_no_ping_is_left_and_one_that_does_is_not() -> None:
    taken = await Taken().greeted()
    keeping = asyncio.create_task(taken.connection.keep_alive(0))
    for turn in range(1, 4):
        while len(taken.wire.sent) < turn:
            await asyncio.sleep(0)
        taken.connection.data_received(b"\xd0\x00")
    assert await taken.connection.ended == "no answer to a ping"
    assert set(taken.wire.sent) == {b"\xc0\x00"}
    await keeping


async def test_silence_is_no_sign_while_nothing_is_read() -> None:
    taken = await Taken().greeted()
    taken.connection.pause()
    assert taken.wire.asked == ["pause"]
    keeping = asyncio.create_task(taken.connection.keep_alive(0))
    while len(taken.wire.sent) < 10:
        await asyncio.sleep(0)
    assert not taken.connection.ended.done()
    taken.connection.resume()
    assert taken.wire.asked == ["pause", "resume"]
    assert await taken.connection.ended == "no answer to a ping"
    await keeping


async def test_a_refusal_says_why() -> None:
    taken = Taken()
    greeting = asyncio.create_task(taken.connection.greet(GREETING))
    await asyncio.sleep(0)
    taken.connection.data_received(b"\x20\x02\x00\x04")
    with pytest.raises(BrokerError, match="bad user name or password"):
        await greeting


async def test_the_reason_why_a_broker_ends_a_connection_is_told() -> None:
    taken = Taken(five=True)
    taken.connection.data_received(b"\xe0\x02\x8e\x00")
    taken.wire.close()
    assert "is the client id used twice?" in taken.connection.ended.result()


async def test_bytes_that_are_no_mqtt_end_the_connection_after_what_was_good() -> None:
    taken = await Taken().greeted()
    taken.connection.data_received(MESSAGE)
    taken.connection.data_received(b"\x30\x01\x00")
    assert [message.payload for message in taken.messages] == [b"x"]
    assert taken.connection.ended.result().startswith("the broker sent a message that ends")
    taken.connection.acknowledge([taken.messages[0].ack])
    assert taken.wire.sent == [], "nothing is written any more"


async def test_the_second_half_of_qos_2_is_answered() -> None:
    taken = await Taken().greeted()
    taken.connection.data_received(b"\x62\x02\x00\x09")
    assert taken.wire.sent == [b"\x70\x02\x00\x09"]


async def test_requests_are_answered_by_their_number_and_end_with_the_connection() -> None:
    taken = await Taken().greeted()
    one = asyncio.create_task(taken.connection.subscribe(["a", "b"]))
    other = asyncio.create_task(taken.connection.subscribe(["c"]))
    await asyncio.sleep(0)
    taken.connection.data_received(b"\x90\x03\x00\x02\x01" + b"\x90\x04\x00\x01\x01\x80")
    assert await one == b"\x01\x80"
    assert await other == b"\x01"
    third = asyncio.create_task(taken.connection.unsubscribe(["a"]))
    await asyncio.sleep(0)
    taken.wire.close()
    with pytest.raises(BrokerError, match="closed by the broker"):
        await third


async def test_acknowledgements_are_one_write_and_sending_stops_where_too_much_waits() -> None:
    taken = await Taken().greeted()
    taken.connection.acknowledge([b"\x40\x02\x00\x01", b"\x40\x02\x00\x02"])
    assert taken.connection.send("a", b"x")
    taken.connection.pause_writing()
    assert not taken.connection.send("a", b"x")
    taken.connection.resume_writing()
    assert taken.wire.sent == [b"\x40\x02\x00\x01\x40\x02\x00\x02", b"\x30\x04\x00\x01ax"]


async def test_a_sign_is_the_answer_to_what_was_asked_and_not_to_a_ping_before_it() -> None:
    taken = await Taken().greeted()
    keeping = asyncio.create_task(taken.connection.keep_alive(0))
    while not taken.wire.sent:
        await asyncio.sleep(0)
    taken.connection.ask(100)
    taken.connection.ask(200)  # one is under way
    asked = len(taken.wire.sent)
    for _ in range(asked - 1):
        taken.connection.data_received(b"\xd0\x00")
    assert taken.connection.answered_at == 0
    taken.connection.data_received(b"\xd0\x00")
    assert taken.connection.answered_at == 100
    taken.connection.pause()
    taken.connection.ask(300)
    assert len(taken.wire.sent) == asked, "while nothing is read no sign can come"
    keeping.cancel()
