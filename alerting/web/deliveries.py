"""Notifications over HTTP: which were sent to whom, what came of each try, and once more."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from alerting.notify.deliveries import MOST_ATTEMPTS, Attempt, Deliveries, Delivery, DeliveryState
from alerting.notify.outcome import Result
from contracts.problems import Problem
from contracts.requests import PageLimit, bad
from contracts.times import format_time

_DIGITS = 18
DeliveryId = Annotated[str, Path(max_length=64, description="Id of a notification")]
Cursor = Annotated[str | None, Query(max_length=64, description="`next` of the page before; opaque")]
Text = Annotated[str | None, Query(max_length=256)]


class AttemptOut(BaseModel):
    """One try: `status` is the receiver's, where it gave a number."""

    at: str
    result: Result
    status: int | None
    latency_ms: float
    problem: str

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """Show a try."""
        return cls(
            at=format_time(attempt.at),
            result=Result(attempt.result),
            status=attempt.status,
            latency_ms=round(attempt.latency_ms, 3),
            problem=attempt.problem,
        )


class DeliveryOut(BaseModel):
    """A notification to one receiver. `attempts` counts all tries; `next_at`: when the next is, null for at once."""

    id: str
    receiver: str
    group_key: str
    state: DeliveryState
    created_at: str
    attempts: int
    next_at: str | None
    ended_at: str | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Show a notification."""
        return cls(**_plain(delivery))


class DeliveryWhole(DeliveryOut):
    """The same with what it says, and its newest tries, the newest first."""

    notification: dict[str, Any] = Field(description="The Notification, as plain webhooks get it")
    tries: list[AttemptOut] = Field(description=f"The newest {MOST_ATTEMPTS}")


class DeliveryPage(BaseModel):
    """A page of notifications, the newest first; `next` is the cursor of the page behind it."""

    items: list[DeliveryOut]
    next: str | None


def routes(deliveries: Deliveries, now: Callable[[], int], wake: Callable[[str], None] = lambda _: None) -> APIRouter:
    """Build the routes. `wake` is called with a receiver that is to be tried at once."""
    router = APIRouter(prefix="/deliveries", tags=["receivers"])

    @router.get("")
    async def list_deliveries(
        *,
        receiver: Annotated[Text, Query(description="To this receiver")] = None,
        state: Annotated[DeliveryState | None, Query(description="In this state")] = None,
        alert: Annotated[Text, Query(description="That speak of this alert")] = None,
        limit: PageLimit = 100,
        cursor: Cursor = None,
    ) -> DeliveryPage:
        """List notifications, the newest first."""
        before = _position(cursor)
        found = await deliveries.page(limit + 1, before=before, receiver=receiver, state=state, alert=alert)
        items = found[:limit]
        return DeliveryPage(
            items=[DeliveryOut.of(one) for one in items], next=str(items[-1].seq) if len(found) > limit else None
        )

    @router.get("/{delivery_id}")
    async def show(delivery_id: DeliveryId) -> DeliveryWhole:
        """Show a notification, and what came of each try."""
        found = await deliveries.get(delivery_id)
        if found is None:
            raise _none(delivery_id)
        tries = [AttemptOut.of(one) for one in await deliveries.attempts(delivery_id)]
        return DeliveryWhole(**_plain(found), notification=found.content, tries=tries)

    @router.post("/{delivery_id}/resend")
    async def resend(delivery_id: DeliveryId) -> DeliveryOut:
        """Let a notification be tried again at once, whatever became of it; the receiver knows it by its id."""
        found = await deliveries.resend(delivery_id, now())
        if found is None:
            raise _none(delivery_id)
        wake(found.receiver)
        return DeliveryOut.of(found)

    return router


def _plain(delivery: Delivery) -> dict[str, Any]:
    plain = {name: getattr(delivery, name) for name in ("id", "receiver", "group_key", "state", "attempts")}
    times = {name: getattr(delivery, name) for name in ("created_at", "next_at", "ended_at")}
    return plain | {name: None if at is None else format_time(at) for name, at in times.items()}


def _none(name: str) -> Problem:
    detail = f"There is no notification {name!r}; those that have ended are kept for a while only."
    return Problem(HTTPStatus.NOT_FOUND, "no-such-delivery", "No such notification", detail)


def _position(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _DIGITS):
        raise bad("bad-cursor", "the cursor is none that was given out")
    return int(cursor)
