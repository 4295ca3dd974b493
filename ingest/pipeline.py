"""The way of a message through ingest: decode, admit, batch, write, acknowledge.

Messages are collected while the cycle before is being written, and for `linger` at least; then they are written
together and acknowledged in the order in which they came. One cycle is written at a time, so the order needs no
bookkeeping, and under load the batches grow by themselves.
"""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable

from ingest.admit import Admission
from ingest.cycle import Cycle
from ingest.decode import Decoder
from ingest.metrics import Metrics
from ingest.outcomes import Arrival

Write = Callable[[list[tuple[str, bytes]]], Awaitable[None]]
Acknowledge = Callable[[], Awaitable[bool]]
"""Tells the source that its message is on disk; false if the source is gone, and will send it again."""


class Pipeline:
    """Takes messages from any source. `limit` is how many are held at most before `room` waits."""

    def __init__(
        self, decoder: Decoder, admission: Admission, write: Write, metrics: Metrics, *, linger: float, limit: int
    ) -> None:
        self._decoder, self._admission, self._write, self._metrics = decoder, admission, write, metrics
        self._linger, self._limit = linger, limit
        self.partitions = 1
        """How many the stream has; set before the first message."""
        self._cycle: Cycle | None = None
        self._acknowledge: list[Acknowledge] = []  # one for each message that is collected
        self._writing = 0
        self._unwritten: tuple[Cycle, list[Acknowledge]] | None = None
        self._some, self._room, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self._idle.set()

    @property
    def full(self) -> bool:
        """Whether as much is held as may be: wait for `room` before taking more."""
        return len(self._acknowledge) + self._writing >= self._limit

    async def room(self) -> None:
        """Wait until more may be taken."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def stop_intake(self) -> None:
        """Take nothing more: `room` waits for ever from now on."""
        self._limit = 0

    async def drained(self) -> None:
        """Wait until everything taken is written and acknowledged."""
        await self._idle.wait()

    def take(self, arrival: Arrival, acknowledge: Acknowledge) -> None:
        """Decode, admit and batch one message; it is acknowledged when its cycle is on disk."""
        cycle = self._cycle = self._cycle or Cycle(self.partitions)
        try:
            decoded = self._decoder.decode(arrival)
            announce = self._admission.admit(decoded, arrival.received)
            cycle.add(arrival, decoded, announce=announce)
        except Exception:  # noqa: BLE001 - our bug, about one message: kept with its traceback, and the next one goes on
            cycle.fail(arrival, ascii(traceback.format_exc())[-4000:])
        self._acknowledge.append(acknowledge)
        if not self._some.is_set():
            self._some.set()
            self._idle.clear()

    async def run(self) -> None:
        """Write cycle after cycle, for ever. Begun again after a failure, it goes on with the cycle that failed."""
        while True:
            cycle, acknowledge = self._unwritten = self._unwritten or await self._collect()
            began = time.perf_counter()
            await self._write(cycle.messages())
            self._metrics.write_seconds.observe(time.perf_counter() - began)
            self._metrics.count(cycle)
            self._unwritten = None
            # Step 6. Acknowledge: only now, in the order of arrival.
            for told in acknowledge:
                if not await told():
                    self._metrics.unacknowledged.inc()
            self._writing = 0
            self._metrics.held.set(len(self._acknowledge))
            self._room.set()
            if not self._some.is_set():
                self._idle.set()

    async def _collect(self) -> tuple[Cycle, list[Acknowledge]]:
        """Wait for a message and for those that come soon after it."""
        await self._some.wait()
        if self._linger and not self.full:
            await asyncio.sleep(self._linger)
        cycle, self._cycle = self._cycle or Cycle(self.partitions), None
        acknowledge, self._acknowledge = self._acknowledge, []
        self._some.clear()
        self._writing = len(acknowledge)
        self._metrics.held.set(self._writing)
        return cycle, acknowledge
