"""Writing batches to the store, in a thread of its own, until it has taken them or they are known to be at fault."""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

from contracts.backoff import delays
from contracts.logs import Log
from contracts.readings import Reading
from processor.metrics import Metrics
from processor.timeseries import NewerSchemaError, StoreUnavailableError, TimeSeries

NAME = "time-series store"
_MOST_DETAIL = 8_000
"""Characters of a traceback that are kept: the end says what happened."""


class StoppedError(Exception):
    """The service stops: what was not written stays unacknowledged, and comes again."""


class Writer:
    """The store as the rest of the service sees it: a write is done, or known to be impossible, when it returns.

    While the store is unavailable a write is held and tried again, with growing delays; `missing` says so.
    """

    def __init__(self, store: TimeSeries, metrics: Metrics, rng: Random, log: Log) -> None:
        self._store, self._metrics, self._rng, self._log = store, metrics, rng, log
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="processor-store")
        self._stopping = asyncio.Event()
        self._held = False
        self.missing: str | None = NAME
        """The store's name while it is unavailable, with what an operator has to do about it if that is known."""

    async def open(self) -> None:
        """Open the store, or make it; returns once that works, or the service stops."""
        with contextlib.suppress(StoppedError):
            await self._until_available(self._store.open)

    async def write(self, batches: Sequence[list[Reading]]) -> list[str | None]:
        """Store `batches` in order; for each returns None, or the traceback that tells why it cannot be stored.

        Everything goes into one transaction. If that fails for a reason that lies in a batch, each batch gets a
        transaction of its own, so that its neighbours are stored. Raises StoppedError if the service stops first.
        """
        try:
            await self._commit([reading for batch in batches for reading in batch])
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must cost nothing but the batch at fault
            if len(batches) == 1:
                return ["".join(traceback.format_exception(error))[-_MOST_DETAIL:]]
            return [problem for batch in batches for problem in await self.write([batch])]
        return [None] * len(batches)

    def stop(self) -> None:
        """Give up what is held: the write that runs is finished, none is tried again."""
        self._stopping.set()

    async def close(self) -> None:
        """Close the store after the write that runs. A second time does nothing."""
        self.stop()
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        self._thread.shutdown()
        self._store.close()

    async def _commit(self, readings: list[Reading]) -> None:
        if not readings:
            return

        def work() -> None:
            with self._metrics.commit_seconds.time():
                written = self._store.write(readings)
            self._metrics.wrote(readings, written)

        await self._until_available(work)

    async def _until_available(self, work: Callable[[], None]) -> None:
        waits = delays(self._rng)
        while not self._stopping.is_set():
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, work)
            except StoreUnavailableError as error:
                self._hold(error)
            else:
                self._release()
                return
            try:
                async with asyncio.timeout(next(waits)):
                    await self._stopping.wait()
            except TimeoutError:
                continue
        raise StoppedError

    def _hold(self, error: StoreUnavailableError) -> None:
        newer = isinstance(error, NewerSchemaError)
        missing = f"{NAME} ({error})" if newer else NAME
        if not self._held or self.missing != missing:
            report = self._log.error if newer else self._log.warning
            report("store.unavailable", error=str(error))
        self.missing = missing
        self._held = True
        self._metrics.hold()

    def _release(self) -> None:
        if self._held:
            self._log.info("store.available")
        self.missing = None
        self._held = False
        self._metrics.release()
