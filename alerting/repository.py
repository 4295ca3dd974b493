"""What evaluation has on disk: a partition is read when it is taken, and changed in one transaction a time."""

from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerting import tables
from alerting.database import write
from alerting.evaluation.writes import Position, RuleError, Writes
from alerting.life.alert import Alert, Change, State, Subject, What
from contracts.readings import Value
from contracts.streams import partition_of

AWAY = (SQLAlchemyError, OSError, TimeoutError)
"""What a call raises while the database is away."""

GROUPS = -1
"""The partition of rules about groups of devices."""

TOLD = frozenset({What.FIRING, What.ESCALATED, What.DEESCALATED, What.RESOLVED})
"""What of an alert's life people are told."""

_PARTITIONS = "partitions"
_UNDIVIDED = -1
_AT_ONCE = 1000

# Rows of devices are so many that what is general costs too much: each database has them in its own cheapest way.
_ROW = (
    "INSERT INTO device_state (device, partition, data) VALUES (?, ?, ?)"
    " ON CONFLICT (device) DO UPDATE SET partition = excluded.partition, data = excluded.data"
)
_ROWS = sa.text(
    "INSERT INTO device_state (device, partition, data) SELECT * FROM"
    " unnest(CAST(:devices AS text[]), CAST(:partitions AS integer[]), CAST(:data AS bytea[]))"
    " ON CONFLICT (device) DO UPDATE SET partition = excluded.partition, data = excluded.data"
)


class Loaded(msgspec.Struct, frozen=True):
    """What is on disk of a partition: its devices' rows, its open alerts, and up to where each stream was evaluated."""

    devices: list[tuple[str, bytes]]
    alerts: list[Alert]
    positions: dict[str, Position]


