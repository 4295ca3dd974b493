"""Runs one step: a fleet at a rate, of which a sample of messages is followed, and what all of it takes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import psutil

from contracts.logs import Log
from simulators.capacity.lagging import latencies
from simulators.capacity.measured import Measured
from simulators.capacity.subject import Subject
from simulators.connections import native
from simulators.connections.outlet import Connect
from simulators.connections.parties import Broker, Options
from simulators.formats.wire import Format
from simulators.metrics import Metrics
from simulators.models.model import Model
from simulators.plan.batch import Batch
from simulators.plan.load import Load, Phase
from simulators.plan.plan import Plan
from simulators.running.fleet import Fleet
from simulators.running.parts import Group, lines_of, parts_of
from simulators.scenario.costs import Costs
from simulators.truth.latency import Follower, Sampling

PERCENTS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
_WINDOW = 2000
_LOOK_S = 1.0
_BEGIN_S, _ACKS_S, _STOP_S = 60.0, 60.0, 5.0
STALLED_S = 20.0
"""What is not stored is lost when nothing more has been stored for so long."""

_WARM_RATE, _WARM_S = 500.0, 2.0
_CALM_S, _CALM, _CALM_LOOKS = 180.0, 0.15, 2
"""A system counts as calm once it takes less than so many cores at so many looks, and is waited for only so long."""

_NANO = 1_000_000_000


class Fleetwide(NamedTuple):
    """What sends: `devices` of a model in a format over some `connections`. The same seed gives the same messages."""

    model: Model
    format: Format
    devices: int
    connections: int
    seed: int


@dataclass(frozen=True)
class Query:
    """The query API at `url`, where messages are followed; without one, latencies are told from counts."""

    url: str = ""
    key: str = field(default="", repr=False)


class Steps:
    """Runs steps of `seconds` each against a subject.

    `bound` is what p99 may be, in seconds. `now` gives ns since 1970, `clock` seconds; `rest` waits for seconds.
    """

    def __init__(  # noqa: PLR0913 - keyword-only
        self,
        subject: Subject,
        load: Fleetwide,
        query: Query,
        *,
        seconds: float,
        bound: float,
        now: Callable[[], int],
        clock: Callable[[], float],
        rng: Random,
        log: Log,
        stalled_s: float = STALLED_S,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._subject, self._load, self._query = subject, load, query
        self._seconds, self._bound, self._stalled_s = seconds, bound, stalled_s
        self._now, self._clock, self._rng, self._log, self._rest = now, clock, rng, log, rest

    async def warm_up(self) -> None:
        """Have every device say something, so that whatever becomes of new devices does not become of them later."""
        rate = min(_WARM_RATE, self._load.devices / _WARM_S)
        await self._run(rate, self._load.devices / rate)

    async def step(self, rate: float) -> Measured:
        """Send `rate` messages a second, wait until all of it is stored or nothing more is, and say how that went."""
        await self._calm()
        return await self._run(rate, self._seconds)

    async def _run(self, rate: float, seconds: float) -> Measured:
        group = Group(
            self._load.model,
            self._load.format,
            self._load.devices,
            rate / self._load.devices,
            connections=self._load.connections,
        )
        parts = parts_of([group], self._load.seed)
        plan = Plan(self._load.seed, parts, Load([Phase(seconds)]))
        timeout = max(10.0, 4 * self._bound)
        async with Follower(self._query.url, self._query.key, self._now, timeout_s=timeout) as follower:
            run = _Run(self._subject, plan, Sampling(plan, follower) if self._query.url else None, self._clock)
            fleet = Fleet(
                plan=plan,
                lines=[(self._connect(), line) for _, line in lines_of([group], parts)],
                ledger=None,
                metrics=Metrics(),
                now=self._now,
                log=self._log,
                follow=run.planned,
            )
            await run.before()
            fleet.start()
            try:
                await self._send(fleet, run)
                await self._drain(fleet, run)
                await follower.finished()
            finally:
                await fleet.stop(_STOP_S)
            return await self._measured(rate, seconds, fleet, run, follower)

    def _connect(self) -> Connect:
        broker = Broker(self._subject.mqtt_host, self._subject.mqtt_port)
        options = Options(window=_WINDOW)
        return native.connecting(
            broker, login=lambda _: None, now=self._now, rng=self._rng, log=self._log, options=options
        )

    async def _send(self, fleet: Fleet, run: "_Run") -> None:
        """Wait until everything is sent and acknowledged by the broker."""
        deadline = self._clock() + _BEGIN_S
        while not fleet.progress.began and not fleet.failure:
            if self._clock() > deadline:
                run.troubles.append("the broker did not accept every connection")
                return
            await self._rest(0.02)
        run.begin()
        while not fleet.done.is_set() and not fleet.failure:
            await run.look(fleet)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(fleet.done.wait(), _LOOK_S if self._query.url else _LOOK_S / 4)
        run.sent_at, run.late_s = self._clock(), fleet.progress.behind_s
        if fleet.failure:
            run.troubles.append(f"the fleet stopped sending: {fleet.failure}")
        if not await fleet.settled(_ACKS_S):
            left = fleet.progress.published - fleet.progress.acked
            run.troubles.append(f"{left:,} messages were not acknowledged")

    async def _drain(self, fleet: Fleet, run: "_Run") -> None:
        """Wait until everything is stored, or nothing more is for some time."""
        before, moved = -1, self._clock()
        while run.written < run.expected and self._clock() < moved + self._stalled_s:
            await run.look(fleet)
            if run.written > before:
                before, moved = run.written, self._clock()
            await self._rest(_LOOK_S / 2)
        run.end()

    async def _measured(self, rate: float, seconds: float, fleet: Fleet, run: "_Run", follower: Follower) -> Measured:
        devices = [run.plan.stored(device.number).device for part in run.plan.parts for device in part.devices]
        stored = await self._subject.stored(devices, fleet.progress.began, self._now())
        if self._query.url:
            found = follower.histogram.percentiles(list(PERCENTS.values())) if follower.histogram.count else []
        else:
            found = latencies([(0.0, 0.0), (seconds, float(run.expected))], run.seen, list(PERCENTS.values()))
        return Measured(
            rate=rate,
            bound=self._bound,
            seconds=seconds,
            published=fleet.progress.acked,
            expected=run.expected,
            stored=run.written if stored is None else stored,
            latencies=dict(zip(PERCENTS, found, strict=False)),
            followed=follower.histogram.count,
            given_up=follower.given_up,
            backlog=run.backlog,
            late_s=run.late_s,
            drained_s=run.ended_at - run.sent_at,
            usage=run.costs.usage(run.ended_at - run.began_at),
            store_bytes=self._subject.store_bytes(),
            more_troubles=run.troubles,
        )

    async def _calm(self) -> None:
        """Wait until what came before has no effect any more."""
        deadline, calm, before, at = self._clock() + _CALM_S, 0, self._cpu(), self._clock()
        while calm < _CALM_LOOKS and self._clock() < deadline:
            await self._rest(_LOOK_S)
            used, moment = self._cpu(), self._clock()
            calm = calm + 1 if used - before < _CALM * (moment - at) else 0
            before, at = used, moment

    def _cpu(self) -> float:
        total = 0.0
        for pid in self._subject.pids().values():
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                total += times.user + times.system
        return total


class _Run:
    """What is noted while a step runs."""

    def __init__(self, subject: Subject, plan: Plan, sampling: Sampling | None, clock: Callable[[], float]) -> None:
        self._subject, self.plan, self._sampling, self._clock = subject, plan, sampling, clock
        self._first = 0
        self.expected = self.written = 0
        self.began_at = self.sent_at = self.ended_at = clock()
        self.late_s = 0.0
        self.seen: list[tuple[float, float]] = []
        self.backlog: list[tuple[float, float]] = []
        self.costs = Costs()
        self.troubles: list[str] = []

    def planned(self, batch: Batch) -> None:
        """Count what a batch is to become, before it is sent."""
        for block in batch.blocks:
            self.expected += sum(len(values) - values.count(None) for values in block.columns.values())
        if self._sampling is not None:
            self._sampling(batch)

    async def before(self) -> None:
        """Note where things stand before anything is sent."""
        self._first = await self._subject.written()

    def begin(self) -> None:
        """Note that sending begins."""
        self.began_at = self._clock()
        self.costs.look(self._subject.pids())

    async def look(self, fleet: Fleet) -> None:
        """Note how far things are."""
        self.written = await self._subject.written() - self._first
        at, progress = self._clock() - self.began_at, fleet.progress
        self.seen.append((at, float(self.written)))
        if not fleet.done.is_set() and progress.planned:
            self.backlog.append((at, progress.acked * self.expected / progress.planned - self.written))
        self.costs.look(self._subject.pids())

    def end(self) -> None:
        """Note that everything has come that will."""
        self.ended_at = self._clock()
        self.costs.look(self._subject.pids())
