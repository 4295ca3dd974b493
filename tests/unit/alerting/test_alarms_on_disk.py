"""Alerts, notifications and the position: on disk together, or not at all."""

import asyncio
import itertools
import json
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting import database, tables
from alerting.alarms import Alarms, NotLoadedError
from alerting.evaluation import Evaluation
from alerting.metrics import Metrics
from alerting.repository import Repository, TakenOverError
from alerting.rules import Rule
from contracts.logs import quiet
from contracts.readings import Reading
from tests.unit.alerting.stories import SECOND, T0, rule

HOOK = "http://receiver.example/hook"
STREAM = "TELEMETRY"


class Service:
    """Alarms over a database; `now` is in seconds after T0."""

    def __init__(self, engine: AsyncEngine, first_id: int = 1) -> None:
        self.now = 0.0
        self.woken = 0
        self.registry = CollectorRegistry()
        ids = map("{:04}".format, itertools.count(first_id))
        self.repository = Repository(engine)
        evaluation = Evaluation(lambda _: None, 600 * SECOND, lambda: next(ids))
        self.alarms = Alarms(
            self.repository, evaluation, Metrics(self.registry), quiet(), self._clock, HOOK, self._wake
        )

    def _clock(self) -> int:
        return T0 + int(self.now * SECOND)

    def _wake(self) -> None:
        self.woken += 1

    async def hear(self, sequence: int, at: float, value: float, device: str = "pump", stream: str = STREAM) -> None:
        self.now = max(self.now, at)
        reading = Reading(device, T0 + int(at * SECOND), self._clock(), {"temperature": value})
        await self.alarms.take(self.alarms.epoch, stream, sequence, [reading])

    async def commit(self) -> None:
        await self.alarms.commit(self.alarms.epoch)


async def started(engine: AsyncEngine, first_id: int = 1, stream: str = "stream one") -> Service:
    service = Service(engine, first_id)
    await service.alarms.load()
    await service.alarms.stream_is(service.alarms.epoch, STREAM, stream)
    return service


async def with_rule(engine: AsyncEngine, added: Rule | None = None) -> Service:
    service = await started(engine)
    await service.alarms.add_rule(rule() if added is None else added)
    return service


