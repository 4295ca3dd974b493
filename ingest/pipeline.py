"""The way of a message through ingest: decode, admit, batch, write, acknowledge.

Messages are collected while the cycle before is being written. One cycle is written at a time, so the order of the
acknowledgements needs no bookkeeping, and under load the batches grow by themselves.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable

from contracts.deadletters import Reason
from ingest.admit import Admission, stamp
from ingest.context import Context
from ingest.cycle import Cycle, Outgoing
from ingest.metrics import Metrics
from ingest.outcomes import Arrival, Decoded, Ignored, Outcome
from ingest.parts import Parts
from ingest.patience import Patience, TooSlowError
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
    seconds a cycle that has begun waits for more. `batch_readings`: most readings of a batch. `receiver`: the name of
    this process in dead letters. `refiltered` is called when messages have announced other topics to subscribe to,
    and `count` with each cycle that is stored and acknowledged.
    """

    def __init__(  # noqa: PLR0913 - what it is made of, and three sizes
        self,
        routes: Routes,
        context: Context,
        admission: Admission,
        parts: Parts,
        patience: Patience,
        metrics: Metrics,
        *,
        window: int,
        linger: float,
        batch_readings: int,
        receiver: str = "",
        refiltered: Callable[[], None] = lambda: None,
        count: Callable[[Cycle], None] = lambda _: None,
    ) -> None:
        self._routes, self._context, self._admission, self._parts = routes, context, admission, parts
        self._patience, self._metrics = patience, metrics
        self._window, self._linger, self._batch_readings = window, linger, batch_readings
        self._enough = min(window // 2, CYCLE_MESSAGES)
        self._receiver, self._refiltered, self._count = receiver, refiltered, count
        self._cycle = Cycle(1, receiver)
        self._writing: Cycle | None = None
        self._in_flight = 0  # messages of the cycle that is being written
        self._arrived, self._due, self._settled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._draining = False
        self._not_before = 0.0
        self._latest = 0  # when the newest message was received

    def divide(self, partitions: int) -> None:
        """Set how many partitions the stream has: before the first message, and again whenever it may have changed."""
        if partitions != self._routes.partitions:
            self._routes.divide(partitions)
            if not self._cycle.receipts:
                self._cycle = Cycle(partitions, self._receiver)

    @property
    def held(self) -> int:
        """How many messages have been taken and are not acknowledged."""
        return len(self._cycle.receipts) + self._in_flight

    @property
    def full(self) -> bool:
        """Whether as much is held as may be: wait for `room` before taking more."""
        cycle = self._cycle
        return len(cycle.receipts) + self._in_flight >= self._window or cycle.bytes >= CYCLE_BYTES

    @property
    def oldest(self) -> int:
        """When the oldest message came that is held, ns since 1970 UTC; 0 if none is, but for what is taken again."""
        return (self._writing.began if self._writing else 0) or self._cycle.began

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

    def doubt(self, at: int) -> None:
        """Let decoders know that messages may have been missed up to `at`, ns since 1970 UTC."""
        self._context.memory.doubt(at)

    def take(self, arrival: Arrival, receipt: object, stored: asyncio.Event | None = None) -> None:
        """Decode, admit and batch one message; never raises.

        When it is on disk, `receipt` is acknowledged and `stored` set.
        """
        cycle, route, patience = self._cycle, None, self._patience
        self._latest = arrival.received
        if not cycle.began and not arrival.replayed:
            cycle.began = arrival.received
        try:
            try:
                patience.minding = arrival
                route = self._routes.of(arrival)
                decoded = self._decode(cycle, arrival, route)
            finally:
                patience.minding = None
            # What is put into the cycle is not given up halfway: limits bound it.
            if route is not None and decoded is not None:
                self._sort(cycle, arrival, route, decoded)
        except TooSlowError:
            self._reject(
                cycle, arrival, Reason.TOO_SLOW, "reading it was given up, since it did not come to an end", route
            )
        except Exception:  # noqa: BLE001 - our bug, with one message: it is kept with the traceback, and the next goes on
            self._reject(cycle, arrival, Reason.UNEXPECTED, ascii(traceback.format_exc())[-_TRACEBACK:], route)
        if stored is not None:
            cycle.stored.append(stored)
        receipts = cycle.receipts
        if not receipts:
            self._arrived.set()
        receipts.append(receipt)
        cycle.bytes += len(arrival.payload) + len(arrival.topic)
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
            self._count(cycle)
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
        cycle = self._cycle
        if changes := self._context.memory.changes():
            cycle.remembered += changes
            if self._routes.announce(changes):
                self._refiltered()
        self._parts.finish(cycle, self._latest)
        # Only now, when nothing more can fail: a cycle that is neither here nor there would be lost.
        self._cycle = Cycle(self._routes.partitions, self._receiver)
        self._in_flight = len(cycle.receipts)
        self._arrived.clear()
        if not self._draining:
            self._due.clear()
        return cycle

    def _decode(self, cycle: Cycle, arrival: Arrival, route: Route | None) -> Decoded | None:
        """Decode a message; None if it has no route, and is in the cycle as that."""
        if route is None:
            if arrival.replayed:  # its dead letter is gone: ignored, it would be lost
                self._reject(
                    cycle, arrival, Reason.MALFORMED, "no route takes its topic now; add one, then replay this"
                )
            else:
                cycle.ignore(Ignored.UNSUPPORTED)
            return None
        if (refusal := route.refusal(arrival, self._context.limits)) is not None:
            return refusal
        # Step 2. Decode: the payload becomes readings, problems, or a reason why there is nothing in it.
        return route.decode(arrival, route, self._context)

    def _sort(self, cycle: Cycle, arrival: Arrival, route: Route, decoded: Decoded) -> None:
        """Admit what was decoded, and put it into the cycle."""
        readings, device = decoded.readings, route.device
        if (
            len(readings) == 1
            and decoded.clean
            and readings[0].flags is NO_FLAGS
            and readings[0].device == device
            and (profile := self._admission.plain(device)) is not None
        ):
            self._parts.announce(cycle, device, arrival.received)
            cycle.add_whole(route.partition, stamp(readings[0], profile, route.name))
        else:
            self._parts.sort(cycle, arrival, route, decoded)

    def _reject(self, cycle: Cycle, arrival: Arrival, reason: Reason, detail: str, route: Route | None = None) -> None:
        cycle.reject(arrival, reason, detail, route.device if route else "", route)
        cycle.outcomes[Outcome.REJECTED, reason] += 1
