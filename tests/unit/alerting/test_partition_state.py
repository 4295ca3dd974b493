"""Alerts, what is told of them, devices and positions: on disk together or not at all, whenever a replica is killed."""

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting import tables
from alerting.claims import Claim
from alerting.evaluation.shard import Shard
from alerting.evaluation.writes import Position, RuleError, Writes
from alerting.judges.build import build
from alerting.repository import Repository
from alerting.rules.describing import describe
from alerting.rules.rule import Rule
from alerting.rules.spec import parse_spec
from contracts.logs import quiet
from contracts.readings import Reading
from contracts.streams import partition_of

SECOND = 1_000_000_000
T0 = 1_767_225_600 * SECOND
POSITION = Position("made then", 7)


def hot(wait: str = "0s") -> Rule:
    spec = {"name": "too hot", "metric": "temperature", "operator": "gt", "value": 30, "clear": 25, "for": wait}
    return build("rule", 1, parse_spec(spec))


class Replica:
    """Evaluates one partition, as often as it is loaded; `now` is in seconds after T0."""

    ids = map("{:04}".format, itertools.count(1))

    def __init__(self, engine: AsyncEngine, name: str, rule: Rule | None = None, partition: int = 0) -> None:
        self.repository, self.name, self.partition = Repository(engine), name, partition
        self.rule = hot() if rule is None else rule
        self.now = 0.0

    def clock(self) -> int:
        return T0 + int(self.now * SECOND)

    async def load(self) -> "Replica":
        loaded = await self.repository.load(self.partition, self.name)
        self.positions = loaded.positions
        self.shard = Shard(self.partition, lambda _: None, 600 * SECOND, lambda: next(self.ids), describe)
        self.shard.restore([self.rule], loaded.devices, loaded.alerts, self.clock())
        return self

    def hear(self, at: float, value: float, device: str = "kiln") -> None:
        self.now = max(self.now, at)
        ts = T0 + int(at * SECOND)
        self.shard.take(Reading(device, ts, ts, {"temperature": value}), self.clock())

    async def urgent(self) -> set[int]:
        return await self.commit(self.shard.take_urgent())

    async def checkpoint(self) -> set[int]:
        writes = msgspec.structs.replace(self.shard.take_all(), positions={"TELEMETRY": POSITION})
        return await self.commit(writes)

    async def commit(self, writes: Writes) -> set[int]:
        return await self.repository.commit({self.partition: (self.name, writes)}, self.clock())


async def rows(engine: AsyncEngine, table: sa.Table) -> list[Mapping[str, Any]]:
    async with engine.connect() as connection:
        query = sa.select(table).order_by(*table.primary_key)
        return [dict(row) for row in (await connection.execute(query)).mappings()]


async def told(engine: AsyncEngine) -> list[tuple[str, str]]:
    return [(row["alert_id"], row["what"]) for row in await rows(engine, tables.outbox)]


async def states(engine: AsyncEngine) -> list[str]:
    return [row["state"] for row in await rows(engine, tables.alert)]


async def test_an_alert_its_history_its_notification_and_its_device_are_one_commit(engine: AsyncEngine) -> None:
    replica = await Replica(engine, "a").load()
    replica.hear(0, 20.0, "other")
    replica.hear(0, 31.0)
    assert await rows(engine, tables.alert) == []
    assert await replica.urgent() == set()
    [alert] = await rows(engine, tables.alert)
    assert (alert["state"], alert["device"], alert["partition"], alert["value"]) == ("firing", "kiln", 0, 31.0)
    assert alert["labels"]["alertname"] == "too hot"
    [change] = await rows(engine, tables.change)
    assert (change["what"], change["at"], change["evidence"]) == ("firing", T0, {"temperature": [T0, 31.0]})
    assert await told(engine) == [(alert["id"], "firing")]
    assert [row["device"] for row in await rows(engine, tables.device_state)] == ["kiln"], "the other can wait"
    assert await rows(engine, tables.position) == []
    await replica.checkpoint()
    assert [row["device"] for row in await rows(engine, tables.device_state)] == ["kiln", "other"]
    [position] = await rows(engine, tables.position)
    assert (position["stream"], position["partition"], position["sequence"]) == ("TELEMETRY", 0, 7)
    assert (await Replica(engine, "b").load()).positions == {"TELEMETRY": POSITION}