async def rows(engine: AsyncEngine, table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
    async with engine.connect() as connection:
        return list(await connection.execute(sa.select(table)))


async def said(engine: AsyncEngine) -> list[str]:
    return [json.loads(row.body)["id"] for row in await rows(engine, tables.outbox)]


async def test_an_alert_its_notification_and_the_position_are_one_commit(engine: AsyncEngine) -> None:
    service = await with_rule(engine)
    await service.hear(7, 0, 31.0)
    assert await rows(engine, tables.alert) == []
    await service.commit()
    [alert], positions, [notice] = [
        await rows(engine, table) for table in (tables.alert, tables.position, tables.outbox)
    ]
    assert (alert.state, alert.device) == ("firing", "pump")
    assert {(row.stream, row.sequence) for row in positions} == {("TELEMETRY", 7), ("DERIVED", 0)}
    assert notice.url == HOOK
    assert json.loads(notice.body) == {
        "schema_version": 1,
        "id": f"{alert.id}.firing",
        "alert_id": alert.id,
        "state": "firing",
        "rule_id": "rule",
        "rule": "too hot",
        "severity": "warning",
        "device": "pump",
        "metric": "temperature",
        "value": 31.0,
        "threshold": 30.0,
        "started_at": T0,
        "changed_at": T0,
    }
    assert service.woken == 1


async def test_what_was_not_committed_is_evaluated_again_after_a_crash(engine: AsyncEngine) -> None:
    crashed = await with_rule(engine)
    await crashed.hear(1, 0, 31.0)
    service = await started(engine, first_id=2)
    assert not service.alarms.has_seen(STREAM, 1)
    await service.hear(1, 0, 31.0)
    await service.commit()
    assert await said(engine) == ["0002.firing"]


async def test_what_was_committed_is_not_evaluated_again_after_a_crash(engine: AsyncEngine) -> None:
    crashed = await with_rule(engine)
    await crashed.hear(1, 0, 31.0)
    await crashed.commit()
    service = await started(engine, first_id=2)
    assert service.alarms.has_seen(STREAM, 1)
    assert not service.alarms.has_seen(STREAM, 2)
    await service.hear(2, 1, 20.0)
    await service.commit()
    assert await said(engine) == ["0001.firing", "0001.resolved"]


async def test_each_stream_has_its_position_and_one_commit_has_both(engine: AsyncEngine) -> None:
    crashed = await with_rule(engine)
    await crashed.alarms.stream_is(crashed.alarms.epoch, "DERIVED", "stream three")
    await crashed.hear(900, 0, 20.0, device="raw")
    await crashed.hear(4, 0, 31.0, device="computed", stream="DERIVED")
    await crashed.commit()
    await crashed.hear(5, 1, 20.0, device="computed", stream="DERIVED")
    service = await started(engine, first_id=2)
    await service.alarms.stream_is(service.alarms.epoch, "DERIVED", "stream three")
    assert (service.alarms.has_seen(STREAM, 900), service.alarms.has_seen("DERIVED", 900)) == (True, False)
    assert (service.alarms.has_seen("DERIVED", 4), service.alarms.has_seen("DERIVED", 5)) == (True, False)
    await service.hear(5, 1, 20.0, device="computed", stream="DERIVED")
    await service.commit()
    assert await said(engine) == ["0001.firing", "0001.resolved"]


async def test_a_stream_that_was_made_anew_is_no_matter_of_the_other(engine: AsyncEngine) -> None:
    service = await with_rule(engine)
    await service.hear(7, 0, 20.0)
    await service.hear(3, 0, 20.0, device="computed", stream="DERIVED")
    await service.alarms.stream_is(service.alarms.epoch, "DERIVED", "made anew")
    assert (service.alarms.has_seen(STREAM, 7), service.alarms.has_seen("DERIVED", 1)) == (True, False)


async def test_a_database_of_before_there_were_derived_values_keeps_its_place(engine: AsyncEngine) -> None:
    service = await with_rule(engine)
    await service.hear(7, 0, 31.0)
    await service.commit()
    async with engine.begin() as connection:
        await connection.execute(sa.delete(tables.position).where(tables.position.c.stream == "DERIVED"))
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    await database.migrate(engine)
    service = await started(engine, first_id=2)
    assert (service.alarms.has_seen(STREAM, 7), service.alarms.has_seen("DERIVED", 1)) == (True, False)


async def test_lateness_and_pending_alerts_survive_a_crash(engine: AsyncEngine) -> None:
    crashed = await with_rule(engine, rule(for_s=30))
    await crashed.hear(1, 10, 31.0)
    await crashed.hear(2, 20, 31.0)
    await crashed.commit()
    service = await started(engine, first_id=2)
    await service.hear(3, 15, 20.0)
    await service.hear(4, 40, 31.0)
    await service.commit()
    [alert] = await rows(engine, tables.alert)
    assert (alert.id, alert.state) == ("0001", "firing")


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(engine: AsyncEngine) -> None:
    service = await with_rule(engine)
    await service.hear(100, 0, 31.0)
    await service.commit()
    service = await started(engine, 2, "stream two")
    assert not service.alarms.has_seen(STREAM, 1)
    await service.hear(1, 5, 20.0)
    await service.commit()
    assert await said(engine) == ["0001.firing", "0001.resolved"]


async def test_a_message_that_no_rule_looks_at_needs_no_commit(engine: AsyncEngine) -> None:
    service = await started(engine)
    await service.hear(1, 0, 31.0)
    assert service.alarms.settled


async def test_a_late_reading_needs_no_commit(engine: AsyncEngine) -> None:
    service = await with_rule(engine)
    await service.hear(1, 10, 20.0)
    assert not service.alarms.settled
    await service.commit()
    await service.hear(2, 9, 31.0)
    assert service.alarms.settled


async def test_a_pending_alert_that_is_withdrawn_leaves_no_trace(engine: AsyncEngine) -> None:
    service = await with_rule(engine, rule(for_s=30))
    await service.hear(1, 0, 31.0)
    await service.commit()
    assert [row.state for row in await rows(engine, tables.alert)] == ["pending"]
    await service.hear(2, 1, 20.0)
    await service.commit()
    assert await rows(engine, tables.alert) == []
    assert await said(engine) == []


async def test_an_alert_that_ends_and_begins_anew_between_two_commits(engine: AsyncEngine) -> None:
    service = await with_rule(engine)
    await service.hear(1, 0, 31.0)
    await service.commit()
    for sequence, value in ((2, 20.0), (3, 31.0)):
        await service.hear(sequence, sequence, value)
    await service.commit()
    assert [(row.id, row.state) for row in await rows(engine, tables.alert)] == [
        ("0001", "resolved"),
        ("0002", "firing"),
    ]
    assert await said(engine) == ["0001.firing", "0001.resolved", "0002.firing"]


async def test_the_clock_commits_what_it_fires(engine: AsyncEngine) -> None:
    service = await with_rule(engine, rule(for_s=30))
    await service.hear(1, 0, 31.0)
    await service.hear(2, 25, 31.0)
    service.now = 31
    await service.alarms.tick()
    assert await said(engine) == ["0001.firing"]


async def test_deleting_a_rule_tells_its_receivers(engine: AsyncEngine) -> None:
    service = await with_rule(engine, rule(webhooks=("http://a.example/", "http://b.example/")))
    await service.hear(1, 0, 31.0)
    await service.commit()
    assert await service.alarms.delete_rule("rule")
    assert not await service.alarms.delete_rule("rule")
    assert [(row.url[7], json.loads(row.body)["state"]) for row in await rows(engine, tables.outbox)] == [
        ("a", "firing"),
        ("b", "firing"),
        ("a", "resolved"),
        ("b", "resolved"),
    ]
    assert await rows(engine, tables.mark) == []
    assert await rows(engine, tables.rule) == []


async def test_a_rule_survives_as_it_was_written(engine: AsyncEngine) -> None:
    written = rule(devices=frozenset({"a", "b"}), clear=25.5, for_s=90, webhooks=(HOOK,), profile=None)
    await with_rule(engine, written)
    assert await Service(engine).repository.rules(10) == [written]


async def test_replacing_a_rule_gives_it_a_new_version(engine: AsyncEngine) -> None:
    service = await with_rule(engine)
    later = msgspec.structs.replace(rule(value=50.0), created_at=T0 + 5, updated_at=T0 + 5)
    replaced = await service.alarms.replace_rule(later)
    assert replaced is not None
    assert (replaced.version, replaced.created_at, replaced.updated_at) == (2, T0, T0 + 5)
    assert await service.alarms.replace_rule(msgspec.structs.replace(later, id="no such")) is None


async def test_a_failed_commit_throws_memory_away(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    service = await with_rule(engine)
    epoch = service.alarms.epoch
    await service.hear(1, 0, 31.0)

    async def full(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", {}, Exception("disk full"))

    monkeypatch.setattr(service.repository, "commit", full)
    with pytest.raises(OperationalError):
        await service.commit()
    monkeypatch.undo()
    with pytest.raises(NotLoadedError):
        await service.hear(2, 1, 31.0)
    await service.alarms.load()
    with pytest.raises(NotLoadedError):
        await service.alarms.take(epoch, STREAM, 2, [])
    assert not service.alarms.has_seen(STREAM, 1)


async def test_two_processes_on_one_database_do_not_both_write(engine: AsyncEngine) -> None:
    one = await with_rule(engine)
    two = await started(engine, 2)
    await one.hear(1, 0, 31.0)
    await two.hear(1, 0, 31.0, stream="DERIVED")
    await one.commit()
    with pytest.raises(TakenOverError):
        await two.commit()
    assert await said(engine) == ["0001.firing"]


async def test_the_database_itself_refuses_a_second_open_alert(engine: AsyncEngine) -> None:
    service = await with_rule(engine)
    await service.hear(1, 0, 31.0)
    await service.commit()
    [alert] = await rows(engine, tables.alert)
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError, match="UNIQUE"):
            await connection.execute(sa.insert(tables.alert), [alert._asdict() | {"id": "another", "state": "pending"}])


async def test_forgetting_leaves_open_alerts_and_their_marks(engine: AsyncEngine) -> None:
    service = await with_rule(engine)
    for sequence, device, value in ((1, "bad", 31.0), (2, "good", 20.0), (3, "over", 31.0)):
        await service.hear(sequence, 0, value, device)
    await service.hear(4, 1, 20.0, "over")
    await service.commit()
    service.now = 10_000
    await service.alarms.forget(T0 + 2 * SECOND)
    assert [row.device for row in await rows(engine, tables.mark)] == ["bad"]
    assert [row.device for row in await rows(engine, tables.alert)] == ["bad"]


async def test_a_reading_that_raises_leaves_its_neighbours_alone(engine: AsyncEngine) -> None:
    service = await with_rule(engine)
    broken = Reading("broken", None, 0, {"temperature": 31.0})  # type: ignore[arg-type]
    good = Reading("good", T0, T0, {"temperature": 31.0})
    failed = await service.alarms.take(service.alarms.epoch, STREAM, 1, [broken, good])
    assert [reading for reading, _ in failed] == [broken]
    assert not service.alarms.has_seen(STREAM, 1), "until the caller has dead-lettered it"
    await service.alarms.passed(service.alarms.epoch, STREAM, 1)
    await service.commit()
    assert [row.device for row in await rows(engine, tables.alert)] == ["good"]


async def test_the_migrations_make_the_tables(engine: AsyncEngine) -> None:
    def differences(connection: sa.Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), tables.metadata)

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_the_head_named_in_the_code_is_the_newest_migration() -> None:
    assert ScriptDirectory("alerting/migrations").get_current_head() == database.HEAD


async def test_a_database_folder_is_made(tmp_path: Path) -> None:
    engine = database.connect(f"sqlite+aiosqlite:///{tmp_path}/new/folder/a.sqlite3")
    await database.migrate(engine)
    await asyncio.gather(database.migrate(engine), database.migrate(engine))
    assert await Service(engine).repository.rules(1) == []
    await engine.dispose()
