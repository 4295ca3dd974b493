"""The way of a message through ingest: decode, admit, batch, write, acknowledge.

Messages are collected while the cycle before is being written. One cycle is written at a time, so the order of the
acknowledgements needs no bookkeeping, and under load the batches grow by themselves.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable

from contracts.deadletters import Reason
from contracts.presence import Presence
from ingest.admit import REFUSED, Admission
from ingest.cycle import Cycle, Outgoing
from ingest.decode import Decoder, status
from ingest.metrics import Metrics
from ingest.outcomes import Arrival, Decoded, Ignored, Outcome
from ingest.routes import Route, Routes
from ingest.times import NO_FLAGS

Write = Callable[[list[Outgoing]], Awaitable[None]]
"""Returns when everything is on disk, however long that takes."""

Acknowledge = Callable[[list[object]], Awaitable[None]]
"""Tells the source of each receipt, in order, that its message is on disk."""

SPACING = 4
"""A cycle is written no sooner than this many times the duration of the last write after that write began. The stream
server then spends at most a quarter of its time on fsyncs for us, and batches grow instead."""

SPACING_CAP_S = 0.1
CYCLE_MESSAGES = 4_000
CYCLE_BYTES = 16 << 20
_TRACEBACK = 4_000


class Pipeline:
    """Takes messages from any source, holds them until the stream has them, then acknowledges them.

    `window`: most messages held, those being collected and those being written together. `linger`: for how many
    seconds a cycle that has begun waits for more. `batch_readings`: most readings of a batch.
    """

    def __init__(
        self,
        decoder: Decoder,
        admission: Admission,
        metrics: Metrics,
        *,
        window: int,
        linger: float,
        batch_readings: int,
    ) -> None:
        self._decoder, self._admission, self._metrics = decoder, admission, metrics
        self._window, self._linger, self._batch_readings = window, linger, batch_readings
        self._enough = min(window // 2, CYCLE_MESSAGES)
        self._routes = Routes()
        self._cycle = Cycle(1)
        self._writing: Cycle | None = None
        self._in_flight = 0  # messages of the cycle that is being written
        self._arrived, self._due, self._settled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._draining = False
        self._not_before = 0.0

    def divide(self, partitions: int) -> None:
        """Set how many partitions the stream has: before the first message, and again whenever it may have changed."""
        if partitions != self._routes.partitions:
            self._routes.divide(partitions)
            if not self._cycle.receipts:
                self._cycle = Cycle(partitions)

    @property
    def held(self) -> int:
        """How many messages have been taken and are not acknowledged."""
        return len(self._cycle.receipts) + self._in_flight

    @property
    def full(self) -> bool:
        """Whether as much is held as may be: wait for `room` before taking more."""
        cycle = self._cycle
        return len(cycle.receipts) + self._in_flight >= self._window or cycle.bytes >= CYCLE_BYTES

    async def room(self) -> None:
        """Wait until more may be taken."""
        while self.full:
            self._settled.clear()
            await self._settled.wait()

    async def drained(self) -> None:
        """Write what is held without waiting for more, and return when it is acknowledged."""
        self._draining = True
        self._due.set()
        while self.held:
            self._settled.clear()
            await self._settled.wait()

    def take(self, arrival: Arrival, receipt: object, stored: asyncio.Event | None = None) -> None:
        """Decode, admit and batch one message; never raises.

        When it is on disk, `receipt` is acknowledged and `stored` set.
        """
        cycle = self._cycle
        try:
            route = self._routes.of(arrival.topic)
            if route.has_readings:
                self._sort(cycle, arrival, route, self._decoder.decode(route, arrival))
            else:
                self._take_other(cycle, arrival, route)
        except Exception:  # noqa: BLE001 - our bug, with one message: it is kept with the traceback, and the next goes on
            self._reject(cycle, arrival, Reason.UNEXPECTED, ascii(traceback.format_exc())[-_TRACEBACK:])
        if stored is not None:
            cycle.stored.append(stored)
        receipts = cycle.receipts
        if not receipts:
            self._arrived.set()
        receipts.append(receipt)
        cycle.bytes += len(arrival.payload)
        if len(receipts) >= self._enough or cycle.bytes >= CYCLE_BYTES:
            self._due.set()

    def reject(self, arrival: Arrival, reason: Reason, detail: str, stored: asyncio.Event) -> None:
        """Take a message that its source cannot read; `stored` is set when its dead letter is on disk."""
        self._reject(self._cycle, arrival, reason, detail)
        self._cycle.stored.append(stored)
        self._cycle.receipts.append(None)
        self._arrived.set()

    async def run(self, write: Write, acknowledge: Acknowledge) -> None:
        """Write cycle after cycle, for ever. Begun again after a failure, it goes on with the cycle that failed."""
        loop = asyncio.get_running_loop()
        while True:
            cycle = self._writing = self._writing or await self._collected()
            began = loop.time()
            await write(cycle.outgoing(self._batch_readings))
            took = loop.time() - began
            self._not_before = began + min(took * SPACING, SPACING_CAP_S)
            self._metrics.stored(cycle, took)
            # Step 6. PUBACK: only now may the broker forget these messages.
            await acknowledge(cycle.receipts)
            for stored in cycle.stored:
                stored.set()
            self._writing, self._in_flight = None, 0
            self._settled.set()

    async def _collected(self) -> Cycle:
        """Wait for a message and for those that come soon after it."""
        loop = asyncio.get_running_loop()
        await self._arrived.wait()
        wait = max(self._linger, self._not_before - loop.time())
        if wait > 0 and not self._draining:
            timer = loop.call_later(wait, self._due.set)
            await self._due.wait()
            timer.cancel()
        cycle, self._cycle = self._cycle, Cycle(self._routes.partitions)
        self._in_flight = len(cycle.receipts)
        self._arrived.clear()
        if not self._draining:
            self._due.clear()
        return cycle

    def _sort(self, cycle: Cycle, arrival: Arrival, route: Route, decoded: Decoded) -> None:
        """Put each part of a decoded message where it belongs, and count the message once."""
        readings, device = decoded.readings, route.device
        if readings:
            refusal = self._admission.admit(device)
            if refusal is not None:
                self._reject(cycle, arrival, refusal, REFUSED[refusal], device)
                return
            if self._admission.announces(device, arrival.received):
                cycle.add_presence(Presence(1, device, "seen", arrival.received))
            if decoded.clean and len(readings) == 1 and readings[0].flags is NO_FLAGS:
                cycle.add_whole(route.partition, readings[0])
                return
            cycle.add(route.partition, readings)
        problems = decoded.problems
        cycle.no_values += decoded.no_values
        cycle.untimed += decoded.untimed
        if problems is not None:
            cycle.reject(arrival, problems.reason, problems.detail, device)
        if readings:
            cycle.outcomes[Outcome.STORED, problems.reason if problems else ""] += 1
        elif problems is not None:
            cycle.outcomes[Outcome.REJECTED, problems.reason] += 1
        else:
            cycle.outcomes[Outcome.IGNORED, decoded.ignored or Ignored.EMPTY] += 1

    def _take_other(self, cycle: Cycle, arrival: Arrival, route: Route) -> None:
        if route.kind == "other":
            cycle.outcomes[Outcome.IGNORED, Ignored.UNSUPPORTED] += 1
        elif route.problem is not None:
            self._reject(cycle, arrival, Reason.BAD_DEVICE, f"the device id {route.problem}", route.device)
        elif isinstance(online := status(arrival.payload), Decoded):
            self._sort(cycle, arrival, route, online)
        elif self._admission.admit(route.device) is Reason.UNKNOWN_DEVICE:
            cycle.outcomes[Outcome.IGNORED, Ignored.UNKNOWN_DEVICE] += 1
        else:
            cycle.add_presence(Presence(1, route.device, "online" if online else "offline", arrival.received))
            cycle.outcomes[Outcome.IGNORED, Ignored.PRESENCE] += 1

    def _reject(self, cycle: Cycle, arrival: Arrival, reason: Reason, detail: str, device: str = "") -> None:
        cycle.reject(arrival, reason, detail, device)
        cycle.outcomes[Outcome.REJECTED, reason] += 1
