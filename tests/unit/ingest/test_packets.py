import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.answers import Answer, read_answer, read_codes
from ingest.packets import CONNACK, Control, Publish, Reader
from ingest.properties import BrokenStreamError
from ingest.requests import Connect, Will, publish, subscribe, unsubscribe

MOST = 1 << 20


def length(size: int) -> bytes:
    out = bytearray()
    while size >= 128:
        out.append(size % 128 + 128)
        size //= 128
    return bytes([*out, size])


def text(value: str) -> bytes:
    return struct.pack("!H", len(value.encode())) + value.encode()


def message(topic: bytes, payload: bytes, number: int = 7, head: int = 0x32, properties: bytes | None = None) -> bytes:
    body = struct.pack("!H", len(topic)) + topic
    if head & 0x06:
        body += struct.pack("!H", number)
    if properties is not None:
        body += length(len(properties)) + properties
    body += payload
    return bytes([head]) + length(len(body)) + body


def read(data: bytes, *, five: bool = False, most: int = MOST) -> list[Publish | Control]:
    return Reader(most, five=five).feed(data)


@given(
    messages=st.lists(st.tuples(st.text(max_size=40), st.binary(max_size=400), st.integers(1, 65_535)), max_size=12),
    piece=st.integers(1, 300),
    five=st.booleans(),
)
def test_however_the_bytes_come_the_messages_are_the_same(
    *, messages: list[tuple[str, bytes, int]], piece: int, five: bool
) -> None:
    data = b"".join(
        message(topic.encode(), payload, number, properties=b"" if five else None)
        for topic, payload, number in messages
    )
    data += b"\xd0\x00"
    reader = Reader(MOST, five=five)
    found = [packet for at in range(0, len(data), piece) for packet in reader.feed(data[at : at + piece])]
    assert found[:-1] == [
        Publish(topic, payload, b"\x40\x02" + struct.pack("!H", number), dup=False, retain=False)
        for topic, payload, number in messages
    ]
    assert found[-1] == Control(13, b"")


@given(pieces=st.lists(st.binary(max_size=60), max_size=20), five=st.booleans())
def test_bytes_that_are_no_mqtt_are_an_error_or_wait_for_more(*, pieces: list[bytes], five: bool) -> None:
    reader = Reader(64, five=five)
    try:
        for piece in pieces:
            reader.feed(piece)
    except BrokenStreamError:
        pass


def test_the_flags_and_each_quality_of_service_are_told_apart() -> None:
    [packet] = read(message(b"a", b"x", head=0x30))
    assert packet == Publish("a", b"x", b"", dup=False, retain=False)
    [packet] = read(message(b"a", b"x", 258, head=0x3B))
    assert packet == Publish("a", b"x", b"\x40\x02\x01\x02", dup=True, retain=True)
    [packet] = read(message(b"a", b"x", 258, head=0x34))
    assert packet == Publish("a", b"x", b"\x50\x02\x01\x02", dup=False, retain=False)


def test_properties_of_a_message_are_kept_by_name_and_bounded() -> None:
    user = b"\x26" + text("zone") + text("Europe/Vienna")
    more = b"".join(b"\x26" + text(f"n{number}") + text("v" * 3000) for number in range(100))
    properties = b"\x01\x01" + b"\x02\x00\x00\x00\x3c" + b"\x03" + text("application/json") + user + b"\x0b\x81\x02"
    [packet] = read(message(b"a", b"x", properties=properties), five=True)
    assert isinstance(packet, Publish)
    assert packet.properties == {"content-type": "application/json", "zone": "Europe/Vienna"}
    assert packet.payload == b"x"
    [packet] = read(message(b"a", b"x", properties=more), five=True)
    assert isinstance(packet, Publish)
    assert packet.properties is not None
    assert len(packet.properties) == 32
    assert max(map(len, packet.properties.values())) == 1024
    assert packet.payload == b"x"


def test_properties_that_are_broken_do_not_cost_the_message() -> None:
    for properties in (b"\xff\x01", b"\x03\x00\xffab", b"\x26\x00\x01a", b"\x0b\xff\xff\xff\xff\x01", b"\x02\x00"):
        [packet] = read(message(b"a", b"x", properties=properties), five=True)
        assert isinstance(packet, Publish)
        assert (packet.topic, packet.payload, packet.properties) == ("a", b"x", None)