class Repository:
    """State of the partitions. Every method raises what the database raises."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._postgres = engine.dialect.name == "postgresql"
        self._upsert: Any = postgresql.insert if self._postgres else sqlite.insert

    async def divide(self, partitions: int) -> bool:
        """Divide the rows of devices into `partitions`, if they are not so yet; returns whether that was needed.

        Whoever has a partition loses it then. The positions go, too: a stream with other partitions is another stream,
        and of one that is not, what comes again is late.
        """
        table = tables.revision
        async with write(self._engine) as connection:
            await self._put(connection, table, [{"name": _PARTITIONS, "value": 0}], keep=True)
            query = sa.select(table.c.value).where(table.c.name == _PARTITIONS).with_for_update()
            before = (await connection.execute(query)).scalar_one()
            if before == partitions:
                return False
            await connection.execute(sa.update(table).where(table.c.name == _PARTITIONS).values(value=partitions))
            shard, position = tables.shard.c, tables.position.c
            await connection.execute(sa.update(tables.shard).where(shard.partition != GROUPS).values(owner=""))
            await connection.execute(sa.delete(tables.position).where(position.partition != _UNDIVIDED))
            await _divide(connection, tables.device_state, tables.device_state.c.device, partitions)
            await _divide(connection, tables.alert, tables.alert.c.id, partitions)
            return True

    async def load(self, partition: int, owner: str) -> Loaded:
        """Take a partition for `owner`, a name that no other load has had, and read it: others' commits fail then."""
        device, alert, position = tables.device_state.c, tables.alert, tables.position.c
        async with write(self._engine) as connection:
            await self._put(connection, tables.shard, [{"partition": partition, "owner": owner}])
            devices = await connection.execute(
                sa.select(device.device, device.data).where(device.partition == partition)
            )
            alerts = await connection.execute(sa.select(alert).where(alert.c.partition == partition, tables.is_open))
            both = (_UNDIVIDED,) if partition == GROUPS else (_UNDIVIDED, partition)
            found = await connection.execute(
                sa.select(tables.position).where(position.partition.in_(both)).order_by(position.partition)
            )
            return Loaded(
                [(row.device, row.data) for row in devices],
                [_alert_of(row) for row in alerts],
                {str(row.stream): Position(row.created, row.sequence) for row in found},
            )

    async def commit(self, writes: Mapping[int, tuple[str, Writes]], now: int) -> set[int]:
        """Write what several partitions came to, each with the name by which it was loaded, in one transaction.

        Returns the partitions that another has loaded since: of these nothing is written. Planning
        decides who is told: it hears of alerts of which nobody is, since they may inhibit others.
        """
        async with write(self._engine) as connection:
            lost = await _lost(connection, {partition: owner for partition, (owner, _) in writes.items()})
            kept = {partition: one for partition, (_, one) in writes.items() if partition not in lost}
            changes = [(partition, change) for partition, one in kept.items() for change in one.changes]
            if changes:
                await self._alerts(connection, changes, now)
            await self._devices(connection, kept)
            errors = [(partition, error) for partition, one in kept.items() for error in one.errors]
            if errors:
                await self._errors(connection, errors)
            positions = [
                {"stream": stream, "partition": partition, "created": at.created, "sequence": at.sequence}
                for partition, one in kept.items()
                for stream, at in one.positions.items()
            ]
            await self._put(connection, tables.position, positions)
        return lost

    async def _alerts(self, connection: AsyncConnection, changes: list[tuple[int, Change]], now: int) -> None:
        """Write each alert as it stands last, and what happened. Those that are over make room for those that follow.

        Of one that was never more than pending nothing is kept.
        """
        last = {change.alert.id: (partition, change.alert) for partition, change in changes}
        withdrawn = [id_ for id_, (_, alert) in last.items() if alert.state is State.WITHDRAWN]
        if withdrawn:
            for table, column in ((tables.alert, tables.alert.c.id), (tables.change, tables.change.c.alert_id)):
                gone = [{"gone": id_} for id_ in withdrawn]
                await connection.execute(sa.delete(table).where(column == sa.bindparam("gone")), gone)
        for states in ((State.RESOLVED,), (State.PENDING, State.FIRING)):
            # In one order, as operators' changes of several: so that none waits for one that waits for it.
            rows = [_alert_row(alert, at) for _, (at, alert) in sorted(last.items()) if alert.state in states]
            await self._put(connection, tables.alert, rows)
        kept = [change for _, change in changes if last[change.alert.id][1].state is not State.WITHDRAWN]
        if kept:
            await connection.execute(sa.insert(tables.change), [_change_row(change, now) for change in kept])
        told = [
            {"alert_id": change.alert.id, "what": change.what.value, "created_at": now}
            for change in kept
            if change.what in TOLD
        ]
        if told:
            await connection.execute(sa.insert(tables.outbox), told)

    async def _devices(self, connection: AsyncConnection, kept: Mapping[int, Writes]) -> None:
        table = tables.device_state
        forgotten = [{"gone": device} for one in kept.values() for device in one.forgotten]
        if forgotten:
            await connection.execute(sa.delete(table).where(table.c.device == sa.bindparam("gone")), forgotten)
        rows = [(device, partition, data) for partition, one in kept.items() for device, data in one.devices.items()]
        if rows and self._postgres:
            devices, partitions, data = map(list, zip(*rows, strict=True))
            await connection.execute(_ROWS, {"devices": devices, "partitions": partitions, "data": data})
        elif rows:
            await connection.exec_driver_sql(_ROW, rows)

    async def _errors(self, connection: AsyncConnection, errors: Iterable[tuple[int, RuleError]]) -> None:
        table = tables.rule_error
        statement = self._upsert(table)
        new = statement.excluded
        same = table.c.version == new.version
        statement = statement.on_conflict_do_update(
            index_elements=["rule_id", "partition"],
            set_={name: new[name] for name in ("version", "message", "device", "at")}
            | {"count": sa.case((same, table.c.count + new["count"]), else_=new["count"])},
        )
        rows = [
            {
                "rule_id": error.rule_id,
                "partition": partition,
                "version": error.version,
                "message": error.message.replace("\0", "")[:1024],
                "device": error.device,
                "count": error.count,
                "at": error.at,
            }
            for partition, error in errors
        ]
        await connection.execute(statement, rows)

    async def _put(
        self, connection: AsyncConnection, table: sa.Table, rows: list[dict[str, Any]], *, keep: bool = False
    ) -> None:
        """Insert rows, and replace what they have in those that are there; or with `keep` leave these."""
        if not rows:
            return
        statement = self._upsert(table)
        keys = [column.name for column in table.primary_key]
        if keep:
            statement = statement.on_conflict_do_nothing(index_elements=keys)
        else:
            values = {name: statement.excluded[name] for name in rows[0] if name not in keys}
            statement = statement.on_conflict_do_update(index_elements=keys, set_=values)
        await connection.execute(statement, rows)

    async def note_errors(self, errors: Iterable[RuleError]) -> None:
        """Write what is wrong with rules wherever they are evaluated."""
        async with write(self._engine) as connection:
            await self._errors(connection, [(GROUPS, error) for error in errors])

    async def to_end(self, partitions: Collection[int]) -> list[tuple[int, str]]:
        """Read which open alerts of `partitions` an operator wants to end: partition and id."""
        alert = tables.alert.c
        query = sa.select(alert.partition, alert.id).where(tables.is_to_end, alert.partition.in_(partitions))
        async with self._engine.connect() as connection:
            return [(row.partition, row.id) for row in await connection.execute(query)]

    async def forget(self, resolved_before: int, deleted_before: int) -> int:
        """Delete resolved alerts with their history, and rules that were deleted, from before these times (ns).

        Some of them at once; returns how many alerts, so that whoever calls goes on while there are some.
        """
        alert, rule = tables.alert.c, tables.rule.c
        async with write(self._engine) as connection:
            over = sa.select(alert.id).where(alert.state == State.RESOLVED.value, alert.resolved_at < resolved_before)
            ids = list((await connection.execute(over.limit(_AT_ONCE))).scalars())
            if ids:
                await connection.execute(sa.delete(tables.change).where(tables.change.c.alert_id.in_(ids)))
                await connection.execute(sa.delete(tables.alert).where(alert.id.in_(ids)))
            gone = sa.select(rule.id).where(rule.content.is_(None), rule.updated_at < deleted_before)
            for table in (tables.rule_version, tables.rule_error):
                await connection.execute(sa.delete(table).where(table.c.rule_id.in_(gone)))
            await connection.execute(sa.delete(tables.rule).where(rule.id.in_(gone)))
        return len(ids)


