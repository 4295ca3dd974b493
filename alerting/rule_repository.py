"""Rules in the database: as they are, every version that they had, and what is wrong with them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alerting.database import write
from alerting.rules.spec import RuleSpec, content_of, parse_spec
from alerting.tables import alert, is_open, revision, rule, rule_error, rule_version
from contracts.versions import Match, check

MAX_RULES = 10_000
_AT_ONCE = 500
"""So many ids in one statement."""


class TooManyRulesError(Exception):
    """There would be more than MAX_RULES rules."""


class StoredRule(msgspec.Struct, frozen=True):
    """A rule as it is on disk; without `content` it is deleted. Times in ns since 1970 UTC."""

    id: str
    version: int
    revision: int
    content: dict[str, Any] | None
    created_at: int
    updated_at: int

    @property
    def spec(self) -> RuleSpec:
        """What its author wrote. Raises pydantic.ValidationError where an earlier version wrote this refuses."""
        return parse_spec(self.content or {})


class RuleVersion(msgspec.Struct, frozen=True):
    """One version that a rule had; without `content` it was deleted then."""

    version: int
    content: dict[str, Any] | None
    changed_at: int


class RuleTrouble(msgspec.Struct, frozen=True):
    """What was last wrong with a rule, at which device and when, and how often in all partitions."""

    message: str
    device: str
    at: int
    count: int


class RulesWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rules are meant: those for which all holds that is given. `name` is a part of it, in any case."""

    kind: str | None = None
    enabled: bool | None = None
    name: str | None = None
    in_error: bool | None = None


