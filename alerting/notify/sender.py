"""Delivers what waits: in order to each group of a receiver, and to no receiver later because of another."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from random import Random

import msgspec

from alerting.metrics import Metrics
from alerting.notify.deliveries import Deliveries, Delivery, DeliveryState, Tried
from alerting.notify.outcome import Outcome, Result
from contracts.alerts import Notification, read_notification
from contracts.backoff import delays, set_within
from contracts.logs import Log

AT_ONCE = 256
"""Tries that are under way at the same time, to all receivers together."""

AT_ONCE_EACH = 8
"""The same to one receiver; one that takes nothing is tried with one at a time."""

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 300.0
SLOW_RETRY_S = 60.0
"""Least time between two tries that need somebody to change the receiver, and most between two tries of one that takes
nothing, so that all is delivered soon after it does."""

MOST_WAITING = 1_000_000
"""Notifications that may wait; beyond it the oldest are dropped, and counted."""

_LOOK_S = 5.0
_TIDY_S = 60.0
_READ = 256
_SECOND = 1_000_000_000

Deliver = Callable[[str, Notification, int], Awaitable[Outcome | None]]
"""Delivers a notification to the receiver of an id, which was tried so often before; None: there is none."""


@dataclass(frozen=True)
class Terms:
    """For how long, in ns, a notification is tried, and kept after its end; `leading`: whether we are to send."""

    give_up: int
    history: int
    leading: Callable[[], bool] = lambda: True


_GONE = Outcome(Result.REFUSED, "there is no such receiver any more")
_UNREADABLE = Outcome(Result.REJECTED, "it was written by another version, which this one does not understand")


class Sender:
    """One task for each receiver that has something waiting."""

    def __init__(
        self,
        deliveries: Deliveries,
        deliver: Deliver,
        metrics: Metrics,
        log: Log,
        now: Callable[[], int],
        rng: Random,
        terms: Terms,
    ) -> None:
        self._deliveries, self._deliver, self._terms = deliveries, deliver, terms
        self._metrics, self._log, self._now, self._rng = metrics, log, now, rng
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._more: dict[str, asyncio.Event] = {}
        self._hurry: dict[str, asyncio.Event] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tidied: int | None = None

    def wake(self, receiver: str = "") -> None:
        """Say that there is something to send; a `receiver` that is named is tried at once, though it took nothing."""
        if receiver in self._hurry:
            self._hurry[receiver].set()
        self._wake.set()

    async def run(self) -> None:
        """Send until `stop`."""
        while not self._stopping.is_set():
            self._wake.clear()
            if self._terms.leading():
                await self._tidy()
                for receiver in await self._deliveries.receivers():
                    self._begin(receiver)
            await set_within(self._wake, _LOOK_S)

    async def stop(self, grace: float) -> None:
        """Let the tries under way end, for `grace` seconds at most; what was not taken is sent after the next start."""
        self._stopping.set()
        self._wake.set()
        for event in (*self._more.values(), *self._hurry.values()):
            event.set()
        if tasks := list(self._tasks.values()):
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, receiver: str) -> None:
        if receiver in self._tasks:
            self._more[receiver].set()
            return
        self._more[receiver], self._hurry[receiver] = asyncio.Event(), asyncio.Event()
        task = self._tasks[receiver] = asyncio.create_task(self._serve(receiver))
        task.add_done_callback(partial(self._served, receiver))

    def _served(self, receiver: str, _: asyncio.Task[None]) -> None:
        """Look again: something may have been written since the task found nothing."""
        del self._tasks[receiver], self._more[receiver], self._hurry[receiver]
        self._wake.set()

    async def _serve(self, receiver: str) -> None:
        try:
            await self._send_all(receiver)
        except Exception:  # noqa: BLE001 - logged; the task is begun again while something waits
            self._log.exception("task.failed", task="sender", receiver=receiver)
            await set_within(self._stopping, _LOOK_S)

    async def _send_all(self, name: str) -> None:
        """Deliver what waits for one receiver, until nothing does."""
        waits, taking = delays(self._rng, FIRST_RETRY_S, SLOW_RETRY_S), True
        more, hurry = self._more[name], self._hurry[name]
        while self._going:
            more.clear()
            hurry.clear()
            heads = await self._deliveries.heads(name, _READ)
            if not heads:
                return
            due = [head for head in heads if (head.next_at or 0) <= self._now()]
            if not due:
                await set_within(more, ((heads[0].next_at or 0) - self._now()) / _SECOND)
            while due and self._going:
                some, due = due[: AT_ONCE_EACH if taking else 1], due[AT_ONCE_EACH if taking else 1 :]
                outcomes = await self._try_all(some)
                taking = any(outcome.result is Result.DELIVERED for outcome in outcomes)
                if taking:
                    waits = delays(self._rng, FIRST_RETRY_S, SLOW_RETRY_S)
                else:
                    asked = max(outcome.retry_after for outcome in outcomes)
                    await set_within(hurry, max(asked, next(waits)))
                    break

    @property
    def _going(self) -> bool:
        return self._terms.leading() and not self._stopping.is_set()

    async def _try_all(self, some: list[Delivery]) -> list[Outcome]:
        tries = await asyncio.gather(*(self._try(one) for one in some))
        await self._deliveries.record(tries)
        for one in tries:
            self._metrics.notifications.labels(one.outcome.result.value).inc()
            if one.state is DeliveryState.GIVEN_UP:
                self._metrics.notifications.labels("expired").inc()
                self._log.error("notification.given_up", receiver=one.delivery.receiver, problem=one.outcome.problem)
            elif one.outcome.result is not Result.DELIVERED and one.delivery.attempts == 0:
                self._log.warning(
                    "notification.not_taken",
                    receiver=one.delivery.receiver,
                    notification=one.delivery.id,
                    problem=one.outcome.problem,
                )
        return [one.outcome for one in tries]

    async def _try(self, one: Delivery) -> Tried:
        loop = asyncio.get_running_loop()
        async with self._places:
            at, began = self._now(), loop.time()
            outcome = await self._call(one)
        state, next_at = self._becomes(one, outcome)
        return Tried(
            delivery=one,
            outcome=outcome,
            at=at,
            latency_ms=(loop.time() - began) * 1000,
            state=state,
            next_at=next_at,
        )

    async def _call(self, one: Delivery) -> Outcome:
        try:
            notification = read_notification(one.content)
        except msgspec.ValidationError:
            return _UNREADABLE
        try:
            return await self._deliver(one.receiver, notification, one.attempts) or _GONE
        except Exception as error:  # noqa: BLE001 - logged; it is tried again
            self._log.exception("task.failed", task="delivery", receiver=one.receiver)
            return Outcome(Result.FAILED, type(error).__name__)

    def _becomes(self, one: Delivery, outcome: Outcome) -> tuple[DeliveryState, int | None]:
        """Decide what is next for a notification after `outcome`."""
        if outcome is _GONE:
            return DeliveryState.GIVEN_UP, None
        if outcome.result is Result.DELIVERED:
            return DeliveryState.DELIVERED, None
        wait = min(FIRST_RETRY_S * 2 ** min(one.attempts, 16), LONGEST_RETRY_S) * (0.5 + self._rng.random() / 2)
        if outcome.result is not Result.FAILED:
            wait = max(wait, SLOW_RETRY_S)
        next_at = self._now() + int(max(wait, outcome.retry_after) * _SECOND)
        rejected = outcome.result is Result.REJECTED or one.state is DeliveryState.REJECTED
        return DeliveryState.REJECTED if rejected else DeliveryState.WAITING, next_at

    async def _tidy(self) -> None:
        """Give up what is too old, drop what is too much, and forget what ended long ago; once a minute."""
        now = self._now()
        if self._tidied is not None and now - self._tidied < _TIDY_S * _SECOND:
            return
        self._tidied = now
        if expired := await self._deliveries.give_up(now - self._terms.give_up, now):
            self._metrics.notifications.labels("expired").inc(expired)
            self._log.error("notifications.given_up", count=expired)
        if dropped := await self._deliveries.trim(MOST_WAITING):
            self._metrics.notifications.labels("full").inc(dropped)
            self._log.error("notifications.dropped", count=dropped, kept=MOST_WAITING)
        while self._going and await self._deliveries.tidy(now - self._terms.history):
            pass
        self._metrics.outbox_pending.set(await self._deliveries.pending())
