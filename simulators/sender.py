"""The fleet at work: each device's readings, recorded and published when they are due."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from contracts import topics
from simulators.fleet import Device, values
from simulators.metrics import Metrics
from simulators.payloads import broken, encode_values, fault, payload
from simulators.schedule import SECOND, Schedule

_TICK_S = 0.001
_BURST = 64
"""Messages sent before the loop is given a chance to read acknowledgements."""


class Outlet(Protocol):
    """A connection to the broker, as the sender sees it."""

    up: bool
    accepted: asyncio.Event

    @property
    def room(self) -> bool:
        """Whether another message may be published."""

    @property
    def unacked(self) -> int:
        """How many messages wait for their acknowledgement."""

    def publish(self, topic: str, payload: bytes, number: int | None) -> None:
        """Publish at QoS 1."""


class Record(Protocol):
    """A ledger, as the sender sees it."""

    @property
    def room(self) -> bool:
        """Whether another message may be recorded."""

    def record(
        self, device: str, ts: int, values: bytes | None, published: int, fault: tuple[str, bytes] | None
    ) -> int:
        """Enter a message; returns its number."""

    def acked(self, number: int, at: int) -> None:
        """Enter an acknowledgement."""


@dataclass
class Progress:
    """Counts so far. `behind_s` is how late the last message was sent, `worst_behind_s` the most that any was."""

    published: int = 0
    acked: int = 0
    malformed: int = 0
    behind_s: float = 0.0
    worst_behind_s: float = 0.0
    began: int = 0
    ended: int = 0


class Sender:
    """Sends what `schedule` says, over the `outlets` of its devices; give `acked` to the connections.

    An open loop: a message that is late (the broker is away, a window or the ledger's queue is full) is sent as soon
    as it can be, with the time of that moment, and none is skipped.
    """

    def __init__(
        self,
        *,
        schedule: Schedule,
        malformed: float,
        outlets: dict[Device, Outlet],
        ledger: Record | None,
        metrics: Metrics,
        now: Callable[[], int],
    ) -> None:
        self._schedule, self._malformed = schedule, malformed
        self._outlets, self._ledger, self._metrics, self._now = outlets, ledger, metrics, now
        self._names = {device.index: (device.id, topics.telemetry(device.id)) for device in outlets}
        self._last_ts = {device.index: 0 for device in outlets}
        self._all = list({id(outlet): outlet for outlet in outlets.values()}.values())
        self._number = 0
        self.progress = Progress()
        self.done = asyncio.Event()

    @property
    def up(self) -> bool:
        """Whether every connection is up."""
        return all(outlet.up for outlet in self._all)

    @property
    def unacked(self) -> int:
        """How many messages wait for the broker's acknowledgement."""
        return sum(outlet.unacked for outlet in self._all)

    async def run(self) -> None:
        """Wait for the broker, then send everything. Called again after a failure, it goes on where it was."""
        for outlet in self._all:
            await outlet.accepted.wait()
        progress, schedule = self.progress, self._schedule
        progress.began = progress.began or self._now()
        while True:
            elapsed = self._now() - progress.began
            if schedule.over(self._number, elapsed):
                break
            wait = self._send_due(elapsed)
            progress.ended = self._now()
            await asyncio.sleep(wait)
        self._metrics.done.set(1)
        self.done.set()

    def acked(self, number: int) -> None:
        """Note the broker's acknowledgement of message `number`."""
        if self._ledger is not None:
            self._ledger.acked(number, self._now())
        self.progress.acked += 1
        self._metrics.acked.inc()

    def _send_due(self, elapsed: int) -> float:
        """Send a burst of what is due `elapsed` ns after the start; returns how many seconds to wait."""
        progress, schedule = self.progress, self._schedule
        for _ in range(_BURST):
            if schedule.over(self._number, elapsed):
                return 0
            late = elapsed - schedule.due_at(self._number)
            if late < 0:
                return max(_TICK_S, min(0.1, -late / SECOND))
            device = schedule.device(self._number)
            outlet = self._outlets[device]
            if not schedule.flat_out:
                progress.behind_s = late / SECOND
                progress.worst_behind_s = max(progress.worst_behind_s, progress.behind_s)
                self._metrics.behind.set(progress.behind_s)
            if not (outlet.room and (self._ledger is None or self._ledger.room)):
                return _TICK_S
            self._send(device, schedule.turn(self._number), outlet)
            self._number += 1
        return 0

    def _send(self, device: Device, turn: int, outlet: Outlet) -> None:
        now, index = self._now(), device.index
        ts = self._last_ts[index] = max(now, self._last_ts[index] + 1)
        name, topic = self._names[index]
        kind = fault(device.seed, index, turn, self._malformed)
        if kind:
            encoded, body = None, broken(kind, ts)
            self.progress.malformed += 1
            self._metrics.malformed.inc()
        else:
            encoded = encode_values(values(device, ts))
            body = payload(ts, encoded)
        number = self.progress.published
        if self._ledger is not None:
            number = self._ledger.record(name, ts, encoded, now, (kind, body) if kind else None)
        outlet.publish(topic, body, number)
        self.progress.published += 1
        self._metrics.published.inc()
