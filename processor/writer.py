"""Writing batches to the store, in a thread of its own, until it has taken them or they are known to be at fault."""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from contracts.backoff import delays, set_within
from contracts.deletions import Deletion
from contracts.derived import Window as ClosedWindow
from contracts.logs import Log
from contracts.timeseries import Tier
from processor.engine import Batch, Deleted, Engine, Written
from processor.metrics import Metrics
from processor.store import NewerSchemaError, Store, StoreUnavailableError

NAME = "time-series store"
_MOST_DETAIL = 8_000
"""Characters of a traceback that are kept: the end says what happened."""


_LONGEST_WAIT_S = 60.0
"""A store that asks to be left alone for longer is tried again even so."""

T = TypeVar("T")


class StoppedError(Exception):
    """The service stops: what was not written stays unacknowledged, and comes again."""


@dataclass
class Outcome:
    """What became of some batches: for each, None, or the traceback that tells why it cannot be stored."""

    problems: list[str | None]
    written: list[Written]


class Writer:
    """The store as the rest of the service sees it: a write is done, or known to be impossible, when it returns.

    While the store is unavailable a write is held and tried again, with growing delays; `missing` says so.
    """

    def __init__(self, engine: Engine, store: Store, metrics: Metrics, rng: Random, log: Log) -> None:
        self._engine, self._store, self._metrics, self._rng, self._log = engine, store, metrics, rng, log
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="processor-store")
        self._stopping = asyncio.Event()
        self._error = ""  # why the store is unavailable, while it is
        self.missing: str | None = NAME
        """The store's name while it is unavailable, with what an operator has to do about it if that is known."""

    async def open(self) -> None:
        """Open the store, or make it; returns once that works, or the service stops."""
        with contextlib.suppress(StoppedError):
            await self._until_available(self._engine.open)

    async def write(self, batches: Sequence[Batch], epochs: Mapping[int, int]) -> Outcome:
        """Store `batches` in order, of partitions that are owned with `epochs`.

        Everything goes into one transaction. If that fails for a reason that lies in a batch, each batch gets a
        transaction of its own, so that its neighbours are stored. Raises StoppedError if the service stops first.
        """
        try:
            return Outcome([None] * len(batches), await self._commit(batches, epochs))
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must cost nothing but the batch at fault
            if len(batches) == 1:
                return Outcome(["".join(traceback.format_exception(error))[-_MOST_DETAIL:]], [])
            parts = [await self.write([batch], epochs) for batch in batches]
            return Outcome(
                [one for part in parts for one in part.problems], [w for part in parts for w in part.written]
            )

    async def delete(self, partition: int, deletion: Deletion, epochs: Mapping[int, int]) -> Deleted | str:
        """Delete a range; see Engine.delete. Returns a traceback if it cannot be done for a reason nobody foresaw.

        Raises StoppedError if the service stops first.
        """

        def work() -> Deleted:
            with self._metrics.commit_seconds.time():
                deleted = self._engine.delete(partition, deletion, epochs)
            self._metrics.wrote([], deleted.written)
            return deleted

        try:
            return await self._until_available(work)
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `write`
            return "".join(traceback.format_exception(error))[-_MOST_DETAIL:]

    async def drop(self, profile: str, tier: Tier, before: int) -> int:
        """Drop what is older than it has to be kept; see Store.drop. Raises StoreUnavailableError."""
        return await self.run(lambda: self._store.drop(profile, tier, before))

    async def due(self, now: int, epochs: Mapping[int, int]) -> list[tuple[int, ClosedWindow]]:
        """Return the windows that the clock closes; see Engine.due."""
        return await self.run(lambda: self._engine.due(now, epochs))

    async def run(self, work: Callable[[], T]) -> T:
        """Do other work on the store, between two writes."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def stop(self) -> None:
        """Give up what is held: the write that runs is finished, none is tried again."""
        self._stopping.set()

    async def close(self) -> None:
        """Close the store after the write that runs. A second time does nothing."""
        self.stop()
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        self._thread.shutdown()
        self._engine.close()

    async def _commit(self, batches: Sequence[Batch], epochs: Mapping[int, int]) -> list[Written]:
        if not any(readings for _, readings in batches):
            return []

        def work() -> Written:
            with self._metrics.commit_seconds.time():
                written = self._engine.write(batches, epochs)
            self._metrics.wrote([reading for _, readings in batches for reading in readings], written)
            return written

        return [await self._until_available(work)]

    async def _until_available(self, work: Callable[[], T]) -> T:
        waits = delays(self._rng)
        while not self._stopping.is_set():
            try:
                done = await self.run(work)
            except StoreUnavailableError as error:
                self._hold(error)
                wait = max(next(waits), min(error.wait, _LONGEST_WAIT_S))
            else:
                self._release()
                return done
            await set_within(self._stopping, wait)
        raise StoppedError

    def _hold(self, error: StoreUnavailableError) -> None:
        newer = isinstance(error, NewerSchemaError)
        if str(error) != self._error:
            report = self._log.error if newer else self._log.warning
            report("store.unavailable", error=str(error))
        self._error = str(error)
        self.missing = f"{NAME} ({error})" if newer else NAME
        self._metrics.hold()

    def _release(self) -> None:
        if self._error:
            self._log.info("store.available")
        self.missing = None
        self._error = ""
        self._metrics.release()
