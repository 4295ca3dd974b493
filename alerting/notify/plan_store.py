"""What planning notifications has on disk: it is read as of one moment, and changed in one transaction a time."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerting.database import WRITE
from alerting.life.alert import State, What
from alerting.notify.documents import REVISION
from alerting.notify.grouping import Group
from alerting.notify.notifying import Moment
from alerting.notify.plan import Due
from alerting.standing import Standing, standing_of
from alerting.tables import alert, change, outbox, revision, rule
from alerting.tables_notify import alert_delivery, delivery, notification_group
from contracts.alerts import Notification

TURN = "planning"
"""The row of `revision` that counts what was planned: each plan rests on the one before."""

WAITING = "waiting"
"""State of a delivery that nobody has tried."""

_TOLD = [what.value for what in (What.FIRING, What.ESCALATED, What.DEESCALATED, What.RESOLVED)]
_AT_ONCE = 500

T = TypeVar("T")


class OvertakenError(Exception):
    """Another process has planned meanwhile. Nothing was written."""


class Turn(msgspec.Struct, frozen=True):
    """How often was planned, and the revision of documents."""

    number: int
    revision: int


class Known(msgspec.Struct, frozen=True):
    """An alert, and whether its rule wants it told."""

    standing: Standing
    notify: bool


class Planned(msgspec.Struct, frozen=True):
    """What is written together.

    `outbox` are the rows that were taken, `groups` those that changed, None for one that is gone. `notifications` in
    order, the first with `seq`.
    """

    turn: Turn
    outbox: list[int]
    groups: dict[str, tuple[Group, Due] | None]
    notifications: list[Notification]
    seq: int


class Waiting(msgspec.Struct, frozen=True):
    """A row of the outbox: what has happened to an alert."""

    seq: int
    alert_id: str
    what: str


class Moments:
    """Reads of one moment: nothing that is written meanwhile is seen."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def turn(self) -> Turn:
        """Read how far planning is."""
        query = sa.select(revision).where(revision.c.name.in_((TURN, REVISION)))
        found = {row.name: row.value for row in await self._connection.execute(query)}
        return Turn(found.get(TURN, 0), found.get(REVISION, 0))

    async def groups(self) -> dict[str, tuple[Group, Due]]:
        """Read all groups."""
        rows = await self._connection.execute(sa.select(notification_group))
        return {row.key: (msgspec.convert(row.state, Group), row.due_at) for row in rows}

    async def last_seq(self) -> int:
        """Read the number of the newest delivery."""
        return (await self._connection.execute(sa.select(sa.func.max(delivery.c.seq)))).scalar() or 0

    async def outbox(self, most: int) -> list[Waiting]:
        """Read the oldest changes that have not been planned."""
        query = sa.select(outbox.c.seq, outbox.c.alert_id, outbox.c.what).order_by(outbox.c.seq).limit(most)
        return [Waiting(*row) for row in await self._connection.execute(query)]

    async def spoken_of(self, ids: Collection[str]) -> set[str]:
        """Give those of alerts, by id, of which a notification speaks."""
        found: set[str] = set()
        for some in _batches(ids):
            query = sa.select(alert_delivery.c.alert_id).where(alert_delivery.c.alert_id.in_(some)).distinct()
            found.update((await self._connection.execute(query)).scalars())
        return found

    async def alerts(self, ids: Collection[str]) -> dict[str, Known]:
        """Read alerts by id, as far as they are there."""
        found: dict[str, Known] = {}
        for some in _batches(ids):
            for row in (await self._connection.execute(_alerts().where(alert.c.id.in_(some)))).mappings():
                found[row["id"]] = _known(row)
        return found

    async def firing(self) -> AsyncIterator[Known]:
        """Read all alerts that fire, a few at a time."""
        after = ""
        while True:
            query = _alerts().where(alert.c.state == State.FIRING.value, alert.c.id > after)
            rows = (await self._connection.execute(query.order_by(alert.c.id).limit(_AT_ONCE))).mappings().all()
            for row in rows:
                yield _known(row)
            if len(rows) < _AT_ONCE:
                return
            after = rows[-1]["id"]

    async def moments(self, ids: Collection[str]) -> dict[str, Moment]:
        """Read, of alerts by id, the last change that people are told of."""
        found = {}
        for some in _batches(ids):
            last = (
                sa.select(sa.func.max(change.c.seq))
                .where(change.c.alert_id.in_(some), change.c.what.in_(_TOLD))
                .group_by(change.c.alert_id)
            )
            query = sa.select(change.c.alert_id, change.c.seq, change.c.at).where(change.c.seq.in_(last))
            for row in await self._connection.execute(query):
                found[row.alert_id] = Moment(row.seq, row.at)
        return found


