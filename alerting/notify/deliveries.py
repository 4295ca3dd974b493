"""Notifications on disk: those that wait for their receiver, and for a while those that it has, with every try."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerting.database import write
from alerting.notify.outcome import Outcome
from alerting.tables_notify import alert_delivery, attempt, delivery

MOST_ATTEMPTS = 50
"""The newest tries of a notification that are kept; all are counted."""

_AT_ONCE = 1000


class DeliveryState(StrEnum):
    """Where a notification stands."""

    WAITING = "waiting"
    REJECTED = "rejected"
    """The receiver does not want it: it is tried on, but no later notification waits for it."""
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


_OPEN = (DeliveryState.WAITING, DeliveryState.REJECTED)
_ENDED = (DeliveryState.DELIVERED, DeliveryState.GIVEN_UP)


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A notification to one receiver. `content` is a Notification as its JSON; times in ns since 1970 UTC."""

    id: str
    seq: int
    receiver: str
    group_key: str
    state: DeliveryState
    content: dict[str, Any]
    created_at: int
    attempts: int
    next_at: int | None
    ended_at: int | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try, begun at `at`."""

    at: int
    result: str
    status: int | None
    latency_ms: float
    problem: str


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What a try came to, and what becomes of the notification: its `state`, and when it is tried next."""

    delivery: Delivery
    outcome: Outcome
    at: int
    latency_ms: float
    state: DeliveryState
    next_at: int | None


