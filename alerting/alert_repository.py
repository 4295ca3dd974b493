"""Alerts in the database: lists, history, and what operators do to them."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerting.acts import Act
from alerting.database import write
from alerting.life.alert import State, What
from alerting.notify.matching import Matcher, match_all
from alerting.standing import Standing, standing_of
from alerting.tables import alert, change, outbox
from contracts.alerts import Severity

MOST_TRIED = 20_000
_AT_ONCE = 1000


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are meant: those for which all holds that is given.

    `since` and `until` bound `started_at`, the latter exclusively; ns. `acknowledged` is as it is at `now`.
    """

    states: Sequence[State] = ()
    rule: str | None = None
    device: str | None = None
    group: str | None = None
    severity: Severity | None = None
    assignee: str | None = None
    acknowledged: bool | None = None
    since: int | None = None
    until: int | None = None
    matchers: Sequence[Matcher] = ()


class Entry(msgspec.Struct, frozen=True):
    """One line of an alert's history: `at` in event time, `changed_at` by the clock, `who` where it was a person."""

    seq: int
    what: What
    at: int
    changed_at: int
    state: State
    severity: Severity
    value: float | None
    reason: str | None
    evidence: dict[str, Any]
    who: str
    note: str


class AlertRepository:
    """Reads alerts, and writes what operators do: the columns that are theirs, and no others."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def alerts(self, wanted: Wanted, now: int, limit: int, before: str = "") -> tuple[list[Standing], str | None]:
        """Read up to `limit` alerts, newest first, from behind the one with id `before`.

        Returns them and the id behind which to go on, None at the end. There may be fewer, or none, before the end:
        matchers other than `name="value"` are tried on no more than MOST_TRIED alerts at once.
        """
        found: list[Standing] = []
        rest = [matcher for matcher in wanted.matchers if not _in_sql(matcher)]
        tried = 0
        async with self._engine.connect() as connection:
            while tried < MOST_TRIED:
                most = limit - len(found) + 1 if not rest else _AT_ONCE
                query = sa.select(alert).where(*_conditions(wanted, now)).order_by(alert.c.id.desc()).limit(most)
                if before:
                    query = query.where(alert.c.id < before)
                page = [standing_of(row) for row in (await connection.execute(query)).mappings()]
                tried += len(page)
                for standing in page:
                    if match_all(rest, standing.alert.labels):
                        if len(found) == limit:
                            return found, found[-1].alert.id if found else before
                        found.append(standing)
                if len(page) < most:
                    return found, None
                before = page[-1].alert.id
        return found, before

    async def named(self, ids: Sequence[str]) -> dict[str, Standing]:
        """Read alerts by id, at most a thousand; what is not there is left out."""
        async with self._engine.connect() as connection:
            return {found.alert.id: found for found in await read_named(connection, ids)}

    async def one(self, alert_id: str) -> Standing | None:
        """Read an alert; None if there is none."""
        return (await self.named([alert_id])).get(alert_id)

    async def history(self, alert_id: str, limit: int, after: int = 0) -> list[Entry]:
        """Read up to `limit` changes of an alert, oldest first, from behind the one with number `after`."""
        query = sa.select(change).where(change.c.alert_id == alert_id, change.c.seq > after)
        async with self._engine.connect() as connection:
            found = await connection.execute(query.order_by(change.c.seq).limit(limit))
            return [_entry(row) for row in found.mappings()]

    async def act(self, standing: Standing, act: Act, now: int) -> Standing | None:
        """Do `act` to an alert as it was read. None if it is another by now, or in no state for this; nothing is done.

        The change, its line of history, and what is to be told of it are written in one transaction.
        """
        async with write(self._engine) as connection:
            return await _act(connection, standing, act, now)

    async def act_all(self, acts: Sequence[tuple[Standing, Act]], now: int) -> list[Standing]:
        """Do each of `acts` in one transaction; gives those that were done."""
        async with write(self._engine) as connection:
            # In the order of their ids, so that two of these do not wait for each other.
            ordered = sorted(acts, key=lambda pair: pair[0].alert.id)
            done = [await _act(connection, standing, act, now) for standing, act in ordered]
            return [standing for standing in done if standing is not None]


async def read_named(connection: AsyncConnection, ids: Sequence[str]) -> list[Standing]:
    """Read alerts by id, at most a thousand, in the transaction of `connection`."""
    query = sa.select(alert).where(alert.c.id.in_(ids))
    return [standing_of(row) for row in (await connection.execute(query)).mappings()]


async def _act(connection: AsyncConnection, standing: Standing, act: Act, now: int) -> Standing | None:
    written = await connection.execute(
        sa.update(alert)
        .where(
            alert.c.id == standing.alert.id, alert.c.revision == standing.revision, alert.c.state.in_(list(act.states))
        )
        .values(**act.values, revision=standing.revision + 1)
    )
    if written.rowcount != 1:
        return None
    after = (await read_named(connection, [standing.alert.id]))[0]
    line = {
        "alert_id": after.alert.id,
        "what": act.what,
        "at": now,
        "changed_at": now,
        "state": after.alert.state,
        "severity": after.alert.severity,
        "value": after.alert.value,
        "evidence": {},
        "who": act.who,
        "note": act.note,
    }
    await connection.execute(sa.insert(change).values(line))
    if act.told:
        await connection.execute(sa.insert(outbox).values(alert_id=after.alert.id, what=act.what, created_at=now))
    return after


def _conditions(wanted: Wanted, now: int) -> list[sa.ColumnElement[bool]]:
    columns = alert.c
    found: list[sa.ColumnElement[bool]] = []
    if wanted.states:
        found.append(columns.state.in_(list(wanted.states)))
    equal = {
        columns.rule_id: wanted.rule,
        columns.device: wanted.device,
        columns.group_id: wanted.group,
        columns.severity: wanted.severity,
        columns.assignee: wanted.assignee,
    }
    found += [column == value for column, value in equal.items() if value is not None]
    if wanted.acknowledged is not None:
        known = sa.and_(
            columns.acknowledged_at.is_not(None),
            columns.level <= columns.acknowledged_level,
            sa.or_(columns.acknowledged_until.is_(None), columns.acknowledged_until > now),
        )
        found.append(known if wanted.acknowledged else sa.not_(sa.func.coalesce(known, sa.false())))
    if wanted.since is not None:
        found.append(columns.started_at >= wanted.since)
    if wanted.until is not None:
        found.append(columns.started_at < wanted.until)
    found += [columns.labels[one.name].as_string() == one.value for one in wanted.matchers if _in_sql(one)]
    return found


def _in_sql(matcher: Matcher) -> bool:
    """Whether a matcher is tried by the database: what is not there equals an empty label, but not there."""
    return matcher.operator == "=" and matcher.value != ""


def _entry(row: sa.RowMapping) -> Entry:
    names = [name for name in Entry.__struct_fields__ if name not in ("what", "state")]
    return Entry(what=What(row["what"]), state=State(row["state"]), **{name: row[name] for name in names})
