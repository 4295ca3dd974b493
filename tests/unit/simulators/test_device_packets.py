"""What devices write in MQTT 3.1.1, and what they make of what a broker sends, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.connections import packets
from simulators.connections.packets import BrokenStreamError, Control, Publish, Reader
from simulators.connections.parties import Login
from simulators.formats.wire import Will
from simulators.plan.batch import DUP, RETAIN

MOST = 1000

ids = st.integers(1, 65_535)
bodies = st.binary(max_size=300)


def message(topic: str, payload: bytes, id_: int) -> bytes:
    head = 0x32 if id_ else 0x30
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (id_.to_bytes(2, "big") if id_ else b"") + payload
    size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 128, len(body) // 128])
    return bytes([head]) + size + body


pubacks = ids.map(lambda id_: (packets.puback(id_), id_))
messages = st.builds(
    lambda topic, payload, id_: (message(topic, payload, id_), Publish(topic, payload, id_)),
    st.text(st.characters(codec="utf-8"), max_size=40),
    bodies,
    st.integers(0, 65_535),
)
controls = st.builds(
    lambda kind, body: (bytes([kind << 4, len(body)]) + body, Control(kind, body)),
    st.sampled_from([packets.CONNACK, packets.SUBACK, packets.PINGRESP]),
    st.binary(max_size=100),
)


@given(st.lists(st.one_of(pubacks, messages, controls), max_size=30), st.data())
def test_packets_are_read_wherever_the_stream_is_cut(
    given_packets: list[tuple[bytes, int | Publish | Control]], data: st.DataObject
) -> None:
    stream = b"".join(wire for wire, _ in given_packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, acked, others = Reader(MOST), list[int](), list[Publish | Control]()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found = reader.feed(stream[start:end])
        acked += found[0]
        others += found[1]
    assert acked == [what for _, what in given_packets if isinstance(what, int)]
    assert others == [what for _, what in given_packets if not isinstance(what, int)]


@pytest.mark.parametrize(
    "stream",
    [
        b"\x30\xff\xff\x7f",  # a message that is too long
        b"\x20\x80\x80\x80\x80\x01",  # a length of five bytes
        b"\x36\x05\x00\x01a\x00\x01",  # QoS 3
        b"\x32\x03\x00\x05a",  # the end comes within the topic
    ],
)
def test_what_is_not_mqtt_is_refused(stream: bytes) -> None:
    with pytest.raises(BrokenStreamError):
        Reader(MOST).feed(stream)


def test_a_connect_holds_the_will_and_the_credentials() -> None:
    bare = packets.connect("pump-1", 30, None, None)
    assert bare == b"\x10\x12\x00\x04MQTT\x04\x00\x00\x1e\x00\x06pump-1"
    full = packets.connect("p", 30, Login("u", "s"), Will(b"t", b"off"))
    assert full == b"\x10\x1b\x00\x04MQTT\x04\xec\x00\x1e\x00\x01p\x00\x01t\x00\x03off\x00\x01u\x00\x01s"
    assert packets.connect("p", 30, None, Will(b"t", b"off", retain=False))[9] == 0x0C


def test_messages_are_written_one_after_the_other() -> None:
    written = packets.publishes([1, 300], [(7, b"a/b", b"one", 0), (8, b"c", b"x" * 200, RETAIN)])
    assert written == b"\x32\x0a\x00\x03a/b\x00\x01one" + b"\x33\xcd\x01\x00\x01c\x01\x2c" + b"x" * 200
    assert packets.publishes([1], [(7, b"a", b"", 0)], DUP)[0] == 0x3A
    assert packets.publishes([1], [(7, b"a", b"x" * 5000, 0)])[:3] == b"\x32\x8d\x27"


def test_a_subscription_asks_for_qos_1() -> None:
    assert packets.subscribe(9, ["a/#", "b"]) == b"\x82\x0c\x00\x09\x00\x03a/#\x01\x00\x01b\x01"


def test_a_password_shows_in_no_representation() -> None:
    assert "secret" not in repr(Login("u", "secret"))