async def test_what_was_not_committed_is_evaluated_again_after_a_kill(engine: AsyncEngine) -> None:
    killed = await Replica(engine, "a").load()
    killed.hear(0, 31.0)
    replica = await Replica(engine, "b").load()
    replica.hear(0, 31.0)
    await replica.urgent()
    assert len(await told(engine)) == 1


@pytest.mark.parametrize("checkpointed", [False, True])
async def test_what_comes_again_after_a_kill_doubles_nothing(engine: AsyncEngine, checkpointed: bool) -> None:  # noqa: FBT001 - a case
    killed = await Replica(engine, "a").load()
    for at, value in ((0, 31.0), (1, 20.0), (2, 32.0)):
        killed.hear(at, value)
        killed.hear(at, value, "second")
        await killed.urgent()
    if checkpointed:
        await killed.checkpoint()
    before = await told(engine)
    assert len(before) == 6
    replica = await Replica(engine, "b").load()
    for at, value in ((0, 31.0), (1, 20.0), (2, 32.0)):  # nothing had been acknowledged
        replica.hear(at, value)
        replica.hear(at, value, "second")
    assert not replica.shard.urgent
    replica.hear(3, 20.0)
    await replica.urgent()
    assert [what for _, what in (await told(engine))[6:]] == ["resolved"]


@pytest.mark.parametrize("kill_at", range(7))
async def test_a_kill_at_any_moment_of_an_alerts_life_loses_and_doubles_nothing(
    engine: AsyncEngine, kill_at: int
) -> None:
    rule = hot("2s")
    story = [(0, 31.0), (1, 31.0), (2, 31.0), (3, 26.0), (4, 20.0), (5, 31.0), (6, 20.0)]
    replica = await Replica(engine, "a0", rule).load()
    for number, (at, value) in enumerate(story):
        replica.hear(at, value)
        if number == kill_at:  # between taking and committing: it is taken again, by another that loads what is there
            replica = await Replica(engine, f"a{number + 1}", rule).load()
            for again in story[: number + 1]:
                replica.hear(*again)
        await replica.urgent()
    assert [what for _, what in await told(engine)] == ["firing", "resolved"]
    assert await states(engine) == ["resolved"], "what was only pending has left no trace"
    changes = [row["what"] for row in await rows(engine, tables.change)]
    assert changes == ["pending", "firing", "resolved"]


async def test_a_replica_that_was_overtaken_writes_nothing(engine: AsyncEngine) -> None:
    stale = await Replica(engine, "a").load()
    stale.hear(0, 31.0)
    await Replica(engine, "b").load()
    assert await stale.urgent() == {0}
    assert await rows(engine, tables.alert) == []
    assert await told(engine) == []


async def test_of_a_commit_of_several_partitions_only_what_was_lost_is_refused(engine: AsyncEngine) -> None:
    stale, good = await Replica(engine, "a").load(), await Replica(engine, "a.1", partition=1).load()
    await Replica(engine, "b").load()
    stale.hear(0, 31.0)
    good.hear(0, 31.0, "mill")
    both = {0: ("a", stale.shard.take_urgent()), 1: ("a.1", good.shard.take_urgent())}
    assert await good.repository.commit(both, T0) == {0}
    assert [row["device"] for row in await rows(engine, tables.alert)] == ["mill"]


async def test_evaluation_leaves_what_operators_have_written(engine: AsyncEngine) -> None:
    replica = await Replica(engine, "a").load()
    replica.hear(0, 31.0)
    await replica.urgent()
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.alert).values(acknowledged_by="kim", revision=3))
    replica.hear(1, 20.0)
    await replica.urgent()
    [alert] = await rows(engine, tables.alert)
    assert (alert["state"], alert["acknowledged_by"], alert["revision"]) == ("resolved", "kim", 3)