class Deliveries:
    """All notifications. Every method raises what the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def receivers(self) -> list[str]:
        """Read which receivers have something waiting."""
        query = sa.select(delivery.c.receiver).where(delivery.c.state.in_(_OPEN)).distinct()
        async with self._engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def pending(self) -> int:
        """Count what waits."""
        async with self._engine.connect() as connection:
            return int((await connection.execute(_count_open())).scalar_one())

    async def heads(self, receiver: str, most: int) -> list[Delivery]:
        """Read what may be tried for a receiver, the most urgent first: the oldest of each group, and all rejected."""
        mine = delivery.c.receiver == receiver, delivery.c.state == DeliveryState.WAITING
        oldest = sa.select(sa.func.min(delivery.c.seq)).where(*mine).group_by(delivery.c.group_key)
        waiting = sa.select(delivery).where(*mine, delivery.c.seq.in_(oldest))
        rejected = sa.select(delivery).where(
            delivery.c.receiver == receiver, delivery.c.state == DeliveryState.REJECTED
        )
        urgent = sa.func.coalesce(delivery.c.next_at, 0)
        async with self._engine.connect() as connection:
            found = [
                _delivery(row)
                for query in (waiting, rejected)
                for row in await connection.execute(query.order_by(urgent, delivery.c.seq).limit(most))
            ]
        return sorted(found, key=lambda one: (one.next_at or 0, one.seq))[:most]

    async def record(self, tries: Sequence[Tried]) -> None:
        """Write what tries came to. What has ended meanwhile stays as it is."""
        async with write(self._engine) as connection:
            for one in tries:
                await connection.execute(
                    sa.insert(attempt).values(
                        delivery_id=one.delivery.id,
                        at=one.at,
                        result=one.outcome.result,
                        status=one.outcome.status,
                        latency_ms=one.latency_ms,
                        problem=one.outcome.problem[:1024],
                    )
                )
                await connection.execute(
                    sa.update(delivery)
                    .where(delivery.c.id == one.delivery.id, delivery.c.state.in_(_OPEN))
                    .values(
                        state=one.state,
                        attempts=delivery.c.attempts + 1,
                        next_at=one.next_at,
                        ended_at=one.at if one.state in _ENDED else None,
                    )
                )
                if one.delivery.attempts >= MOST_ATTEMPTS:
                    await _forget_attempts(connection, one.delivery.id)

    async def give_up(self, before: int, now: int) -> int:
        """Give up what waits since `before`. Returns how many."""
        too_old = delivery.c.state.in_(_OPEN), delivery.c.created_at < before
        ended = {"state": DeliveryState.GIVEN_UP, "ended_at": now, "next_at": None}
        async with write(self._engine) as connection:
            return (await connection.execute(sa.update(delivery).where(*too_old).values(**ended))).rowcount

    async def trim(self, most: int) -> int:
        """Drop the oldest of what waits beyond `most`. Returns how many."""
        if await self.pending() <= most:
            return 0
        async with write(self._engine) as connection:
            beyond = (await connection.execute(_count_open())).scalar_one() - most
            oldest = sa.select(delivery.c.id).where(delivery.c.state.in_(_OPEN)).order_by(delivery.c.seq).limit(beyond)
            return await _delete(connection, list((await connection.execute(oldest)).scalars())) if beyond > 0 else 0

    async def tidy(self, before: int) -> int:
        """Delete what ended before `before`, a thousand at most. Returns how many."""
        old = sa.select(delivery.c.id).where(delivery.c.ended_at < before).limit(_AT_ONCE)
        async with write(self._engine) as connection:
            return await _delete(connection, list((await connection.execute(old)).scalars()))

    async def hurry(self, receiver: str) -> None:
        """Let all that waits for a receiver be tried at once."""
        mine = delivery.c.receiver == receiver, delivery.c.state.in_(_OPEN), delivery.c.next_at.is_not(None)
        async with write(self._engine) as connection:
            await connection.execute(sa.update(delivery).where(*mine).values(next_at=None))

    async def resend(self, name: str, now: int) -> Delivery | None:
        """Let a notification wait anew, whatever became of it; its age counts from `now`. None: there is none."""
        async with write(self._engine) as connection:
            await connection.execute(sa.update(delivery).where(delivery.c.id == name).values(**_anew(now)))
            row = (await connection.execute(sa.select(delivery).where(delivery.c.id == name))).first()
            return None if row is None else _delivery(row)

    async def resend_failed(self, receiver: str, now: int) -> int:
        """Do the same for all of a receiver that were given up, or are rejected. Returns how many."""
        failed = delivery.c.state.in_((DeliveryState.GIVEN_UP, DeliveryState.REJECTED))
        async with write(self._engine) as connection:
            update = sa.update(delivery).where(delivery.c.receiver == receiver, failed).values(**_anew(now))
            return (await connection.execute(update)).rowcount

    async def get(self, name: str) -> Delivery | None:
        """Read one notification."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(sa.select(delivery).where(delivery.c.id == name))).first()
            return None if row is None else _delivery(row)

    async def attempts(self, name: str) -> list[Attempt]:
        """Read the newest MOST_ATTEMPTS tries of a notification, the newest first."""
        query = sa.select(attempt).where(attempt.c.delivery_id == name).order_by(attempt.c.seq.desc())
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.limit(MOST_ATTEMPTS))
            return [
                Attempt(at=r.at, result=r.result, status=r.status, latency_ms=r.latency_ms, problem=r.problem)
                for r in rows
            ]

    async def page(
        self,
        limit: int,
        *,
        before: int | None = None,
        receiver: str | None = None,
        state: DeliveryState | None = None,
        alert: str | None = None,
    ) -> list[Delivery]:
        """Read up to `limit` notifications, the newest first, of `seq` less than `before`."""
        query = sa.select(delivery)
        if before is not None:
            query = query.where(delivery.c.seq < before)
        if receiver is not None:
            query = query.where(delivery.c.receiver == receiver)
        if state is not None:
            query = query.where(delivery.c.state == state)
        if alert is not None:
            spoke = sa.select(alert_delivery.c.delivery_id).where(alert_delivery.c.alert_id == alert)
            query = query.where(delivery.c.id.in_(spoke))
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(delivery.c.seq.desc()).limit(limit))
            return [_delivery(row) for row in rows]


def _count_open() -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(delivery).where(delivery.c.state.in_(_OPEN))


def _anew(now: int) -> dict[str, Any]:
    return {"state": DeliveryState.WAITING, "created_at": now, "next_at": None, "ended_at": None}


async def _forget_attempts(connection: AsyncConnection, name: str) -> None:
    mine = attempt.c.delivery_id == name
    newest = sa.select(attempt.c.seq).where(mine).order_by(attempt.c.seq.desc()).limit(MOST_ATTEMPTS)
    await connection.execute(sa.delete(attempt).where(mine, attempt.c.seq.not_in(newest)))


async def _delete(connection: AsyncConnection, names: Sequence[str]) -> int:
    for some in _chunks(names):
        for column in (attempt.c.delivery_id, alert_delivery.c.delivery_id, delivery.c.id):
            await connection.execute(sa.delete(column.table).where(column.in_(some)))
    return len(names)


def _chunks(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[begin : begin + _AT_ONCE] for begin in range(0, len(names), _AT_ONCE))


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        seq=row.seq,
        receiver=row.receiver,
        group_key=row.group_key,
        state=DeliveryState(row.state),
        content=row.content,
        created_at=row.created_at,
        attempts=row.attempts,
        next_at=row.next_at,
        ended_at=row.ended_at,
    )
