"""Following messages until the query API gives them, and choosing which to follow."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from simulators.formats.json import Json
from simulators.plan.batch import ARRIVAL, Batch, Block, Expect
from simulators.plan.load import Load, Phase
from simulators.plan.plan import Part, Plan
from simulators.truth.latency import Follower, Sampling
from tests.unit.simulators.fleet_of_fakes import Numbers, devices

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND


class World:
    """Time that goes on while others rest, and an API that has points from a moment on."""

    def __init__(self) -> None:
        self.now = START
        self.stored: list[tuple[int, str, str, int]] = []
        self.questions = 0
        self.closed = False

    def stores(self, at: float, device: str, metric: str, ts: float) -> None:
        self.stored.append((START + int(at * SECOND), device, metric, START + int(ts * SECOND)))

    async def rest(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        await asyncio.sleep(0)

    async def of(self, asked: list[str], metrics: set[str]) -> dict[tuple[str, str], int]:
        self.questions += 1
        found: dict[tuple[str, str], int] = {}
        for at, device, metric, ts in self.stored:
            if at <= self.now and device in asked and metric in metrics:
                found[device, metric] = max(ts, found.get((device, metric), 0))
        return found

    def close(self) -> None:
        self.closed = True


async def followed(
    world: World, messages: list[tuple[str, str, float, float]], timeout_s: float = 30.0
) -> tuple[Follower, dict[float, float]]:
    """Follow messages (device, metric, ts, due), and give how long those that were due at a time took."""
    took: dict[float, float] = {}

    def told(due: int, ns: int) -> None:
        took[(due - START) / SECOND] = ns / SECOND

    follower = Follower(
        "http://nowhere", "key", lambda: world.now, timeout_s=timeout_s, told=told, api=world, rest=world.rest
    )
    async with follower:
        for device, metric, ts, due in messages:
            follower.follow(device, metric, START + int(ts * SECOND), START + int(due * SECOND))
        while follower.following:
            await asyncio.sleep(0)
    assert world.closed
    return follower, took


async def test_a_latency_is_from_when_the_message_was_due_to_within_a_tenth() -> None:
    world = World()
    for device, ts, at in (("a", 0.0, 0.4), ("b", 0.1, 2.1)):
        world.stores(at, device, "level", ts)
    follower, took = await followed(world, [("a", "level", 0.0, 0.0), ("b", "level", 0.1, 0.1)])
    assert took[0.0] == pytest.approx(0.42, abs=0.04)
    assert took[0.1] == pytest.approx(2.05, abs=0.1)
    assert (follower.histogram.count, follower.given_up) == (2, 0)
    assert follower.histogram.most == took[0.1]


async def test_an_older_point_or_another_metric_is_not_the_message() -> None:
    world = World()
    world.stores(0.1, "a", "level", 4.0)
    world.stores(0.1, "a", "flow", 6.0)
    world.stores(7.0, "a", "level", 5.5)
    _, took = await followed(world, [("a", "level", 5.0, 5.0)])
    assert took[5.0] >= 2.0


async def test_what_is_waited_for_no_longer_counts_as_having_taken_until_then() -> None:
    world, took = World(), dict[int, int]()
    follower = Follower("http://nowhere", "key", lambda: world.now, told=took.__setitem__, api=world, rest=world.rest)
    async with follower:
        for due in (0, 1, 50):
            follower.follow("a", "level", START + due * SECOND, START + due * SECOND)
        world.now = START + 10 * SECOND
        follower.give_up()
    assert took == {START: 10 * SECOND, START + SECOND: 9 * SECOND}
    assert (follower.given_up, follower.following) == (2, 0)


async def test_what_never_comes_counts_as_having_taken_the_whole_time() -> None:
    world = World()
    world.stores(1.0, "b", "level", 1.0)
    follower, took = await followed(world, [("a", "level", 0.0, 0.0), ("b", "level", 1.0, 1.0)], timeout_s=3.0)
    assert follower.given_up == 1
    assert took[0.0] == 3.0
    assert follower.histogram.percentiles([100.0]) == [pytest.approx(3.0, rel=0.001)]


async def test_nothing_is_asked_before_a_message_is_due_and_many_share_a_question() -> None:
    world = World()
    messages = []
    for n in range(200):
        world.stores(3.0, f"d{n}", "level", 1.0)
        messages.append((f"d{n}", "level", 1.0, 1.0))
    _, took = await followed(world, messages)
    assert took == {1.0: pytest.approx(2.1, abs=0.11)}
    assert world.questions < 60


def plan(count: int, rate: float) -> Plan:
    return Plan(1, [Part(Numbers(), Json(), devices(count), rate)], Load([Phase(None)]))


class Notes(Follower):
    """Notes what it is to follow."""

    def __init__(self) -> None:
        super().__init__("http://nowhere", "key", lambda: START)
        self.noted: list[tuple[str, str, int, int]] = []

    def follow(self, device: str, metric: str, ts: int, intended: int) -> None:
        self.noted.append((device, metric, ts, intended))


def sampled(made: Plan, seconds: int, change: Callable[[Batch], None] = lambda _: None) -> Notes:
    notes = Notes()
    sampling = Sampling(made, notes, rate=20.0)
    slices = made.slices(START, 0.05)
    for _ in range(seconds * 20):
        for batch in next(slices):
            change(batch)
            sampling(batch)
    return notes


def test_some_twenty_a_second_are_chosen_of_all_devices() -> None:
    notes = sampled(plan(count=50, rate=20.0), seconds=20)
    assert 350 <= len(notes.noted) <= 420
    of_device = Counter(device for device, *_ in notes.noted)
    assert len(of_device) == 50
    assert max(of_device.values()) < 20
    assert all(START <= due < START + 20 * SECOND for *_, due in notes.noted)


def test_the_same_plan_gives_the_same_choice() -> None:
    assert sampled(plan(7, 3.0), seconds=3).noted == sampled(plan(7, 3.0), seconds=3).noted


def test_what_is_wrong_on_purpose_and_what_has_no_time_is_not_followed() -> None:
    def spoil(batch: Batch) -> None:
        batch.faults[::3] = ["spike"] * len(batch.faults[::3])
        batch.expects[1::3] = [Expect.REJECTED] * len(batch.expects[1::3])
        batch.blocks = [
            Block(block.messages, block.devices, [ARRIVAL] * len(block.ts), block.columns) for block in batch.blocks
        ]

    assert sampled(plan(5, 10.0), seconds=2, change=spoil).noted == []
