"""An installation of before keeps its rules, its alerts and what its devices last said."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting import database, tables_notify
from alerting.evaluation.memory import decode_memory
from alerting.life.alert import State
from alerting.repository import Repository
from alerting.rule_repository import RuleRepository
from contracts.streams import partition_of

SECOND = 1_000_000_000
T0 = 1_767_225_600 * SECOND
HOOK = "https://receiver.example/hook"
MIGRATIONS = Path(database.__file__).with_name("migrations")
RULE = {
    "id": "r1",
    "version": 3,
    "name": "too hot",
    "metric": "temperature",
    "operator": "ge",
    "value": 30.0,
    "for_ns": 90 * SECOND,
    "clear": 25.5,
    "devices": '["kiln-1", "kiln-2"]',
    "profile": None,
    "severity": "critical",
    "enabled": True,
    "webhooks": f'["{HOOK}"]',
    "created_at": T0,
    "updated_at": T0 + 5,
}
PLAIN = RULE | {"id": "r2", "version": 1, "clear": None, "devices": None, "profile": "kiln", "for_ns": 0}
PLAIN |= {"enabled": False, "webhooks": "[]", "severity": "warning", "operator": "gt"}
ALERT = {
    "id": "a1",
    "rule_id": "r1",
    "rule": "too hot",
    "device": "kiln-1",
    "metric": "temperature",
    "state": "pending",
    "severity": "critical",
    "value": 31.0,
    "threshold": 30.0,
    "started_at": T0,
    "fired_at": None,
    "resolved_at": None,
    "reason": None,
}
FIRING = ALERT | {"id": "a2", "device": "kiln-2", "state": "firing", "fired_at": T0 + 1}
OVER = ALERT | {"id": "a0", "state": "resolved", "fired_at": T0, "resolved_at": T0 + 1, "reason": "cleared"}
MARKS = [
    {"rule_id": "r1", "device": "kiln-1", "ts": T0 + 9, "value": 31.0},
    {"rule_id": "r2", "device": "kiln-1", "ts": T0 + 8, "value": 30.5},
    {"rule_id": "r1", "device": "kiln-2", "ts": T0 + 7, "value": 40.0},
]
NOTICE = {"seq": 4, "alert_id": "a2", "url": HOOK, "body": '{"id": "a2.firing"}', "created_at": T0 + 2}


def move(connection: sa.Connection, to: str, *, down: bool = False) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    (command.downgrade if down else command.upgrade)(config, to)


async def at(engine: AsyncEngine, to: str, *, down: bool = False) -> None:
    async with database.write(engine) as connection:
        await connection.run_sync(lambda plain: move(plain, to, down=down))


async def insert(engine: AsyncEngine, table: str, *rows: dict[str, Any]) -> None:
    names = ", ".join(rows[0])
    values = ", ".join(f":{name}" for name in rows[0])
    statement = f"INSERT INTO {table} ({names}) VALUES ({values})"  # noqa: S608 - of names in this file
    async with engine.begin() as connection:
        await connection.execute(sa.text(statement), list(rows))


async def read(engine: AsyncEngine, table: str) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        found = await connection.execute(sa.text(f"SELECT * FROM {table} ORDER BY 1"))  # noqa: S608 - as above
        return [dict(row) for row in found.mappings()]


async def of_before(engine: AsyncEngine) -> None:
    """Make a database as the version before the partitions left it."""
    await at(engine, "0002")
    await insert(engine, "rule", RULE, PLAIN)
    await insert(engine, "alert", ALERT, FIRING, OVER)
    await insert(engine, "mark", *MARKS)
    await insert(engine, "outbox", NOTICE)
    async with engine.begin() as connection:
        await connection.execute(
            sa.text("UPDATE position SET created = 'then', sequence = 77 WHERE stream = 'DERIVED'")
        )


async def test_rules_of_before_are_rules_of_now(empty_engine: AsyncEngine) -> None:
    await of_before(empty_engine)
    await at(empty_engine, "0003")
    rules = RuleRepository(empty_engine)
    revision, (one, two) = await rules.changed_since(0)
    assert (one.id, one.version, one.created_at, one.updated_at) == ("r1", 3, T0, T0 + 5)
    spec = one.spec
    assert (spec.kind, spec.for_ns, spec.severity) == ("threshold", 90 * SECOND, "critical")
    assert spec.model_dump(include={"operator", "value", "clear"}) == {"operator": "ge", "value": 30.0, "clear": 25.5}
    assert spec.selector.devices == ["kiln-1", "kiln-2"]
    other = two.spec
    assert (spec.enabled, other.enabled, other.selector.profile, other.selector.devices) == (True, False, "kiln", None)
    assert revision == 2
    assert [version.version for version in await rules.versions("r1", 9)] == [3]


async def test_alerts_keep_their_ids_and_devices_what_they_last_said(empty_engine: AsyncEngine) -> None:
    await of_before(empty_engine)
    await at(empty_engine, "0003")
    repository = Repository(empty_engine)
    assert await repository.divide(4)
    assert not await repository.divide(4)
    first = await repository.load(partition_of("kiln-1", 4), "me.1")
    assert [(alert.id, alert.state, alert.subject.device) for alert in first.alerts] == [
        ("a1", State.PENDING, "kiln-1")
    ]
    assert first.alerts[0].labels["alertname"] == "too hot"
    memory = decode_memory(dict(first.devices)["kiln-1"])
    assert memory.last == {"temperature": (T0 + 9, 31.0)}
    second = await repository.load(partition_of("kiln-2", 4), "me.2")
    assert [(alert.id, alert.fired_at) for alert in second.alerts] == [("a2", T0 + 1)]
    assert {stream: (at.created, at.sequence) for stream, at in first.positions.items()} == {
        "DERIVED": ("then", 77),
    }, "what was never read has no position"
    assert {row["id"]: row["state"] for row in await read(empty_engine, "alert")}["a0"] == "resolved"


async def test_what_nobody_was_told_yet_and_whom_to_tell_is_left_to_the_next_migration(
    empty_engine: AsyncEngine,
) -> None:
    await of_before(empty_engine)
    await at(empty_engine, "0003")
    assert await read(empty_engine, "old_outbox") == [NOTICE]
    [urls] = await read(empty_engine, "old_webhook")
    assert urls["rule_id"] == "r1"
    assert urls["urls"] in ([HOOK], f'["{HOOK}"]')


async def test_one_can_go_back(empty_engine: AsyncEngine) -> None:
    await of_before(empty_engine)
    before = {table: await read(empty_engine, table) for table in ("rule", "alert", "outbox", "position")}
    await at(empty_engine, "0003")
    await at(empty_engine, "0002", down=True)
    assert {table: await read(empty_engine, table) for table in before} == before
    marks = {(row["rule_id"], row["device"]): row["ts"] for row in await read(empty_engine, "mark")}
    assert marks == {
        ("r1", "kiln-1"): T0 + 9,
        ("r2", "kiln-1"): T0 + 9,
        ("r1", "kiln-2"): T0 + 7,
        ("r2", "kiln-2"): T0 + 7,
    }
    await at(empty_engine, "0003")
    assert len(await read(empty_engine, "device_state")) == 2


async def test_a_device_with_an_open_alert_and_no_mark_has_a_row(empty_engine: AsyncEngine) -> None:
    await at(empty_engine, "0002")
    await insert(empty_engine, "rule", RULE)
    await insert(empty_engine, "alert", FIRING)
    await at(empty_engine, "0003")
    [row] = await read(empty_engine, "device_state")
    assert msgspec.msgpack.decode(row["data"])[2] == {"temperature": [T0, 31.0]}


async def test_the_migrations_make_the_tables(engine: AsyncEngine) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        context = MigrationContext.configure(connection)
        return list(compare_metadata(context, tables_notify.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_the_head_named_in_the_code_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == database.HEAD


async def test_a_database_folder_is_made(tmp_path: Path) -> None:
    engine = database.connect(f"sqlite+aiosqlite:///{tmp_path}/new/folder/a.sqlite3")
    await database.migrate(engine)
    await asyncio.gather(database.migrate(engine), database.migrate(engine))
    assert await RuleRepository(engine).changed_since(-1) == (0, [])
    await engine.dispose()
