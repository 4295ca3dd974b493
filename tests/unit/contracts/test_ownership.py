"""Processes that share partitions while they are stopped, woken, killed and cut off, step by step in any order."""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts import logs
from contracts.lease import AwayError, entry_of
from contracts.ownership import Ownership, times
from contracts.shares import quota
from tests.fake_bucket import FakeBucket

PARTITIONS = 4
TIMES = times(6.0)
Fate = Literal["done", "refused", "unheard", "late"]


class Turn:
    """Where a process stands still, until the test lets it go on."""

    def __await__(self) -> Generator[None, Fate, Fate]:
        return (yield)


class Remote:
    """The bucket as one process reaches it: it waits before each request, and for each answer."""

    def __init__(self, bucket: FakeBucket, late: list[Callable[[], Awaitable[object]]]) -> None:
        self._bucket, self._late = bucket, late

    async def read(self, key: str) -> tuple[bytes, int] | None:
        await self._fate()
        found = await self._bucket.read(key)
        await Turn()
        return found

    async def write(self, key: str, value: bytes, last: int) -> int | None:
        fate = await Turn()
        if fate == "late":  # it is done when nobody waits for the answer any more
            self._late.append(lambda: self._bucket.write(key, value, last))
        if fate in ("late", "refused"):
            raise AwayError
        revision = await self._bucket.write(key, value, last)
        if await Turn() == "unheard" or fate == "unheard":
            raise AwayError
        return revision

    async def keys(self, first: str) -> list[str]:
        await self._fate()
        return await self._bucket.keys(first)

    async def forget(self, key: str, revision: int) -> None:
        await self._fate()
        await self._bucket.forget(key, revision)

    async def _fate(self) -> None:
        if await Turn() != "done":
            raise AwayError


class Process:
    """A process, of which the test says when it goes one step on. Its clock has its own beginning."""

    def __init__(self, name: str, remote: Remote, clock: Callable[[], float]) -> None:
        self.name = name
        self.in_hand: set[int] = set()
        self.leaving = self.stopped = False
        self._running: Coroutine[None, Fate, None] | None = None
        self._begun = False
        self.ownership = Ownership(
            remote, name, TIMES, clock, in_hand=self.in_hand.__contains__, taken=lambda: None, log=logs.quiet()
        )
        self.ownership.divide(PARTITIONS)

    def step(self, fate: Fate = "done") -> bool:
        """Go on up to the next request or answer; returns whether a turn has ended."""
        if self._running is None:
            self._running, self._begun = self._work(), False
        try:
            if self._begun:
                self._running.send(fate)
            else:
                self._begun = True
                self._running.send(None)  # type: ignore[arg-type]  # this is how one begins
        except StopIteration:
            self._running = None
            return True
        return False

    async def _work(self) -> None:
        await (self.ownership.release() if self.leaving else self.ownership.turn())

    def kill(self) -> None:
        if self._running is not None:
            self._running.close()


class Sharing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bucket, self.late = FakeBucket(), list[Callable[[], Awaitable[object]]]()
        self.now = 0.0
        self.processes: list[Process] = []
        self.started = 0
        self.owners: dict[tuple[int, int], str] = {}
        self.epochs: dict[str, int] = {}
        for _ in range(2):
            self.start()
        for _ in range(4):
            self.round()

    @precondition(lambda self: len(self.processes) < 4)
    @rule()
    def start(self) -> None:
        self.started += 1
        ahead = 1000.0 * self.started
        self.processes.append(Process(f"p{self.started}", Remote(self.bucket, self.late), lambda: self.now + ahead))

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 3), steps=st.integers(1, 40))
    def go_on(self, which: int, steps: int) -> None:
        process = self.processes[which % len(self.processes)]
        for _ in range(steps):
            ended = process.step()
            self.nothing_is_owned_twice()
            if ended and process.leaving:
                self.processes.remove(process)
                return

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 3), fate=st.sampled_from(["refused", "unheard", "late"]))
    def fail(self, which: int, fate: Fate) -> None:
        self.processes[which % len(self.processes)].step(fate)

    @precondition(lambda self: self.late)
    @rule()
    def arrive_late(self) -> None:
        finish(self.late.pop(0)())

    @rule(seconds=st.sampled_from([0.1, TIMES.renew, TIMES.lose, TIMES.take]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(turns=st.integers(1, 12))
    def take_turns(self, turns: int) -> None:
        for _ in range(turns):
            self.round()

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 3), steps=st.integers(0, 40))
    def stop_or_wake(self, which: int, steps: int) -> None:
        """Stop one anywhere in its turn, so that the others go on without it; or wake it."""
        process = self.processes[which % len(self.processes)]
        if process.stopped:
            process.stopped = False
        else:
            self.go_on(which, steps)
            process.stopped = True

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 3))
    def kill(self, which: int) -> None:
        self.processes.pop(which % len(self.processes)).kill()

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 3))
    def leave(self, which: int) -> None:
        process = self.processes[which % len(self.processes)]
        if process.step():  # what runs is finished first, and nothing is begun after it
            process.leaving = True

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 3), partition=st.integers(0, PARTITIONS - 1))
    def take_in_hand_or_settle(self, which: int, partition: int) -> None:
        process = self.processes[which % len(self.processes)]
        if partition in process.in_hand:
            process.in_hand.remove(partition)
        elif partition in process.ownership.epochs:
            process.in_hand.add(partition)

    @precondition(lambda self: self.processes)
    @rule(which=st.integers(0, 3), partition=st.integers(0, PARTITIONS - 1), later=st.integers(0, 30))
    def drop(self, which: int, partition: int, later: int) -> None:
        ownership = self.processes[which % len(self.processes)].ownership
        ownership.drop(partition, ownership.epochs.get(partition, 0), later)

    @invariant()
    def nothing_is_owned_twice(self) -> None:
        owned: dict[int, str] = {}
        for process in self.processes:
            for partition, epoch in process.ownership.epochs.items():
                assert owned.setdefault(partition, process.name) == process.name, "two own it at once"
                assert self.owners.setdefault((partition, epoch), process.name) == process.name, "two had this epoch"
        for key, (value, _) in self.bucket.entries.items():
            if key.startswith("partition."):
                epoch = entry_of(value).epoch
                assert epoch >= self.epochs.get(key, 0), "an epoch went down"
                self.epochs[key] = epoch

    def round(self) -> None:
        """Let every process that is not stopped end its turn, and some time pass."""
        for process in [process for process in self.processes if not process.stopped]:
            while not process.step():
                self.nothing_is_owned_twice()
            if process.leaving:
                self.processes.remove(process)
        self.now += TIMES.renew

    def teardown(self) -> None:
        """When it is quiet, everything is owned, evenly, and stays where it is."""
        while self.late:
            self.arrive_late()
        if not self.processes:
            self.start()
        for process in self.processes:
            process.in_hand.clear()
            process.leaving = process.stopped = False
        for _ in range(25):
            self.round()
        owned = {process.name: process.ownership.epochs for process in self.processes}
        for name, epochs in owned.items():
            assert len(epochs) == quota(name, owned.keys(), PARTITIONS), owned
        for _ in range(10):
            self.round()
            assert owned == {process.name: process.ownership.epochs for process in self.processes}