class PlanStore:
    """Every method raises what the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._postgres = engine.dialect.name == "postgresql"
        self._insert: Any = postgresql.insert if self._postgres else sqlite.insert

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[Moments]:
        """Begin to read as of now. SQLite's transactions that read do that by themselves."""
        async with self._engine.connect() as connection:
            if self._postgres:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield Moments(connection)

    async def waits(self, turn: Turn) -> bool:
        """Whether there is something to plan that was not there at `turn`, but for groups that are due."""
        async with self._engine.connect() as connection:
            if (await connection.execute(sa.select(outbox.c.seq).limit(1))).first() is not None:
                return True
            now = await Moments(connection).turn()
            return (now.number, now.revision) != (turn.number, turn.revision)

    async def page(self, limit: int, after: str = "") -> list[tuple[str, Group, Due]]:
        """Read up to `limit` groups by key, beginning behind `after`."""
        table = notification_group
        query = sa.select(table).where(table.c.key > after).order_by(table.c.key).limit(limit)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query)
            return [(row.key, msgspec.convert(row.state, Group), row.due_at) for row in rows]

    async def write(self, planned: Planned) -> None:
        """Write a plan: all of it, or nothing. Raises OvertakenError if another was written since its turn."""
        async with self._engine.connect() as connection:
            await connection.execution_options(**WRITE)
            async with connection.begin():
                await self._take_turn(connection, planned)
                for some in _batches(planned.outbox):
                    await connection.execute(sa.delete(outbox).where(outbox.c.seq.in_(some)))
                await self._groups(connection, planned.groups)
                await _deliveries(connection, planned)

    async def _take_turn(self, connection: AsyncConnection, planned: Planned) -> None:
        first = self._insert(revision).values(name=TURN, value=planned.turn.number)
        await connection.execute(first.on_conflict_do_nothing(index_elements=["name"]))
        moved = await connection.execute(
            sa.update(revision)
            .where(revision.c.name == TURN, revision.c.value == planned.turn.number)
            .values(value=planned.turn.number + 1)
        )
        if moved.rowcount != 1:
            raise OvertakenError("another process plans notifications, too")

    async def _groups(self, connection: AsyncConnection, groups: Mapping[str, tuple[Group, Due] | None]) -> None:
        for some in _batches([key for key, found in groups.items() if found is None]):
            await connection.execute(sa.delete(notification_group).where(notification_group.c.key.in_(some)))
        rows = [
            {"key": key, "state": msgspec.to_builtins(found[0]), "due_at": found[1]}
            for key, found in groups.items()
            if found is not None
        ]
        if rows:
            put = self._insert(notification_group)
            put = put.on_conflict_do_update(
                index_elements=["key"], set_={name: put.excluded[name] for name in ("state", "due_at")}
            )
            await connection.execute(put, rows)


async def _deliveries(connection: AsyncConnection, planned: Planned) -> None:
    if not planned.notifications:
        return
    rows = [
        {
            "id": said.id,
            "seq": planned.seq + number,
            "receiver": said.receiver,
            "group_key": said.group_key,
            "state": WAITING,
            "content": msgspec.to_builtins(said),
            "created_at": said.created_at,
        }
        for number, said in enumerate(planned.notifications)
    ]
    spoken = [
        {"alert_id": event.alert_id, "delivery_id": said.id} for said in planned.notifications for event in said.alerts
    ]
    await connection.execute(sa.insert(delivery), rows)
    await connection.execute(sa.insert(alert_delivery), spoken)


def _alerts() -> sa.Select[Any]:
    notify = rule.c.content["notify"].as_boolean().label("notify")
    return sa.select(alert, notify).select_from(alert.outerjoin(rule, rule.c.id == alert.c.rule_id))


def _known(row: sa.RowMapping) -> Known:
    return Known(standing_of(row), row["notify"] is not False)


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    some = iter(values)
    while batch := list(islice(some, _AT_ONCE)):
        yield batch
