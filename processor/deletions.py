"""Tells what has become of deletions, in KV `deletions`."""

from collections.abc import Awaitable, Callable
from itertools import islice
from random import Random
from typing import Literal

from nats.errors import Error as NatsError

from contracts.backoff import delays
from contracts.deletions import DELETIONS_BUCKET, DELETIONS_TTL_S, Deletion, encode_result, result_of
from contracts.jetstream import Link, ensure_bucket
from contracts.logs import Log
from processor.engine import Deleted
from processor.metrics import Metrics

_TRIES = 6
"""So often a result is written, some seconds in all. Then it is given up: readings do not wait for it."""


class Deletions:
    """Writes to the bucket, and counts. `pause` waits, and raises StoppedError if the service stops meanwhile."""

    def __init__(
        self,
        link: Link,
        now: Callable[[], int],
        metrics: Metrics,
        rng: Random,
        log: Log,
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._link, self._now, self._metrics, self._rng, self._log, self._pause = link, now, metrics, rng, log, pause

    async def tell(self, deletion: Deletion, deleted: Deleted) -> None:
        """Write the result. Raises StoppedError if the service stops first."""
        state: Literal["done", "refused"] = "done" if deleted.refused is None else "refused"
        about = {"device": deletion.device, "start": deletion.start, "end": deletion.end, "by": deletion.by}
        self._log.info("deletion", id=deletion.id, state=state, points=deleted.points, **about)
        self._metrics.deleted(state, deleted.points)
        result = result_of(
            deletion, state, self._now(), points=deleted.points, kept=deleted.kept, detail=deleted.refused or ""
        )
        for wait in islice(delays(self._rng), _TRIES):
            try:
                bucket = await ensure_bucket(self._link.js, DELETIONS_BUCKET, DELETIONS_TTL_S)
                await bucket.put(deletion.id, encode_result(result))
            except (NatsError, TimeoutError, OSError) as error:
                self._log.warning("deletion.untold", id=deletion.id, error=repr(error))
                await self._pause(wait)
            else:
                return
