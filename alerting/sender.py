"""Sends what is in the outbox: in order to each receiver, and to no receiver later because of another."""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random

from alerting.addresses import origin
from alerting.metrics import Metrics
from alerting.outbox import Outbox
from alerting.webhook import Result, Webhook
from contracts.backoff import delays
from contracts.logs import Log

AT_ONCE = 32
"""Calls that are under way at the same time, to all receivers together."""

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 300.0

MOST_WAITING = 1_000_000
"""Notifications that may wait; beyond it the oldest are dropped, and counted."""

_LOOK_S = 5.0


class Sender:
    """One task for each receiver that has something waiting."""

    def __init__(
        self,
        outbox: Outbox,
        webhook: Webhook,
        metrics: Metrics,
        log: Log,
        now: Callable[[], int],
        rng: Random,
        give_up: int,
    ) -> None:
        self._outbox, self._webhook, self._metrics, self._log = outbox, webhook, metrics, log
        self._now, self._rng, self._give_up = now, rng, give_up
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()

    def wake(self) -> None:
        """Say that there is something to send."""
        self._wake.set()

    async def run(self) -> None:
        """Send until `stop`."""
        while not self._stopping.is_set():
            self._wake.clear()
            if dropped := await self._outbox.trim(MOST_WAITING):
                self._metrics.notifications.labels("full").inc(dropped)
                self._log.error("notifications.dropped", count=dropped, kept=MOST_WAITING)
            self._metrics.outbox_pending.set(await self._outbox.pending())
            for url in await self._outbox.receivers():
                if url not in self._tasks:
                    task = self._tasks[url] = asyncio.create_task(self._serve(url))
                    task.add_done_callback(partial(self._served, url))
            await _first_of(self._wake, _LOOK_S)

    async def stop(self, grace: float) -> None:
        """Let the calls under way end, for `grace` seconds at most; what was not taken is sent after the next start."""
        self._stopping.set()
        self._wake.set()
        tasks = list(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._webhook.close()

    def _served(self, url: str, _: asyncio.Task[None]) -> None:
        """Look again: something may have been written since the task found nothing."""
        del self._tasks[url]
        self._wake.set()

    async def _serve(self, url: str) -> None:
        try:
            await self._send_all(url)
        except Exception:  # noqa: BLE001 - logged; the task is begun again while something waits
            self._log.exception("task.failed", task="sender", receiver=origin(url))
            await _first_of(self._stopping, _LOOK_S)

    async def _send_all(self, url: str) -> None:
        """Send what waits for one receiver, the oldest first; what it does not take, is tried again until too old."""
        waits, tries = delays(self._rng, FIRST_RETRY_S, LONGEST_RETRY_S), 0
        while not self._stopping.is_set() and (notice := await self._outbox.first(url)) is not None:
            if self._now() - notice.created_at > self._give_up:
                await self._outbox.remove(notice.seq)
                self._metrics.notifications.labels("expired").inc()
                self._log.error("notification.given_up", receiver=origin(url), alert=notice.alert_id)
                continue
            async with self._places:
                result, problem = await self._webhook.post(url, notice.body.encode(), tries)
            self._metrics.notifications.labels(result.value).inc()
            if result is Result.DELIVERED:
                await self._outbox.remove(notice.seq)
                waits, tries = delays(self._rng, FIRST_RETRY_S, LONGEST_RETRY_S), 0
                continue
            if tries == 0:
                self._log.warning("notification.not_taken", receiver=origin(url), problem=problem)
            tries += 1
            await _first_of(self._stopping, next(waits))


async def _first_of(event: asyncio.Event, seconds: float) -> None:
    """Wait for `event`, or for `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
