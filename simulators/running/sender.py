"""Sends a plan over connections, each message at its moment, and enters all of it into the ledger."""

import asyncio
import bisect
from collections.abc import Awaitable, Callable, Mapping, Sequence

from simulators.connections.outlet import AS_IS, Outgoing, Outlet
from simulators.faults.injector import Act
from simulators.metrics import Metrics
from simulators.plan.batch import Batch, Expect
from simulators.plan.devices import Device
from simulators.plan.plan import Part, Plan
from simulators.running.progress import Progress
from simulators.running.queue import Queue, Timed
from simulators.truth.keeping import Ledger, LedgerError

SLICE_S = 0.05
"""How much of a plan is made in one go, and about how long before it is due."""

MOST_UNACKED = 200_000
"""Messages that may wait for the broker; beyond that, sending waits, and the fleet falls behind its schedule."""

_BURST = 512
_TICK_S = 0.004
"""Messages that are less apart leave together: waking up costs the fleet, the broker and ingest."""
_BACK = "back"  # the end of a flap
_NANO = 1_000_000_000


class Sender:
    """An open loop: a message's moment does not depend on what became of those before it, and none is skipped.

    It is the Listener of all outlets. The plan begins once every connection has been accepted for the first time.
    `follow` is told of each batch before any of it is sent; `rest` waits for seconds.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        ledger: Ledger | None,
        metrics: Metrics,
        now: Callable[[], int],
        follow: Callable[[Batch], None] | None = None,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._plan, self._ledger, self._metrics, self._now = plan, ledger, metrics, now
        self._follow, self._rest = follow, rest
        self._outlets: dict[int, Outlet] = {}
        self._devices: dict[Outlet, list[tuple[Part, list[Device]]]] = {}
        self._listening: dict[tuple[Outlet, str], list[tuple[Part, list[Device]]]] = {}
        self._parts = {device.number: (part, device) for part in plan.parts for device in part.devices}
        self._stamped = {number for number, (part, _) in self._parts.items() if part.format.session}
        self._as_is: set[int] = set()
        """Messages that are to be rejected: sent as the ledger has them, so that their dead letters are known by it."""

        self._greetings: set[int] = set()
        self._greeted: set[Outlet] = set()
        self._queue = Queue()
        self._acts: list[Act] = []
        self._handed = self._settled = 0
        self._accepted = asyncio.Event()
        self.progress = Progress()
        self.done = asyncio.Event()
        self.trouble = ""
        """Why something that devices say when they come or go was not sent."""

    def use(self, outlets: Mapping[int, Outlet]) -> None:
        """Say by which outlet each device publishes, by its number; before anything is started."""
        self._outlets = dict(outlets)
        for part in self._plan.parts:
            shares: dict[Outlet, list[Device]] = {}
            for device in part.devices:
                shares.setdefault(outlets[device.number], []).append(device)
            for outlet, devices in shares.items():
                self._devices.setdefault(outlet, []).append((part, devices))
                topics: dict[str, list[Device]] = {}
                for device in devices:
                    for topic in part.format.subscriptions(device):
                        topics.setdefault(topic, []).append(device)
                for topic, those in topics.items():
                    self._listening.setdefault((outlet, topic), []).append((part, those))

    @property
    def up(self) -> bool:
        """Whether every connection has been accepted, and is there now."""
        return self._accepted.is_set() and all(outlet.up for outlet in self._devices)

    @property
    def unacked(self) -> int:
        """How many messages were handed over and wait for the broker's acknowledgement."""
        return self._handed - self._settled

    async def run(self) -> None:
        """Wait for the broker, then send everything."""
        await self._accepted.wait()
        progress = self.progress
        progress.began = self._now()
        slices = self._plan.slices(progress.began, SLICE_S)
        length = int(SLICE_S * _NANO)
        made_until: int | None = progress.began
        while made_until is not None or len(self._queue):
            now = self._now()
            if made_until is not None and now >= made_until - length and self._room:
                made_until = self._make(next(slices, None), made_until, made_until + length)
                if made_until is None:
                    self._queue.finish()
            self._perform(now)
            await self._rest(self._send_due(now, made_until, length))
        progress.ended = max(progress.ended, self._now())
        self._metrics.done.set(1)
        self.done.set()

    def farewell(self) -> None:
        """Have all devices that are connected say that they leave."""
        for outlet, shares in self._devices.items():
            if outlet.up:
                for part, devices in shares:
                    self._greet(outlet, self._plan.closing(devices, self._now(), part))

    @property
    def _room(self) -> bool:
        return self.unacked + len(self._queue) < MOST_UNACKED and (self._ledger is None or self._ledger.room)

    def _make(self, batches: list[Batch] | None, start: int, end: int) -> int | None:
        """Take a slice of the plan into the queue; gives when it is over, None if the plan is."""
        if batches is None:
            return None
        for batch in batches:
            if self._ledger is not None:
                self._ledger.batch(batch)
            if self._stamped.intersection(batch.devices):
                self._as_is.update(
                    batch.first + place for place, expect in enumerate(batch.expects) if expect is not Expect.STORED
                )
            self.progress.planned += len(batch)
            faulty = len(batch) - batch.faults.count("")
            self.progress.faulty += faulty
            self._metrics.faulty.inc(faulty)
            if self._follow is not None:
                self._follow(batch)
        self._queue.add(batches, end)
        for part in self._plan.parts:
            if part.injector is not None:
                self._acts += part.injector.acts(self.progress.began, start, end)
        self._acts.sort()
        return end

    def _send_due(self, now: int, made_until: int | None, length: int) -> float:
        """Send what is due; gives how many seconds there is nothing to do."""
        if self.unacked >= MOST_UNACKED:
            return _TICK_S
        due = self._queue.take(now, _BURST)
        if due:
            self.progress.behind_s = late = (now - due[0][0]) / _NANO
            self.progress.worst_behind_s = max(self.progress.worst_behind_s, late)
            self._metrics.behind.set(late)
            self._hand_over(due)
        if len(due) == _BURST:
            return 0
        moments = [self._queue.next, made_until - length if made_until is not None else None]
        following = min((moment for moment in moments if moment is not None), default=now)
        return min(SLICE_S, max(_TICK_S, (following - now) / _NANO))

    def _hand_over(self, due: list[Timed]) -> None:
        groups: dict[Outlet, list[Outgoing]] = {}
        for _, message, device in due:
            outlet = self._outlets[device]
            if self._as_is and message[0] in self._as_is:
                self._as_is.discard(message[0])
                message = (*message[:3], message[3] | AS_IS)  # noqa: PLW2901 - the same message, marked
            group = groups.get(outlet)
            if group is None:
                groups[outlet] = [message]
            else:
                group.append(message)
        self._handed += len(due)
        for outlet, messages in groups.items():
            outlet.send(messages)
        self.progress.ended = self._now()

    def _perform(self, now: int) -> None:
        while self._acts and self._acts[0].at <= now:
            act = self._acts.pop(0)
            outlet, (part, device) = self._outlets[act.device], self._parts[act.device]
            if act.kind == "flap":
                self._greet(outlet, self._plan.closing([device], now, part))
                bisect.insort(self._acts, Act(now + int(act.seconds * _NANO), act.device, _BACK))
            elif act.kind == _BACK:
                self._greet(outlet, self._plan.opening([device], now, part))
            else:
                outlet.act(act.kind, act.seconds, act.amount)

    def _greet(self, outlet: Outlet, batch: Batch) -> None:
        """Send what devices say when they come or go, unless the ledger cannot hold it."""
        if not len(batch):
            return
        if self._ledger is not None:
            try:
                self._ledger.batch(batch)
            except LedgerError as error:  # an outlet may have called, which is to go on all the same
                self.trouble = str(error)
                return
        numbers = range(batch.first, batch.first + len(batch))
        self._greetings.update(numbers)
        self._handed += len(batch)
        outlet.send(list(zip(numbers, batch.topics, batch.payloads, batch.flags, strict=True)))

    # What outlets tell.

    def connected(self, outlet: Outlet) -> None:
        """Have its devices say that they are there."""
        if outlet in self._greeted:
            self.progress.reconnects += 1
            self._metrics.reconnects.inc()
        for part, devices in self._devices[outlet]:
            self._greet(outlet, self._plan.opening(devices, self._now(), part))
        self._greeted.add(outlet)
        if len(self._greeted) == len(self._devices):
            self._accepted.set()

    def lost(self, outlet: Outlet, reason: str) -> None:
        """Go on: the outlet comes back by itself."""

    def sent(self, numbers: Sequence[int], at: int) -> None:
        """Enter it."""
        if self._ledger is not None:
            self._ledger.sent(numbers, at)
        count = len(numbers) - len(self._greetings.intersection(numbers)) if self._greetings else len(numbers)
        self.progress.published += count
        self._metrics.published.inc(count)

    def acked(self, numbers: Sequence[int], at: int) -> None:
        """Enter it."""
        if self._ledger is not None:
            self._ledger.acked(numbers, at)
        self._settled += len(numbers)
        count = len(numbers)
        if self._greetings:
            theirs = self._greetings.intersection(numbers)
            self._greetings -= theirs
            count -= len(theirs)
        self.progress.acked += count
        self._metrics.acked.inc(count)

    def received(self, outlet: Outlet, topic: str, payload: bytes) -> None:
        """Say it all again where that is asked for."""
        for part, devices in self._listening.get((outlet, topic), ()):
            asked = [device for device in devices if part.format.asks(device, topic, payload)]
            if asked:
                self._greet(outlet, self._plan.opening(asked, self._now(), part))
