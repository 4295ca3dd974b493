"""The sender, over outlets in memory, with a clock that moves when it rests."""

import asyncio

import pytest

from simulators.connections.outlet import AS_IS
from simulators.faults.injector import Act, Draft
from simulators.formats.json import Json
from simulators.formats.wire import Encoded
from simulators.metrics import Metrics
from simulators.plan.batch import Batch, Expect
from simulators.plan.load import SECOND, Load, Phase
from simulators.plan.plan import Part, Plan
from simulators.running import sender
from simulators.running.sender import Sender
from tests.unit.simulators.fleet_of_fakes import Clock, Kept, Numbers, Wire, devices


class Late:
    """Delays each device's second message by a second, and lets it flap and lose its connection once."""

    def before(self, draft: Draft) -> None:
        """Change nothing."""

    def after(self, draft: Draft, encoded: Encoded, batch: Batch) -> None:
        del encoded
        for row, turn in enumerate(draft.turns):
            if turn == 1:
                batch.intended[row] += SECOND

    def acts(self, began: int, start: int, end: int) -> list[Act]:
        if start <= began + 50_000_000 < end:
            return [Act(start, 0, "flap", 0.2), Act(start + 1, 1, "drop")]
        return []


class Spoilt(Late):
    """Has every third reading rejected."""

    def after(self, draft: Draft, encoded: Encoded, batch: Batch) -> None:
        del draft, encoded
        batch.expects[::3] = [Expect.REJECTED] * len(batch.expects[::3])

    def acts(self, began: int, start: int, end: int) -> list[Act]:
        del began, start, end
        return []


class Stamped(Json):
    """A format whose outlets stamp what they write."""

    session = True


class World:
    def __init__(self, injector: Late | None = None, seconds: float = 1.0, spoken: Json | None = None) -> None:
        self.clock, self.kept = Clock(), Kept()
        plan = Plan(1, [Part(Numbers(), spoken or Json(), devices(4), 5.0, injector)], Load([Phase(seconds)]))
        self.sender = Sender(plan=plan, ledger=self.kept, metrics=Metrics(), now=self.clock.now, rest=self.clock.rest)
        self.wires = [Wire(self.sender, self.clock) for _ in range(2)]
        self.sender.use({n: self.wires[n % 2] for n in range(4)})

    async def run(self) -> None:
        for wire in self.wires:
            wire.start()
        async with asyncio.timeout(20):
            await self.sender.run()
        for wire in self.wires:
            wire.acknowledge()

    def readings(self) -> list[bytes]:
        return [m[2] for wire in self.wires for m in wire.given if b"/telemetry" in m[1]]


async def test_everything_is_sent_once_by_the_connection_of_its_device() -> None:
    world = World()
    await world.run()
    progress = world.sender.progress
    assert (progress.planned, progress.published, progress.acked) == (20, 20, 20)
    assert len(set(world.readings())) == 20
    for n, wire in enumerate(world.wires):
        assert {int(m[1][10:13]) % 2 for m in wire.given} == {n}
    assert world.sender.done.is_set()
    assert world.sender.unacked == 0


async def test_the_ledger_has_each_message_before_it_is_sent_and_its_acknowledgement_after() -> None:
    world = World()
    await world.run()
    for number in range(24):  # with what devices say when they come
        mine = [kind for kind, n in world.kept.entries if n == number]
        assert mine == ["batch", "sent", "acked"]


async def test_a_message_that_is_delayed_keeps_its_time_and_leaves_later() -> None:
    world = World(Late())
    await world.run()
    assert world.sender.progress.published == 20
    sent = [m[2] for m in world.wires[0].given if b"n-000/telemetry" in m[1]]
    times = [int(payload[6:25]) for payload in sent]
    assert times[-1] == sorted(times)[1]  # the second has become the last


async def test_what_is_to_be_rejected_is_marked_so_that_nothing_stamps_it() -> None:
    world = World(Spoilt(), spoken=Stamped())
    await world.run()
    rejected = {
        batch.payloads[place]
        for batch in world.kept.batches
        for place, expect in enumerate(batch.expects)
        if expect is Expect.REJECTED
    }
    assert len(rejected) in range(5, 20)
    assert {m[2] for wire in world.wires for m in wire.given if m[3] & AS_IS} == rejected


async def test_a_device_that_flaps_says_that_it_is_away_and_back_and_one_whose_connection_drops_does_not() -> None:
    world = World(Late())
    await world.run()
    said = [m[2] for m in world.wires[0].given if m[1] == b"devices/n-000/status"]
    assert said == [b"online", b"offline", b"online"]
    assert world.wires[1].acts == ["drop 0.0 0.0"]


async def test_a_connection_that_comes_back_lets_its_devices_say_so_again() -> None:
    world = World()
    for wire in world.wires:
        wire.start()
    world.wires[0].lose()
    assert [wire.up for wire in world.wires] == [False, True]
    world.wires[0].start()
    assert world.sender.up
    assert world.sender.progress.reconnects == 1
    assert [m[2] for m in world.wires[0].given] == [b"online"] * 4


async def test_nothing_begins_before_every_connection_has_been_accepted() -> None:
    world = World()
    running = asyncio.create_task(world.sender.run())
    world.wires[0].start()
    await asyncio.sleep(0)
    assert world.sender.progress.began == 0
    world.wires[1].start()
    async with asyncio.timeout(20):
        await running
    assert world.sender.progress.planned == 20


async def test_more_that_is_held_back_than_may_wait_is_sent_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "MOST_UNACKED", 3)
    world = World(Late(), seconds=2.0)
    for wire in world.wires:
        wire.start()
    running = asyncio.create_task(world.sender.run())
    async with asyncio.timeout(20):
        while not running.done():
            await asyncio.sleep(0)
            for wire in world.wires:
                wire.acknowledge()
    assert world.sender.progress.acked == 40


async def test_a_ledger_that_cannot_be_written_leaves_the_outlets_alone() -> None:
    world = World()
    await world.run()
    world.kept.broken = True
    world.wires[0].lose()
    world.wires[0].start()
    world.sender.farewell()
    assert len(world.readings()) == 20
    assert [m[2] for wire in world.wires for m in wire.given if b"/status" in m[1]] == [b"online"] * 4
    assert world.sender.trouble == "no space left"
