"""How long messages take from when they are due until the query API gives them. A sample of them is followed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol, Self

import numpy as np

from simulators.plan.batch import ARRIVAL, Batch, Expect
from simulators.plan.plan import Plan
from simulators.truth.histogram import Histogram
from simulators.truth.newest import Newest

TIMEOUT_S = 30.0
MOST = 900
"""Messages that may be followed at a time."""

_SOONEST_S, _LATEST_S = 0.003, 0.1
_PART = 5
"""A look comes after a fifth of the mean age of what is followed: it is seen a tenth of a latency late at most."""

_NANO = 1_000_000_000
_GOLDEN = (5**0.5 - 1) / 2


class _Sample(NamedTuple):
    device: str
    metric: str
    ts: int
    intended: int


class Asked(Protocol):
    """What tells which points there are: simulators.truth.newest.Newest, for all that is followed at once."""

    async def of(self, devices: list[str], metrics: set[str]) -> dict[tuple[str, str], int]:
        """Give the time of the newest point of each device and metric that has one."""

    def close(self) -> None:
        """Release what it holds."""


class Follower:
    """Follows messages until the API at `url` gives their points; use it as an asynchronous context manager.

    An open loop: each is followed from when it is due, and none waits for another. One that has not come after
    `timeout_s` is given up, and counts as having taken so long. `told` hears of each when it was due and how long it
    took, both in ns; `rest` waits for seconds.
    """

    def __init__(
        self,
        url: str,
        key: str,
        now: Callable[[], int],
        *,
        timeout_s: float = TIMEOUT_S,
        told: Callable[[int, int], None] = lambda _due, _took: None,
        api: Asked | None = None,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api: Asked = Newest(url, key) if api is None else api
        self._now, self._timeout, self._told, self._rest = now, int(timeout_s * _NANO), told, rest
        self._samples: list[_Sample] = []
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.histogram = Histogram()
        self.given_up = 0
        self.missed = 0
        """Messages that were to be followed while as many were as may be."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="follower")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._api.close()

    @property
    def following(self) -> int:
        """How many messages have not come yet."""
        return len(self._samples)

    def follow(self, device: str, metric: str, ts: int, intended: int) -> None:
        """Follow a message that is due at `intended`, whose point of `metric` is to be stored at `ts` (both ns)."""
        if len(self._samples) >= MOST:
            self.missed += 1
            return
        self._samples.append(_Sample(device, metric, ts, intended))
        self._more.set()

    async def finished(self) -> None:
        """Wait until all that is followed has come, or is given up."""
        while self._samples:
            await self._rest(_LATEST_S)

    def give_up(self) -> None:
        """Follow no more: what was due and has not come counts as having taken until now, for it took longer."""
        now, left = self._now(), self._samples
        self._samples = []
        for sample in left:
            if sample.intended <= now:
                self.given_up += 1
                self._note(sample.intended, now - sample.intended)

    async def _run(self) -> None:
        while True:
            while not self._samples:
                self._more.clear()
                await self._more.wait()
            now = self._now()
            due = [sample for sample in self._samples if sample.intended <= now]
            if due:
                await self._look(due)
            await self._rest(_pause(self._samples, self._now()))

    async def _look(self, due: list[_Sample]) -> None:
        devices, metrics = dict.fromkeys(sample.device for sample in due), {sample.metric for sample in due}
        found = await self._api.of(list(devices), metrics)
        now = self._now()
        left = []
        for sample in self._samples:
            took = now - sample.intended
            if found.get((sample.device, sample.metric), -1) >= sample.ts:
                self._note(sample.intended, took)
            elif took >= self._timeout:
                self.given_up += 1
                self._note(sample.intended, self._timeout)
            else:
                left.append(sample)
        self._samples = left

    def _note(self, intended: int, took: int) -> None:
        self.histogram.add(np.array([took], dtype=np.int64))
        self._told(intended, max(0, took))


class Sampling:
    """Chooses which messages of a plan a follower follows: before they are sent, a device after the other.

    Chosen are messages that have a time of their own and nothing wrong with them; what has no time cannot be told from
    what was stored before it. About `rate` a second are chosen, never at even distances: devices have their turns.
    """

    def __init__(self, plan: Plan, follower: Follower, rate: float = 20.0) -> None:
        self._plan, self._follower = plan, follower
        self._apart, self._next, self._chosen = _NANO / rate, 0, 0

    def __call__(self, batch: Batch) -> None:
        """Choose among the messages of a batch, which come by the time when they are due."""
        for block in batch.blocks:
            if not block.columns or (len(batch) and batch.intended[-1] < self._next):
                continue
            for row, message in enumerate(block.messages):
                intended = batch.intended[message]
                if intended < self._next or block.ts[row] == ARRIVAL:
                    continue
                if batch.faults[message] or batch.expects[message] is not Expect.STORED:
                    continue
                metric = next((name for name, values in block.columns.items() if values[row] is not None), None)
                if metric is not None:
                    self._chosen += 1
                    self._next = intended + int(self._apart * (0.75 + 0.5 * (self._chosen * _GOLDEN % 1)))
                    device = self._plan.stored(block.devices[row]).device
                    self._follower.follow(device, metric, block.ts[row], intended)


def _pause(samples: list[_Sample], now: int) -> float:
    """Say how long to wait until the next look, in s."""
    ages = [age for sample in samples if (age := now - sample.intended) >= 0]
    if not ages:
        return _SOONEST_S
    return min(_LATEST_S, max(_SOONEST_S, sum(ages) / len(ages) / _PART / _NANO))
