"""Runs a scenario on a stage: the fleet, what fails meanwhile, and afterwards what became of it all."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.running.fleet import Fleet
from simulators.scenario.costs import Costs
from simulators.scenario.failing import Failing
from simulators.scenario.report import Stretch, Usage
from simulators.scenario.screen import Screen, Status, doing
from simulators.scenario.spec import Scenario
from simulators.scenario.stage import Stage, StageError

STALLED_S = 60.0
"""The run is given up when the broker has acknowledged nothing for so long."""

STOP_S = 8.0
_TICK_S = 1.0
_NANO = 1e9


@dataclass
class Sent:
    """How the sending went. `behind` is how many seconds late a message left at most.

    `troubles` is what kept it from being what was asked for.
    """

    began: int = 0
    seconds: float = 0.0
    published: int = 0
    acked: int = 0
    reconnects: int = 0
    behind: float = 0.0
    failures: list[Stretch] = field(default_factory=list)
    usage: list[Usage] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def check(scenario: Scenario, stage: Stage) -> None:
    """Raise StageError if something that is to fail cannot be made to fail there."""
    for failure in scenario.failure:
        why = "" if failure.command else stage.lacks(failure.action)
        if why:
            raise StageError(f"failure {failure.title!r}: {why}")


class Sending:
    """One run of a fleet, with its failures. `stopping` ends it before its time; `now` is ns since 1970."""

    def __init__(
        self,
        scenario: Scenario,
        stage: Stage,
        fleet: Fleet,
        *,
        screen: Screen,
        stopping: asyncio.Event,
        now: Callable[[], int],
    ) -> None:
        self._scenario, self._stage, self._fleet = scenario, stage, fleet
        self._screen, self._stopping, self._now = screen, stopping, now
        self._costs = Costs()
        self._failing = Failing(stage, scenario.failure, self._elapsed)
        self._last = (0.0, 0)
        self._moved = (0, 0.0)

    async def run(self) -> Sent:
        """Send everything, let what failed come back, and wait until all of it is acknowledged."""
        sent, loop = Sent(), asyncio.get_running_loop()
        self._fleet.start()
        failing: asyncio.Task[None] | None = None
        try:
            with self._screen.shown():
                if await self._began(loop.time() + STALLED_S):
                    failing = asyncio.create_task(self._failing.run(), name="failures")
                    await self._until_sent(sent, failing)
                elif self._stopping.is_set():
                    sent.troubles.append("stopped before it began")
                else:
                    address = f"{self._stage.addresses.mqtt_host}:{self._stage.addresses.mqtt_port}"
                    sent.troubles.append(
                        f"the broker at {address} did not accept every connection within {STALLED_S:.0f} s"
                    )
        finally:
            await self._finish(sent, failing)
        return sent

    def _elapsed(self) -> float:
        return (self._now() - self._fleet.progress.began) / _NANO

    async def _began(self, deadline: float) -> bool:
        loop = asyncio.get_running_loop()
        while not (self._fleet.progress.began or self._over()) and loop.time() < deadline:  # noqa: ASYNC110 - fleets tell of no start
            await asyncio.sleep(0.02)
        self._costs.look(self._stage.pids())
        return bool(self._fleet.progress.began)

    async def _until_sent(self, sent: Sent, failing: asyncio.Task[None]) -> None:
        """Wait until everything is sent and nothing fails any more, it is stopped, or the broker has stalled."""
        while not (self._over() or (self._fleet.done.is_set() and failing.done())):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._next(failing), _TICK_S)
            if failing.done() and not failing.cancelled() and (error := failing.exception()):
                raise error
            if self._stalled():
                sent.troubles.append(f"given up: the broker acknowledged nothing for {STALLED_S:.0f} s")
                return
            self._show(doing(self._scenario, self._elapsed()))
        if self._stopping.is_set():
            sent.troubles.append("stopped before its end")
        if self._fleet.failure:
            sent.troubles.append(f"the fleet stopped sending: {self._fleet.failure}")

    async def _next(self, failing: asyncio.Task[None]) -> None:
        """Wait until something ends."""
        waits = [asyncio.ensure_future(self._stopping.wait())]
        if not self._fleet.done.is_set():
            waits.append(asyncio.ensure_future(self._fleet.done.wait()))
        try:
            await asyncio.wait([*waits, *([] if failing.done() else [failing])], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _finish(self, sent: Sent, failing: asyncio.Task[None] | None) -> None:
        """Undo what fails, wait for what is outstanding, and stop the fleet."""
        progress = self._fleet.progress
        if failing is not None:
            failing.cancel()
            await asyncio.gather(failing, return_exceptions=True)
            try:
                await self._failing.end()
            except StageError as error:
                sent.troubles.append(str(error))
        settle = 3.0 if self._stopping.is_set() or sent.troubles else self._scenario.settle
        await self._fleet.settled(settle)
        self._costs.look(self._stage.pids())
        await self._fleet.stop(STOP_S)
        sent.published, sent.acked = progress.published, progress.acked
        sent.reconnects, sent.behind = progress.reconnects, progress.worst_behind_s
        if progress.began:
            sent.began, sent.seconds = progress.began, (progress.ended - progress.began) / _NANO
        sent.failures = list(self._failing.done)
        sent.troubles += [f"{one.name}: {one.note}" for one in sent.failures if one.note]
        sent.usage = self._costs.usage(sent.seconds)
        if progress.acked < progress.published:
            left = progress.published - progress.acked
            sent.troubles.append(f"{left} messages were sent and not acknowledged")

    def _over(self) -> bool:
        return self._stopping.is_set() or bool(self._fleet.failure)

    def _stalled(self) -> bool:
        acked, at = self._moved
        if self._fleet.progress.acked != acked or self._failing.now:
            self._moved = (self._fleet.progress.acked, self._elapsed())
            return False
        slowest = min(part.rate * part.devices for part in self._scenario.fleet)
        return self._elapsed() - at > max(STALLED_S, 3 / slowest)

    def _show(self, what: str) -> None:
        elapsed, acked = self._elapsed(), self._fleet.progress.acked
        before, count = self._last
        if elapsed - before >= _TICK_S / 2:
            self._last = (elapsed, acked)
            self._costs.look(self._stage.pids())
            rate = (acked - count) / (elapsed - before)
            self._screen.show(Status(elapsed, what, self._failing.now, self._fleet.progress, rate))
