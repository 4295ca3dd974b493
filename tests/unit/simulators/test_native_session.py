"""A device's session over connections that come and go: order, packet ids, what is sent again, what is told when."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random

import pytest

from contracts import logs
from simulators.connections.native import Connection
from simulators.connections.outlet import AS_IS, Line, Outgoing, Outlet
from simulators.connections.parties import Login, Options
from tests.unit.simulators.memory_broker import MemoryBroker


class Ear:
    """Notes what it is told. `opening` is sent on each connection."""

    def __init__(self) -> None:
        self.connections, self.losses = 0, list[str]()
        self.told = list[tuple[str, int]]()
        self.heard = list[tuple[str, bytes]]()
        self.opening: Sequence[Outgoing] = ()

    def connected(self, outlet: Outlet) -> None:
        self.connections += 1
        outlet.send(self.opening)

    def lost(self, outlet: Outlet, reason: str) -> None:
        assert not outlet.up
        self.losses.append(reason)

    def sent(self, numbers: Sequence[int], at: int) -> None:
        assert at
        self.told += [("sent", number) for number in numbers]

    def acked(self, numbers: Sequence[int], at: int) -> None:
        assert at
        self.told += [("acked", number) for number in numbers]

    def received(self, outlet: Outlet, topic: str, payload: bytes) -> None:
        assert outlet.up
        self.heard.append((topic, payload))

    def numbers(self, what: str) -> list[int]:
        return [number for kind, number in self.told if kind == what]


def messages(*numbers: int) -> list[Outgoing]:
    return [(number, b"devices/pump-1/telemetry", b"%d" % number, 0) for number in numbers]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def ear() -> Ear:
    return Ear()


def connection(
    broker: MemoryBroker,
    ear: Ear,
    *,
    window: int = 1000,
    login: Login | None = None,
    subscriptions: Sequence[str] = (),
    stamp: Callable[[bytes, bytes], bytes] | None = None,
) -> Connection:
    return Connection(
        Line("pump-1", [], subscriptions=subscriptions, stamp=stamp),
        ear,
        login,
        Options(window=window),
        dial=broker.dial,
        gate=asyncio.Semaphore(1),
        now=itertools.count(1).__next__,
        rng=Random(1),
        log=logs.quiet(),
    )


@pytest.fixture
async def outlet(broker: MemoryBroker, ear: Ear) -> AsyncIterator[Connection]:
    outlet = connection(broker, ear, window=3)
    outlet.start()
    await until(lambda: outlet.up)
    yield outlet
    await outlet.stop(0)


async def test_what_is_given_before_there_is_a_connection_goes_out_in_order(broker: MemoryBroker, ear: Ear) -> None:
    broker.up = False
    outlet = connection(broker, ear)
    outlet.send(messages(1, 2))
    outlet.start()
    await until(lambda: outlet.trouble == "nobody listens")
    outlet.send(messages(3))
    assert (outlet.up, outlet.unacked) == (False, 3)
    broker.up = True
    await until(lambda: outlet.up)
    assert broker.payloads() == [b"1", b"2", b"3"]
    assert ear.numbers("sent") == [1, 2, 3]
    await outlet.stop(0)
    assert broker.packets[-1] == 14


async def test_no_more_than_a_window_is_unacknowledged(outlet: Connection, broker: MemoryBroker, ear: Ear) -> None:
    outlet.send(messages(1, 2, 3, 4, 5))
    assert broker.payloads() == [b"1", b"2", b"3"]
    broker.acknowledge(2, 1)
    assert broker.payloads() == [b"1", b"2", b"3", b"4", b"5"]
    assert ear.numbers("acked") == [2, 1]
    assert outlet.unacked == 3


async def test_after_a_reconnection_the_old_comes_again_then_the_opening_then_the_new(
    outlet: Connection, broker: MemoryBroker, ear: Ear
) -> None:
    outlet.send(messages(1, 2, 3, 4))
    broker.acknowledge(2)
    ids = {sent.payload: sent.id for sent in broker.sent}
    broker.sent.clear()
    ear.opening = messages(100)
    outlet.send(messages(5))
    broker.lose()
    await until(lambda: ear.connections == 2)
    assert [(sent.payload, sent.id, sent.dup) for sent in broker.sent] == [
        (b"1", ids[b"1"], True),
        (b"3", ids[b"3"], True),
        (b"4", ids[b"4"], True),
    ]
    broker.acknowledge(*(sent.id for sent in broker.sent))
    assert broker.payloads()[3:] == [b"100", b"5"]
    assert not any(sent.dup for sent in broker.sent[3:])
    assert ear.numbers("sent") == [1, 2, 3, 4, 100, 5]


async def test_where_messages_are_stamped_the_opening_comes_first_and_the_old_are_stamped_anew(
    broker: MemoryBroker, ear: Ear
) -> None:
    stamps = itertools.count()
    outlet = connection(broker, ear, window=3, stamp=lambda _, payload: b"%b/%d" % (payload, next(stamps)))
    outlet.start()
    await until(lambda: outlet.up)
    outlet.send([*messages(1, 2), (3, b"t", b"3", AS_IS), *messages(4)])
    assert broker.payloads() == [b"1/0", b"2/1", b"3"]
    broker.acknowledge(1)
    broker.sent.clear()
    ear.opening = messages(9)
    broker.lose()
    await until(lambda: ear.connections == 2)
    assert broker.payloads() == [b"9/3", b"2/4", b"3", b"4/5"]
    assert not any(sent.dup for sent in broker.sent)
    broker.acknowledge(*(sent.id for sent in broker.sent))
    assert ear.numbers("sent") == [1, 2, 3, 4, 9]
    assert outlet.unacked == 0
    await outlet.stop(0)


async def test_an_opening_that_never_left_stays_before_a_later_one(
    outlet: Connection, broker: MemoryBroker, ear: Ear
) -> None:
    outlet.send(messages(1, 2, 3, 4))
    for number in (100, 200):
        ear.opening = messages(number)
        broker.lose()
        await until(lambda: outlet.up and ear.opening == messages(ear.connections * 100 - 100))
    broker.sent.clear()
    broker.acknowledge(1, 2, 3)
    assert broker.payloads() == [b"100", b"200", b"4"]


async def test_what_the_operating_system_has_not_taken_is_not_called_sent(
    outlet: Connection, broker: MemoryBroker, ear: Ear
) -> None:
    broker.full = True
    outlet.send(messages(1))
    outlet.send(messages(2))
    assert (ear.told, outlet.unacked) == ([], 2)
    broker.empty()
    assert ear.numbers("sent") == [1, 2]
    assert broker.payloads() == [b"1", b"2"]


async def test_what_was_not_called_sent_is_called_so_when_it_is_sent_again(
    outlet: Connection, broker: MemoryBroker, ear: Ear
) -> None:
    broker.full = True
    outlet.send(messages(1))
    broker.lose()
    broker.full = False
    await until(lambda: ear.connections == 2)
    assert [(sent.payload, sent.dup) for sent in broker.sent] == [(b"1", True)]
    assert ear.numbers("sent") == [1]


async def test_nothing_is_called_acknowledged_before_it_is_called_sent(
    outlet: Connection, broker: MemoryBroker, ear: Ear
) -> None:
    broker.full = True
    outlet.send(messages(1))
    broker.acknowledge(1)
    broker.empty()
    assert ear.told == [("sent", 1), ("acked", 1)]


async def test_a_packet_id_is_taken_again_only_after_its_acknowledgement(broker: MemoryBroker, ear: Ear) -> None:
    outlet = connection(broker, ear, window=40_000)
    outlet.start()
    await until(lambda: outlet.up)
    outlet.send(messages(*range(40_000)))
    broker.acknowledge(*(id_ for id_ in range(1, 40_001) if id_ != 10))
    outlet.send(messages(*range(40_000, 79_999)))
    ids = [sent.id for sent in broker.sent[40_000:]]
    assert len(set(ids)) == len(ids) == 39_999
    assert 10 not in ids
    assert max(ids) <= 65_000
    await outlet.stop(0)


async def test_acknowledgements_that_nobody_waits_for_change_nothing(
    outlet: Connection, broker: MemoryBroker, ear: Ear
) -> None:
    broker.acknowledge(7, 8)
    outlet.send(messages(1))
    broker.acknowledge(1, 1)
    assert (ear.numbers("acked"), outlet.unacked) == ([1], 0)


async def test_stopping_waits_for_acknowledgements_and_says_goodbye(broker: MemoryBroker, ear: Ear) -> None:
    outlet = connection(broker, ear)
    outlet.start()
    await until(lambda: outlet.up)
    outlet.send(messages(1))
    stopping = asyncio.create_task(outlet.stop(5))
    await asyncio.sleep(0)
    assert not stopping.done()
    broker.acknowledge(1)
    await stopping
    assert broker.packets == [1, 3, 14]
    assert ear.losses == ["left"]


async def test_a_refusal_is_named_and_tried_again(broker: MemoryBroker, ear: Ear) -> None:
    broker.code = 5
    outlet = connection(broker, ear)
    outlet.start()
    await until(lambda: outlet.trouble == "refused: not authorized")
    assert not ear.connections
    assert not ear.losses
    broker.code = 0
    await until(lambda: outlet.up)
    await outlet.stop(0)


async def test_messages_of_subscriptions_are_acknowledged(broker: MemoryBroker, ear: Ear) -> None:
    outlet = connection(broker, ear, subscriptions=["devices/pump-1/commands"])
    outlet.start()
    await until(lambda: outlet.up)
    assert broker.subscribed[0][2:] == b"\x00\x17devices/pump-1/commands\x01"
    broker.say(b"\x32\x06\x00\x01c\x00\x09x")
    assert ear.heard == [("c", b"x")]
    assert broker.packets[-1] == 4
    await outlet.stop(0)


async def test_a_broken_stream_ends_the_connection_and_another_follows(
    outlet: Connection, broker: MemoryBroker, ear: Ear
) -> None:
    broker.say(b"\x36\x05\x00\x01a\x00\x01")
    await until(lambda: ear.connections == 2)
    assert ear.losses[0].startswith("broken stream")
    assert outlet.up


async def test_a_silent_connection_seems_to_be_up_and_what_is_given_waits(
    outlet: Connection, broker: MemoryBroker, ear: Ear
) -> None:
    outlet.act("silent", 3600, 0)
    outlet.send(messages(1))
    assert (outlet.up, broker.sent, ear.told) == (True, [], [])
    outlet.act("silent", 0, 0)
    await until(lambda: broker.payloads() == [b"1"])
    assert ear.numbers("sent") == [1]


async def test_a_slow_connection_writes_a_few_bytes_at_a_time(
    outlet: Connection, broker: MemoryBroker, ear: Ear
) -> None:
    outlet.act("slow", 3600, 2000)
    began = asyncio.get_running_loop().time()
    outlet.send(messages(1, 2))
    assert broker.sent == []
    await until(lambda: len(ear.numbers("sent")) == 2)
    assert broker.payloads() == [b"1", b"2"]
    assert asyncio.get_running_loop().time() - began >= 0.02


async def test_a_device_that_is_away_says_goodbye_and_comes_back(
    outlet: Connection, broker: MemoryBroker, ear: Ear
) -> None:
    outlet.act("away", 0.05, 0)
    await until(lambda: not outlet.up)
    assert broker.packets[-1] == 14
    outlet.send(messages(1))
    assert not outlet.up
    await until(lambda: broker.payloads() == [b"1"])
    assert ear.losses == ["left"]


async def test_wrong_credentials_are_shown_until_they_are_right_again(broker: MemoryBroker, ear: Ear) -> None:
    broker.password = b"right"
    outlet = connection(broker, ear, login=Login("pump", "right"))
    outlet.start()
    await until(lambda: outlet.up)
    outlet.act("wrong_credentials", 0.3, 0)
    await until(lambda: outlet.trouble == "refused: bad user name or password")
    assert broker.hellos[-1].endswith(b"\x00\x04pump\x00\x05wrong")
    await until(lambda: outlet.up)
    assert ear.connections == 2
    await outlet.stop(0)
