"""Everything alerting has on disk: read at the start, and changed in one transaction a time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerting import tables
from alerting.database import WRITE
from alerting.evaluation import Changes
from alerting.notices import Notice
from alerting.rules import Rule
from alerting.states import Alert, State, Track


class Position(msgspec.Struct, frozen=True):
    """Message up to which a stream has been evaluated; `created` is the stream's, empty where none was seen yet."""

    created: str
    sequence: int


Positions = Mapping[str, Position]
"""By the stream's name."""


class TakenOverError(Exception):
    """Another process has moved a position of this database: it evaluates, and this one has to start anew."""


class Repository:
    """Rules, alerts, marks and the positions. The outbox's own changes are in `outbox.py`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._upsert: Any = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert

    async def load(self) -> tuple[list[Rule], list[Track], Positions]:
        """Read what evaluation rests on."""
        async with self._engine.connect() as connection:
            rules = [_rule(row) for row in await connection.execute(sa.select(tables.rule))]
            tracks = {
                (row.rule_id, row.device): Track(row.rule_id, row.device, row.ts, row.value)
                for row in await connection.execute(sa.select(tables.mark))
            }
            for row in await connection.execute(sa.select(tables.alert).where(tables.is_open)):
                alert = _alert(row)
                key = (alert.rule_id, alert.device)
                tracks.setdefault(key, Track(*key, alert.started_at, alert.value)).alert = alert
            positions = {
                str(row.stream): Position(row.created, row.sequence)
                for row in await connection.execute(sa.select(tables.position))
            }
        return rules, list(tracks.values()), positions

    async def commit(
        self,
        before: Positions,
        after: Positions,
        changes: Changes,
        said: Iterable[Notice],
        now: int,
        *,
        put: Rule | None = None,
        delete: str | None = None,
    ) -> None:
        """Write `changes`, what is to be said about them, a changed rule, and the positions: all of it, or nothing.

        `before` and `after` have the same streams. Raises TakenOverError if a position on disk is not that of `before`.
        """
        async with self._engine.connect() as connection:
            await connection.execution_options(**WRITE)
            async with connection.begin():
                for stream, position in before.items():  # all, moved or not: each says that nobody else evaluates
                    await self._move(connection, stream, position, after[stream])
                if put is not None:
                    await self._put(connection, tables.rule, [_rule_row(put)])
                if delete is not None:
                    await connection.execute(sa.delete(tables.rule).where(tables.rule.c.id == delete))
                for rule_id in changes.dropped:
                    await connection.execute(sa.delete(tables.mark).where(tables.mark.c.rule_id == rule_id))
                await self._alerts(connection, changes)
                marks = [
                    {"rule_id": t.rule_id, "device": t.device, "ts": t.ts, "value": t.value} for t in changes.tracks
                ]
                await self._put(connection, tables.mark, marks)
                rows = [msgspec.structs.asdict(notice) | {"created_at": now} for notice in said]
                if rows:
                    await connection.execute(sa.insert(tables.outbox), rows)

    async def _move(self, connection: AsyncConnection, stream: str, before: Position, after: Position) -> None:
        table = tables.position
        moved = await connection.execute(
            sa.update(table)
            .where(table.c.stream == stream, table.c.created == before.created, table.c.sequence == before.sequence)
            .values(created=after.created, sequence=after.sequence)
        )
        if moved.rowcount != 1:
            raise TakenOverError(f"the position of {stream} is no longer {before.sequence}: another process moved it")

    async def _alerts(self, connection: AsyncConnection, changes: Changes) -> None:
        """Write each alert as it stands last. Those that are over go first, to make room for those that are open."""
        last = {alert.id: alert for alert, _ in changes.alerts}
        withdrawn = [{"gone": alert.id} for alert in last.values() if alert.state is State.WITHDRAWN]
        if withdrawn:
            await connection.execute(
                sa.delete(tables.alert).where(tables.alert.c.id == sa.bindparam("gone")), withdrawn
            )
        for states in ((State.RESOLVED,), (State.PENDING, State.FIRING)):
            rows = [_alert_row(alert) for alert in last.values() if alert.state in states]
            await self._put(connection, tables.alert, rows)

    async def _put(self, connection: AsyncConnection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows, or replace those with the same primary key."""
        if not rows:
            return
        statement = self._upsert(table)
        keys = [column.name for column in table.primary_key]
        values = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
        await connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values), rows)

    async def forget(self, marks_before: int, resolved_before: int) -> None:
        """Delete the marks that make no difference any more, and resolved alerts that are too old to keep."""
        mark, alert = tables.mark.c, tables.alert.c
        held = sa.exists().where(alert.rule_id == mark.rule_id, alert.device == mark.device, tables.is_open)
        async with self._engine.connect() as connection:
            await connection.execution_options(**WRITE)
            async with connection.begin():
                await connection.execute(sa.delete(tables.mark).where(mark.ts < marks_before, ~held))
                await connection.execute(
                    sa.delete(tables.alert).where(alert.state == State.RESOLVED, alert.resolved_at < resolved_before)
                )

    async def rules(self, limit: int, after: str = "") -> list[Rule]:
        """Read up to `limit` rules, oldest first, beginning behind the one with id `after`."""
        table = tables.rule
        query = sa.select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)
        async with self._engine.connect() as connection:
            return [_rule(row) for row in await connection.execute(query)]

    async def alerts(self, limit: int, before: str = "", **wanted: str | None) -> list[Alert]:
        """Read up to `limit` alerts, newest first, from behind the one with id `before`; `wanted`: column = value."""
        table = tables.alert
        query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
        for column, value in wanted.items():
            if value is not None:
                query = query.where(table.c[column] == value)
        if before:
            query = query.where(table.c.id < before)
        async with self._engine.connect() as connection:
            return [_alert(row) for row in await connection.execute(query)]


def _fields(row: sa.Row[Any]) -> dict[str, Any]:
    # SQLAlchemy's names are a kind of str that msgspec does not take.
    return {str(name): value for name, value in row._mapping.items()}  # noqa: SLF001 - its documented name


def _rule(row: sa.Row[Any]) -> Rule:
    return msgspec.convert(_fields(row), Rule)


def _rule_row(rule: Rule) -> dict[str, Any]:
    devices = None if rule.devices is None else sorted(rule.devices)
    return msgspec.structs.asdict(rule) | {"devices": devices, "webhooks": list(rule.webhooks)}


def _alert(row: sa.Row[Any]) -> Alert:
    return msgspec.convert(_fields(row), Alert)


def _alert_row(alert: Alert) -> dict[str, Any]:
    return msgspec.structs.asdict(alert)
