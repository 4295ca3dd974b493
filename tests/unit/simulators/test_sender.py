"""What the fleet sends and when, with a clock and connections of the test's own."""

import asyncio
import json
from collections import Counter

import pytest

from simulators.fleet import Device, fleet
from simulators.metrics import Metrics
from simulators.schedule import SECOND, Schedule
from simulators.sender import Outlet, Sender

START = 1_795_000_000 * SECOND


class FakeOutlet:
    """A connection whose broker acknowledges when it is told to."""

    def __init__(self, window: int = 10**6) -> None:
        self.up, self.accepted = True, asyncio.Event()
        self.accepted.set()
        self.window = window
        self.sent: list[tuple[str, bytes]] = []
        self.waiting: list[int | None] = []

    @property
    def room(self) -> bool:
        return len(self.waiting) < self.window

    @property
    def unacked(self) -> int:
        return len(self.waiting)

    def publish(self, topic: str, payload: bytes, number: int | None) -> None:
        self.sent.append((topic, payload))
        self.waiting.append(number)

    def acknowledge(self, sender: Sender) -> None:
        while self.waiting:
            number = self.waiting.pop(0)
            assert number is not None
            sender.acked(number)


class FakeLedger:
    def __init__(self) -> None:
        self.entries: list[tuple[str, int]] = []
        self.acks: list[int] = []
        self.room = True

    def record(
        self, device: str, ts: int, values: bytes | None, published: int, fault: tuple[str, bytes] | None
    ) -> int:
        assert (values is None) == (fault is not None)
        assert published <= ts
        self.entries.append((device, ts))
        return len(self.entries) - 1

    def acked(self, number: int, at: int) -> None:
        assert at >= START
        self.acks.append(number)


class Clock:
    """Time that passes by `step` ns each time someone looks."""

    def __init__(self, step: int) -> None:
        self.at, self.step = START, step

    def __call__(self) -> int:
        self.at += self.step
        return self.at


def sender_of(
    members: list[Device],
    outlet: Outlet,
    ledger: FakeLedger,
    clock: Clock,
    malformed: float = 0.0,
    seconds: float = 4.0,
) -> Sender:
    return Sender(
        schedule=Schedule(members, 2.0, seconds, 1),
        malformed=malformed,
        outlets=dict.fromkeys(members, outlet),
        ledger=ledger,
        metrics=Metrics(),
        now=clock,
    )


async def test_every_device_sends_all_its_messages_and_each_is_recorded() -> None:
    outlet, ledger = FakeOutlet(), FakeLedger()
    sender = sender_of(fleet(1, 10), outlet, ledger, Clock(SECOND // 10))
    await sender.run()
    assert Counter(topic for topic, _ in outlet.sent) == {f"devices/{d.id}/telemetry": 8 for d in fleet(1, 10)}
    assert [(f"devices/{device}/telemetry", ts) for device, ts in ledger.entries] == [
        (topic, json.loads(body)["ts"]) for topic, body in outlet.sent
    ]
    outlet.acknowledge(sender)
    assert ledger.acks == list(range(80))
    assert (sender.progress.published, sender.progress.acked, sender.done.is_set()) == (80, 80, True)


async def test_times_of_one_device_never_repeat_even_where_the_clock_stands_still() -> None:
    outlet, ledger = FakeOutlet(), FakeLedger()
    clock = Clock(0)
    sender = sender_of(fleet(1, 1), outlet, ledger, clock)
    running = asyncio.create_task(sender.run())
    await asyncio.sleep(0)
    clock.at += 10 * SECOND
    await running
    times = [ts for _, ts in ledger.entries]
    assert len(times) == 8
    assert sorted(set(times)) == times


async def test_a_full_window_delays_and_skips_nothing() -> None:
    outlet, ledger = FakeOutlet(window=5), FakeLedger()
    sender = sender_of(fleet(1, 10), outlet, ledger, Clock(SECOND // 50))
    running = asyncio.create_task(sender.run())
    async with asyncio.timeout(30):
        while not running.done():
            assert outlet.unacked <= 5
            await asyncio.sleep(0.002)
            outlet.acknowledge(sender)
    assert sender.progress.published == 80
    assert sender.progress.worst_behind_s > 0


async def test_a_full_ledger_delays_too() -> None:
    outlet, ledger = FakeOutlet(), FakeLedger()
    ledger.room = False
    sender = sender_of(fleet(1, 2), outlet, ledger, Clock(SECOND))
    running = asyncio.create_task(sender.run())
    await asyncio.sleep(0.02)
    assert outlet.sent == []
    ledger.room = True
    await running
    assert len(outlet.sent) == 16


async def test_nothing_is_sent_before_the_broker_has_accepted_the_connection() -> None:
    outlet, ledger = FakeOutlet(), FakeLedger()
    outlet.accepted.clear()
    sender = sender_of(fleet(1, 2), outlet, ledger, Clock(SECOND))
    running = asyncio.create_task(sender.run())
    await asyncio.sleep(0.02)
    assert outlet.sent == []
    outlet.accepted.set()
    await running
    assert len(outlet.sent) == 16


async def test_the_malformed_share_is_sent_as_bytes_of_its_own() -> None:
    outlet, ledger = FakeOutlet(), FakeLedger()
    sender = sender_of(fleet(1, 10), outlet, ledger, Clock(SECOND // 10), malformed=0.3, seconds=20)
    await sender.run()
    assert 80 < sender.progress.malformed < 160
    assert len({body for _, body in outlet.sent}) == 400


@pytest.mark.parametrize("failing", [3])
async def test_after_a_failure_it_goes_on_where_it_was(failing: int) -> None:
    outlet, ledger = FakeOutlet(), FakeLedger()
    sender = sender_of(fleet(1, 2), outlet, ledger, Clock(SECOND))
    record = ledger.record

    def fail(*arguments: object) -> int:
        if len(ledger.entries) == failing:
            ledger.record = record  # type: ignore[method-assign]
            raise OSError("disk full")
        return record(*arguments)  # type: ignore[arg-type]

    ledger.record = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(OSError, match="disk full"):
        await sender.run()
    await sender.run()
    assert len(outlet.sent) == 16