class RuleRepository:
    """Rules. Each change raises revision `rules` in the same transaction, by which replicas see what has changed."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def one(self, rule_id: str) -> StoredRule | None:
        """Read a rule; None if there is none."""
        async with self._engine.connect() as connection:
            return (await _present(connection, [rule_id])).get(rule_id)

    async def rules(self, wanted: RulesWanted, limit: int, after: str = "") -> list[StoredRule]:
        """Read up to `limit` rules in the order of their ids, from behind `after`."""
        query = sa.select(rule).where(rule.c.content.is_not(None), rule.c.id > after, *_conditions(wanted))
        async with self._engine.connect() as connection:
            found = await connection.execute(query.order_by(rule.c.id).limit(limit))
            return [_stored(row) for row in found.mappings()]

    async def changed_since(self, seen: int) -> tuple[int, list[StoredRule]]:
        """Read the revision, and the rules that have changed since it was `seen`, deleted ones too."""
        async with self._engine.connect() as connection:
            value = await connection.scalar(sa.select(revision.c.value).where(revision.c.name == "rules")) or 0
            if value == seen:
                return value, []
            found = await connection.execute(sa.select(rule).where(rule.c.revision > seen).order_by(rule.c.revision))
            changed = [_stored(row) for row in found.mappings()]
        return max([value, *(one.revision for one in changed)]), changed

    async def versions(self, rule_id: str, limit: int, before: int | None = None) -> list[RuleVersion]:
        """Read up to `limit` versions of a rule, also of one that is deleted, newest first, from behind `before`."""
        columns = rule_version.c
        query = sa.select(columns.version, columns.content, columns.changed_at).where(columns.rule_id == rule_id)
        if before is not None:
            query = query.where(columns.version < before)
        async with self._engine.connect() as connection:
            found = await connection.execute(query.order_by(columns.version.desc()).limit(limit))
            return [RuleVersion(*row) for row in found]

    async def troubles(self, rules: Sequence[StoredRule]) -> dict[str, RuleTrouble]:
        """Give, by id, what is wrong with rules as they are now."""
        versions = {one.id: one.version for one in rules}
        found: dict[str, RuleTrouble] = {}
        query = sa.select(rule_error).where(rule_error.c.rule_id.in_(list(versions))).order_by(rule_error.c.at)
        async with self._engine.connect() as connection:
            for row in await connection.execute(query):
                if row.version == versions[row.rule_id]:
                    before = found.get(row.rule_id)
                    count = row._mapping["count"] + (before.count if before else 0)  # noqa: SLF001 - its documented name
                    found[row.rule_id] = RuleTrouble(row.message, row.device, row.at, count)
        return found

    async def open_alerts(self, rule_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """Count the open alerts of rules: by id, then by state."""
        columns = alert.c
        query = (
            sa.select(columns.rule_id, columns.state, sa.func.count())
            .where(columns.rule_id.in_(rule_ids), is_open)
            .group_by(columns.rule_id, columns.state)
        )
        counts: dict[str, dict[str, int]] = {}
        async with self._engine.connect() as connection:
            for rule_id, state, count in await connection.execute(query):
                counts.setdefault(rule_id, {})[state] = count
        return counts

    async def put(self, rule_id: str, spec: RuleSpec, now: int, match: Match = None) -> tuple[StoredRule, bool]:
        """Make a rule, or replace the one with this id. Gives it, and whether it was there.

        One that is put as it is stays at its version. Raises StaleError, and TooManyRulesError.
        """
        async with write(self._engine) as connection:
            value = await _next_revision(connection)
            before = (await _present(connection, [rule_id])).get(rule_id)
            check(before.version if before else 0, match)
            await _write(connection, self._engine, {rule_id: spec}, {rule_id: before}, value, now)
            return (await _present(connection, [rule_id]))[rule_id], before is not None

    async def apply(self, specs: Mapping[str, RuleSpec], now: int, *, dry: bool) -> dict[str, str]:
        """Put many rules in one transaction; gives for each created, changed or unchanged. `dry`: changes nothing.

        Raises TooManyRulesError.
        """
        async with write(self._engine) as connection:
            value = await _next_revision(connection)
            before = await _present(connection, list(specs))
            outcomes = await _write(connection, self._engine, specs, before, value, now)
            if dry or not any(outcome != "unchanged" for outcome in outcomes.values()):
                await connection.rollback()
            return outcomes

    async def delete(self, rule_id: str, now: int, match: Match = None) -> bool:
        """Delete a rule; gives whether there was one. Raises StaleError."""
        async with write(self._engine) as connection:
            value = await _next_revision(connection)
            before = (await _present(connection, [rule_id])).get(rule_id)
            if before is None:
                return False
            check(before.version, match)
            version = before.version + 1
            values = {"version": version, "revision": value, "content": None, "updated_at": now}
            await connection.execute(sa.update(rule).where(rule.c.id == rule_id).values(values))
            gone = {"rule_id": rule_id, "version": version, "content": None, "changed_at": now}
            await connection.execute(sa.insert(rule_version).values(gone))
            return True


async def _next_revision(connection: AsyncConnection) -> int:
    """Count up, before anything is read: whoever else writes rules waits here until this is done."""
    made = await connection.execute(
        sa.update(revision)
        .where(revision.c.name == "rules")
        .values(value=revision.c.value + 1)
        .returning(revision.c.value)
    )
    value = made.scalar()
    if value is None:
        await connection.execute(sa.insert(revision).values(name="rules", value=1))
        return 1
    return int(value)


async def _present(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, StoredRule]:
    found: dict[str, StoredRule] = {}
    for start in range(0, len(ids), _AT_ONCE):
        query = sa.select(rule).where(rule.c.id.in_(ids[start : start + _AT_ONCE]), rule.c.content.is_not(None))
        for row in (await connection.execute(query)).mappings():
            found[row["id"]] = _stored(row)
    return found


async def _write(
    connection: AsyncConnection,
    engine: AsyncEngine,
    specs: Mapping[str, RuleSpec],
    before: Mapping[str, StoredRule | None],
    value: int,
    now: int,
) -> dict[str, str]:
    """Write rules that are other than they were; gives what became of each."""
    outcomes: dict[str, str] = {}
    contents = {rule_id: content_of(spec) for rule_id, spec in specs.items()}
    for rule_id, content in contents.items():
        old = before.get(rule_id)
        outcomes[rule_id] = "created" if old is None else "unchanged" if old.content == content else "changed"
    changed = [rule_id for rule_id, outcome in outcomes.items() if outcome != "unchanged"]
    if not changed:
        return outcomes
    last = await _last_versions(connection, changed)
    rows = [
        {
            "id": rule_id,
            "version": last.get(rule_id, 0) + 1,
            "revision": value,
            "name": specs[rule_id].name,
            "kind": specs[rule_id].kind,
            "enabled": specs[rule_id].enabled,
            "content": contents[rule_id],
            "created_at": old.created_at if (old := before.get(rule_id)) is not None else now,
            "updated_at": now,
        }
        for rule_id in changed
    ]
    upsert: Any = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    statement = upsert(rule)
    replaced = {column.name: statement.excluded[column.name] for column in rule.c if column.name != "id"}
    await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=replaced), rows)
    kept = [
        {"rule_id": row["id"], "version": row["version"], "content": row["content"], "changed_at": now} for row in rows
    ]
    await connection.execute(sa.insert(rule_version), kept)
    if "created" in outcomes.values():
        count = await connection.scalar(sa.select(sa.func.count()).where(rule.c.content.is_not(None)))
        if (count or 0) > MAX_RULES:
            raise TooManyRulesError
    return outcomes


async def _last_versions(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, int]:
    """Give the last version of each rule that ever was, so that no version is given out again after a deletion."""
    found: dict[str, int] = {}
    for start in range(0, len(ids), _AT_ONCE):
        query = (
            sa.select(rule_version.c.rule_id, sa.func.max(rule_version.c.version).label("last"))
            .where(rule_version.c.rule_id.in_(ids[start : start + _AT_ONCE]))
            .group_by(rule_version.c.rule_id)
        )
        found |= {row.rule_id: row.last for row in await connection.execute(query)}
    return found


def _conditions(wanted: RulesWanted) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.kind is not None:
        found.append(rule.c.kind == wanted.kind)
    if wanted.enabled is not None:
        found.append(rule.c.enabled.is_(wanted.enabled))
    if wanted.name is not None:
        found.append(rule.c.name.icontains(wanted.name, autoescape=True))
    if wanted.in_error is not None:
        failed = sa.exists().where(rule_error.c.rule_id == rule.c.id, rule_error.c.version == rule.c.version)
        found.append(failed if wanted.in_error else ~failed)
    return found


def _stored(row: sa.RowMapping) -> StoredRule:
    return StoredRule(**{name: row[name] for name in StoredRule.__struct_fields__})