async def _lost(connection: AsyncConnection, owners: Mapping[int, str]) -> set[int]:
    """Give the partitions that have other owners, and keep the rest from getting any until the transaction ends."""
    table = tables.shard
    query = sa.select(table).where(table.c.partition.in_(owners)).order_by(table.c.partition).with_for_update()
    held = {row.partition: row.owner for row in await connection.execute(query)}
    return {partition for partition, owner in owners.items() if held.get(partition) != owner}


async def _divide(connection: AsyncConnection, table: sa.Table, key: sa.Column[Any], partitions: int) -> None:
    query = sa.select(key.label("key"), table.c.device).where(table.c.device != "", table.c.partition != GROUPS)
    rows = [{"moved": row.key, "to": partition_of(row.device, partitions)} for row in await connection.execute(query)]
    if rows:
        await connection.execute(
            sa.update(table).where(key == sa.bindparam("moved")).values(partition=sa.bindparam("to")), rows
        )


def _alert_of(row: sa.Row[Any]) -> Alert:
    fields = {str(name): value for name, value in row._mapping.items()}  # noqa: SLF001 - its documented name
    return msgspec.convert(fields | {"subject": Subject(row.device, row.group_id)}, Alert)


def _alert_row(alert: Alert, partition: int) -> dict[str, Any]:
    row = msgspec.structs.asdict(alert)
    subject = row.pop("subject")
    return row | {
        "device": subject.device,
        "group_id": subject.group,
        "partition": partition,
        "state": alert.state.value,
        "reason": None if alert.reason is None else alert.reason.value,
    }


def _change_row(change: Change, now: int) -> dict[str, Any]:
    alert = change.alert
    return {
        "alert_id": alert.id,
        "what": change.what.value,
        "at": change.at,
        "changed_at": now,
        "state": alert.state.value,
        "severity": alert.severity,
        "value": alert.value,
        "reason": None if alert.reason is None else alert.reason.value,
        "evidence": {metric: [at, _plain(value)] for metric, (at, value) in change.evidence.items()},
    }


def _plain(value: Value) -> Value:
    """Give a value that JSON has."""
    return value if not isinstance(value, float) or isfinite(value) else str(value)