async def test_an_alert_that_ends_and_begins_anew_between_two_commits(engine: AsyncEngine) -> None:
    replica = await Replica(engine, "a").load()
    replica.hear(0, 31.0)
    await replica.urgent()
    replica.hear(1, 20.0)
    replica.hear(2, 31.0)
    await replica.urgent()
    assert await states(engine) == ["resolved", "firing"]
    assert [what for _, what in await told(engine)] == ["firing", "resolved", "firing"]


async def test_the_database_itself_refuses_a_second_open_alert(engine: AsyncEngine) -> None:
    replica = await Replica(engine, "a").load()
    replica.hear(0, 31.0)
    await replica.urgent()
    [alert] = await rows(engine, tables.alert)
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError):
            await connection.execute(sa.insert(tables.alert), [dict(alert) | {"id": "another", "state": "pending"}])


async def test_another_number_of_partitions_moves_what_is_there_and_takes_it_from_its_owners(
    engine: AsyncEngine,
) -> None:
    one = Replica(engine, "a")
    assert await one.repository.divide(1)
    await one.load()
    devices = [f"kiln-{number}" for number in range(8)]
    for device in devices:
        one.hear(0, 31.0, device)
    await one.checkpoint()
    assert await one.repository.divide(3)
    assert not await one.repository.divide(3)
    one.hear(1, 20.0, devices[0])
    assert await one.urgent() == {0}
    for partition in range(3):
        loaded = await one.repository.load(partition, f"b.{partition}")
        wanted = [device for device in devices if partition_of(device, 3) == partition]
        assert sorted(alert.subject.device for alert in loaded.alerts) == wanted
        assert sorted(device for device, _ in loaded.devices) == wanted
        assert loaded.positions == {}


async def test_what_is_too_old_is_forgotten_and_what_is_open_is_not(engine: AsyncEngine) -> None:
    replica = await Replica(engine, "a").load()
    for at, value, device in ((0, 31.0, "bad"), (0, 31.0, "over"), (1, 20.0, "over")):
        replica.hear(at, value, device)
    await replica.checkpoint()
    assert await replica.repository.forget(T0 + 5 * SECOND, 0) == 1
    assert await replica.repository.forget(T0 + 5 * SECOND, 0) == 0
    [alert] = await rows(engine, tables.alert)
    assert alert["device"] == "bad"
    assert {row["alert_id"] for row in await rows(engine, tables.change)} == {alert["id"]}


async def test_failures_of_a_rule_are_counted_until_it_is_another_version(engine: AsyncEngine) -> None:
    replica = await Replica(engine, "a").load()
    for version, count in ((1, 2), (1, 3), (2, 1)):
        await replica.commit(Writes(errors=[RuleError("rule", version, "kiln", f"wrong\0 {count}", T0, count)]))
        [error] = await rows(engine, tables.rule_error)
        assert (error["version"], error["count"]) == {2: (1, 2), 3: (1, 5), 1: (2, 1)}[count]
    assert error["message"] == "wrong 1"


async def test_one_replica_at_a_time_has_a_claim(engine: AsyncEngine) -> None:
    now = T0
    one, two = (Claim(engine, "leader", name, 10.0, lambda: now, quiet()) for name in ("one", "two"))
    await one.turn()
    await two.turn()
    assert (one.held, two.held) == (True, False)
    now += 9 * SECOND
    await one.turn()
    now += 9 * SECOND
    await two.turn()
    assert (one.held, two.held) == (True, False)
    now += 2 * SECOND  # it has been silent for too long
    assert not one.held
    await two.turn()
    await one.turn()
    assert (one.held, two.held) == (False, True)
    await two.release()
    await one.turn()
    assert (one.held, two.held) == (True, False)


async def test_a_claim_of_a_replica_whose_clock_was_far_ahead_does_not_last(engine: AsyncEngine) -> None:
    far = Claim(engine, "leader", "far", 10.0, lambda: T0 + 3600 * SECOND, quiet())
    await far.turn()
    one = Claim(engine, "leader", "one", 10.0, lambda: T0, quiet())
    await one.turn()
    assert one.held