def finish(work: Awaitable[object]) -> None:
    """Run what waits for nothing."""
    steps = work.__await__()
    for _ in steps:
        raise AssertionError("it waited")


TestSharing = Sharing.TestCase
TestSharing.settings = settings(max_examples=100, stateful_step_count=40)


class Pair:
    """Two that share, of which each turn ends before the next begins."""

    def __init__(self) -> None:
        self.bucket, self.now = FakeBucket(), 0.0
        self.one, self.other = (Process(name, Remote(self.bucket, []), lambda: self.now) for name in ("one", "other"))

    def turns(self, *processes: Process, count: int = 1) -> None:
        for _ in range(count):
            for process in processes:
                while not process.step():
                    pass
            self.now += TIMES.renew


def test_what_is_in_hand_is_not_read_on_and_released_only_when_it_is_settled() -> None:
    pair = Pair()
    pair.turns(pair.one)
    assert len(pair.one.ownership.epochs) == PARTITIONS
    pair.one.in_hand.update(range(PARTITIONS))
    pair.turns(pair.other, pair.one, count=12)
    assert (len(pair.one.ownership.epochs), len(pair.other.ownership.epochs)) == (PARTITIONS // 2, 0)
    pair.one.in_hand.clear()
    pair.turns(pair.one, pair.other)
    assert (len(pair.one.ownership.epochs), len(pair.other.ownership.epochs)) == (PARTITIONS // 2, PARTITIONS // 2)


def test_one_that_comes_moves_no_more_than_its_share() -> None:
    pair = Pair()
    pair.turns(pair.one)
    before = pair.one.ownership.epochs
    pair.turns(pair.other, pair.one, count=3)
    assert pair.one.ownership.epochs.items() < before.items(), "the rest stays, in the same epoch"


def test_one_that_stops_gives_everything_up_at_once() -> None:
    pair = Pair()
    pair.turns(pair.one, pair.other, count=3)
    pair.one.leaving = True
    pair.turns(pair.one, pair.other)
    assert len(pair.other.ownership.epochs) == PARTITIONS


def test_a_stream_server_that_was_away_for_long_turns_nobody_out() -> None:
    pair = Pair()
    pair.turns(pair.one, pair.other, count=3)
    before = pair.one.ownership.epochs, pair.other.ownership.epochs
    pair.bucket.away = True
    pair.turns(pair.one, pair.other, count=20)
    assert (pair.one.ownership.epochs, pair.other.ownership.epochs) == ({}, {}), "nobody knows who owns them now"
    pair.bucket.away = False
    pair.turns(pair.other, pair.one, count=2)
    after = pair.one.ownership.epochs, pair.other.ownership.epochs
    assert [owned.keys() for owned in after] == [owned.keys() for owned in before]


def test_what_is_dropped_comes_back_in_a_later_epoch() -> None:
    pair = Pair()
    pair.turns(pair.one)
    pair.one.ownership.drop(2, epoch=1, later=6)
    assert 2 not in pair.one.ownership.epochs
    pair.turns(pair.one)
    assert pair.one.ownership.epochs[2] == 7
    pair.one.ownership.drop(2, epoch=1)
    assert pair.one.ownership.epochs[2] == 7, "that was said of an epoch before"
