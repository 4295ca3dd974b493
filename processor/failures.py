"""What of the computed metrics fails, on its way to devices_api: counted, and kept in KV `computed_failures`."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

import msgspec
from nats.errors import Error as NatsError
from nats.js.kv import KeyValue

from contracts.computed import ComputedFailure, decode_failure, encode_failure, failure_key
from contracts.jetstream import Link, ensure_bucket, watching
from contracts.logs import Log
from contracts.streams import FAILURES_BUCKET, FAILURES_TTL_S
from processor.failing import Failing
from processor.metrics import Metrics

EVERY_S = 10.0
"""How often what has changed is written: at most once in that time for each computed metric of a profile."""


class Failures:
    """Tells devices_api of expressions that fail. To be used on the event loop alone.

    `now` gives ns since 1970 UTC. Several processors write the same bucket: what one removes because its device works
    again comes back with the next failure of another's.
    """

    def __init__(
        self, link: Link, metrics: Metrics, now: Callable[[], int], log: Log, *, every: float = EVERY_S
    ) -> None:
        self._link, self._metrics, self._now, self._log, self._every = link, metrics, now, log, every
        self._failing = Failing()
        self._adopted = False

    def note(
        self,
        profile: str,
        expressions: Mapping[str, str],
        device: str,
        worked: Iterable[str],
        errors: Mapping[str, str],
    ) -> None:
        """Take in what came of one reading of `device`; `expressions` are all of its profile's, by metric."""
        if errors:
            self._metrics.computed_failures.inc(len(errors))
        if errors or self._failing:
            self._failing.note(profile, expressions, device, worked, errors, self._now())

    async def run(self) -> None:
        """Write what changes, for ever. While the stream server is away it waits here, the newest of each metric."""
        generation, bucket = -1, None
        while True:
            try:
                if self._link.up:
                    if bucket is None or generation != self._link.generation:
                        generation, bucket = self._link.generation, await self._open()
                    await self._write(bucket)
            except (NatsError, TimeoutError, OSError) as error:
                if self._failing:
                    self._log.warning("failures.untold", error=repr(error))
                bucket = None
                self._failing.repeat()
            await asyncio.sleep(self._every)

    async def _open(self) -> KeyValue:
        """Open the bucket, and take in, once, what was told before this process began."""
        bucket = await ensure_bucket(self._link.js, FAILURES_BUCKET, FAILURES_TTL_S)
        if not self._adopted:
            self._failing.adopt(await self._told(bucket))
            self._adopted = True
        return bucket

    async def _told(self, bucket: KeyValue) -> list[ComputedFailure]:
        told = []
        async with watching(bucket, ignore_deletes=True) as watcher:
            while (entry := await watcher.updates()) is not None:  # type: ignore[no-untyped-call]
                try:
                    told.append(decode_failure(entry.value or b""))
                except msgspec.DecodeError as error:
                    self._log.warning("failures.unreadable", key=entry.key, error=str(error))
        return told

    async def _write(self, bucket: KeyValue) -> None:
        for (profile, metric), failure in self._failing.changes().items():
            key = failure_key(profile, metric)
            if failure is None:
                await bucket.delete(key)
            else:
                await bucket.put(key, encode_failure(failure))
