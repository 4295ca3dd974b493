"""Failures happen at their moments, end in time, and are undone when a run is stopped."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulators.scenario import failures
from simulators.scenario.failing import Failing
from simulators.scenario.failures import Action, Kind
from simulators.scenario.report import Stretch
from simulators.scenario.spec import Failure
from simulators.scenario.stage import Addresses, Foreign, StageError


class Plant:
    """A stage whose programs run or do not, and a clock that goes on while somebody waits."""

    addresses = Addresses("127.0.0.1", 1)

    def __init__(self) -> None:
        self.time = 0.0
        self.down: set[str] = set()
        self.told: list[tuple[float, str]] = []

    def pids(self) -> dict[str, int]:
        return {name: 1 for name in failures.PROGRAMS if name not in self.down}

    def lacks(self, action: Action) -> str:
        del action
        return ""

    async def do(self, action: Action) -> None:
        if action.program in self.down:
            raise StageError(f"{action.program} does not run")
        self.told.append((self.time, f"{action.kind.value} {action.program}"))
        if action.kind is not Kind.KILL:
            self.down.add(action.program)

    async def undo(self, action: Action) -> None:
        self.told.append((self.time, f"back {action.program}"))
        self.down.discard(action.program)


class Clock:
    """Lets those who wait go on in the order of their moments, at once."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._waiting: list[tuple[float, asyncio.Event]] = []

    async def rest(self, seconds: float) -> None:
        event = asyncio.Event()
        self._waiting.append((self._plant.time + seconds, event))
        await event.wait()

    async def go(self, until: float) -> None:
        while True:
            for _ in range(10):
                await asyncio.sleep(0)
            due = sorted((one for one in self._waiting if one[0] <= until), key=lambda one: one[0])
            if not due:
                self._plant.time = until
                return
            self._waiting.remove(due[0])
            self._plant.time = due[0][0]
            due[0][1].set()


def failure(do: str, at: float, lasts: float | None = None) -> Failure:
    return Failure(do=do, at=at, lasts=lasts)


def failing(plant: Plant, clock: Clock, *some: Failure) -> Failing:
    return Failing(plant, some, lambda: plant.time, clock.rest)


@pytest.fixture
def plant() -> Plant:
    return Plant()


async def test_each_failure_has_its_moment_and_its_end(plant: Plant) -> None:
    clock = Clock(plant)
    all_of_them = failing(
        plant, clock, failure("stop broker", 10, 20), failure("kill ingest", 15), failure("freeze processor", 29, 5)
    )
    running = asyncio.create_task(all_of_them.run())
    await clock.go(16)
    assert all_of_them.now == ["stop broker"]
    await clock.go(60)
    await running
    assert plant.told == [
        (10, "stop broker"),
        (15, "kill ingest"),
        (29, "freeze processor"),
        (30, "back broker"),
        (34, "back processor"),
    ]
    assert all_of_them.done == [
        Stretch("stop broker", 10, 30),
        Stretch("kill ingest", 15, None),
        Stretch("freeze processor", 29, 34),
    ]


async def test_what_is_under_way_when_a_run_is_stopped_is_undone(plant: Plant) -> None:
    clock = Clock(plant)
    some = failing(plant, clock, failure("stop broker", 1, 100), failure("kill ingest", 50))
    running = asyncio.create_task(some.run())
    await clock.go(5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await some.end()
    assert plant.told == [(1, "stop broker"), (5, "back broker")]
    assert some.now == []


async def test_what_a_run_is_stopped_in_the_midst_of_is_undone(plant: Plant, tmp_path: Path) -> None:
    mark, undone = tmp_path / "mark", tmp_path / "undone"
    slow = f"import pathlib, time; pathlib.Path({str(mark)!r}).touch(); time.sleep(60)"
    undo = f"import pathlib; pathlib.Path({str(undone)!r}).touch()"
    some = Failing(
        plant,
        [Failure(command=[sys.executable, "-c", slow], undo=[sys.executable, "-c", undo], at=0, lasts=5)],
        lambda: 0,
    )
    running = asyncio.create_task(some.run())
    async with asyncio.timeout(20):
        while not mark.exists():
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await some.end()
    assert undone.exists()


async def test_what_cannot_be_undone_does_not_keep_the_rest_from_it(plant: Plant) -> None:
    clock = Clock(plant)
    bad = Failure(command=["true"], undo=["/nowhere/undo"], at=0, lasts=100)
    some = Failing(plant, [bad, failure("stop broker", 1, 100)], lambda: plant.time, clock.rest)
    running = asyncio.create_task(some.run())
    async with asyncio.timeout(20):
        while len(some.now) < 2:
            await clock.go(5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(StageError, match="/nowhere/undo cannot be run"):
        await some.end()
    assert plant.told[-1][1] == "back broker"


async def test_what_cannot_be_done_is_noted_and_the_rest_goes_on(plant: Plant) -> None:
    clock = Clock(plant)
    plant.down.add("alerting")
    some = failing(plant, clock, failure("kill alerting", 1), failure("kill ingest", 2))
    running = asyncio.create_task(some.run())
    await clock.go(3)
    await running
    assert [(one.name, one.note) for one in some.done] == [
        ("kill alerting", "alerting does not run"),
        ("kill ingest", ""),
    ]


@pytest.mark.parametrize(
    ("code", "note"), [("", ""), ("print('no cable'); exit(3)", "ended with 3: no cable")], ids=["works", "fails"]
)
async def test_commands_are_for_what_is_not_ours(plant: Plant, code: str, note: str) -> None:
    clock = Clock(plant)
    some = failing(plant, clock, Failure(command=[sys.executable, "-c", code], at=0))
    running = asyncio.create_task(some.run())
    await clock.go(0)
    await running
    assert some.done[0].note.endswith(note)


async def test_nothing_of_a_foreign_system_can_be_made_to_fail() -> None:
    stage = Foreign(Addresses("192.0.2.1", 1883))
    action = failures.parse("kill ingest")
    act: Callable[[Action], Any]
    for act in (stage.do, stage.undo):
        with pytest.raises(StageError, match="only its addresses are known"):
            await act(action)