def test_a_message_that_is_too_long_is_cut_and_its_neighbours_are_not() -> None:
    data = message(b"a", b"1") + message(b"b", b"2" * 1000, 8) + message(b"c", b"3", 9)
    for piece in (1, 7, 99, 2000):
        reader = Reader(100, five=False)
        found = [packet for at in range(0, len(data), piece) for packet in reader.feed(data[at : at + piece])]
        assert [packet.topic for packet in found if isinstance(packet, Publish)] == ["a", "b", "c"]
        assert isinstance(found[1], Publish)
        assert found[1].payload == b"2" * 95
        assert isinstance(found[2], Publish)
        assert found[2].ack == b"\x40\x02\x00\x09"


def test_a_topic_that_is_no_utf_8_is_shown_so_that_the_message_can_be_kept() -> None:
    [packet] = read(message(b"a/\xff", b"x"))
    assert isinstance(packet, Publish)
    assert packet.topic == "a/\\xff"


@pytest.mark.parametrize("data", [b"\x30\x01\x00", b"\x32\x03\x00\x01a", b"\x30\xff\xff\xff\xff\x01", b"\x20\xff\x7f"])
def test_what_is_no_mqtt_is_an_error(data: bytes) -> None:
    with pytest.raises(BrokenStreamError):
        read(data, most=100)


def test_the_answer_to_a_connection_is_read() -> None:
    assert read_answer(b"\x01\x00", five=False) == Answer(session_present=True, refusal="")
    assert read_answer(b"\x00\x05", five=False).refusal == "not authorised"
    properties = b"\x13\x00\x0a\x2a\x00\x1f" + text("closed on Sundays")
    answer = read_answer(b"\x00\x89" + length(len(properties)) + properties, five=True)
    assert answer == Answer(
        session_present=False, refusal="it is busy (closed on Sundays)", keep_alive_s=10, shared=False
    )
    with pytest.raises(BrokenStreamError):
        read_answer(b"\x00", five=True)
    assert read(b"\x20\x02\x00\x00") == [Control(CONNACK, b"\x00\x00")]


def test_the_codes_of_a_subscription_are_read() -> None:
    assert read_codes(b"\x00\x05\x01\x80", five=False) == (5, b"\x01\x80")
    assert read_codes(b"\x00\x05\x04\x1f\x00\x01a\x01\x87", five=True) == (5, b"\x01\x87")
    assert read_codes(b"\x00\x05", five=False) == (5, b"")


def test_a_connection_says_who_asks_and_what_is_to_be_said_when_it_is_lost() -> None:
    will = Will("ingest/a/status", b"offline")
    plain = Connect("a", five=False, keep_alive_s=30)
    assert plain.encode() == b"\x10\x0d" + text("MQTT") + b"\x04\x00\x00\x1e" + text("a")
    full = Connect(
        "a", five=True, keep_alive_s=30, username="u", password="p", will=will, expiry_s=60, receive_maximum=9
    )
    assert full.encode()[2:] == (
        text("MQTT") + b"\x05\xec\x00\x1e" + b"\x08\x11\x00\x00\x00\x3c\x21\x00\x09" + text("a")
        + b"\x00" + text("ingest/a/status") + text("offline") + text("u") + text("p")
    )  # fmt: skip


def test_requests_are_written_for_either_version() -> None:
    assert subscribe(5, ["a/+"], five=False) == b"\x82\x08\x00\x05" + text("a/+") + b"\x01"
    assert subscribe(5, ["a/+"], five=True) == b"\x82\x09\x00\x05\x00" + text("a/+") + b"\x11"
    assert unsubscribe(6, ["a", "b"], five=False) == b"\xa2\x08\x00\x06" + text("a") + text("b")
    assert publish("a", b"x" * 200, five=False, retain=True) == b"\x31\xcb\x01" + text("a") + b"x" * 200
    for topic in ("", "a/+", "#", "a\0", "a" * 65_536):
        with pytest.raises(ValueError, match="no topic"):
            publish(topic, b"", five=True)


def test_of_very_many_properties_of_one_name_few_are_read() -> None:
    user = b"\x26" + text("zone") + text("Europe/Vienna")
    hidden = b"\x26" + text("hidden") + text("x")
    [packet] = read(message(b"a", b"x", properties=user * 20_000 + hidden), five=True)
    assert isinstance(packet, Publish)
    assert (packet.payload, packet.properties) == (b"x", {"zone": "Europe/Vienna"})
