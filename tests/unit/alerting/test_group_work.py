"""Group rules at work, on a real database: one replica at a time, from the alerts that are there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from itertools import count

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting import groupwork, tables
from alerting.claims import Claim
from alerting.evaluation.groups import Groups
from alerting.evaluation.writes import Writes
from alerting.groupwork import GroupWork
from alerting.life.alert import Alert, Change, State, Subject, What
from alerting.repository import Repository
from alerting.rules.describing import describe
from alerting.rules.rule import Rule
from contracts import logs
from contracts.backoff import end
from contracts.devices import DeviceRecord
from tests.unit.alerting.timeline import SECOND, T0, record, rule

_IDS = count(1)


class Replica:
    """One replica with its claim, and its own idea of what time it is."""

    def __init__(self, engine: AsyncEngine, name: str, records: dict[str, DeviceRecord]) -> None:
        self.now = T0
        self.current: dict[str, Rule] = {
            "silent": rule("silent", kind="absence", after="30s"),
            "outage": rule("outage", kind="group", of="silent", value=1.0),
        }
        self.wrote: list[Change] = []
        self.claim = Claim(engine, "leader", name, 10.0, lambda: self.now, logs.quiet())
        self.work = GroupWork(
            engine,
            Repository(engine),
            self.claim,
            self,
            lambda: Groups(records.get, 600 * SECOND, lambda: f"g{next(_IDS)}", describe),
            lambda: list(records),
            wrote=self.wrote.extend,
            me=name,
            now=lambda: self.now,
            clock=lambda: 0.0,
            log=logs.quiet(),
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.work.run())
        try:
            yield
        finally:
            await end([task])


@pytest.fixture(autouse=True)
def _sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groupwork, "EVERY_S", 0.005)


@pytest.fixture
def records() -> dict[str, DeviceRecord]:
    return {name: record(name) for name in ("vat-1", "vat-2", "vat-3")}


async def alerts(engine: AsyncEngine, *devices: str, state: State = State.FIRING) -> None:
    """Have the shard of partition 0 write that devices are silent, or no more."""
    what = What.FIRING if state is State.FIRING else What.RESOLVED
    changes = [
        Change(
            Alert(
                id=f"a-{device}",
                rule_id="silent",
                rule="silent",
                rule_version=1,
                subject=Subject(device),
                metric="",
                state=state,
                level=1,
                severity="warning",
                started_at=T0,
            ),
            what,
            T0,
        )
        for device in devices
    ]
    repository = Repository(engine)
    await repository.load(0, "shard")
    assert await repository.commit({0: ("shard", Writes(changes))}, T0) == set()


async def of_groups(engine: AsyncEngine) -> list[tuple[str, str, float]]:
    """Read the alerts of groups: id, state, value."""
    query = sa.select(tables.alert).where(tables.alert.c.group_id != "").order_by(tables.alert.c.id)
    async with engine.connect() as connection:
        return [(row.id, row.state, row.value) for row in await connection.execute(query)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def test_the_leader_alone_makes_an_alert_of_the_alerts_of_devices(
    engine: AsyncEngine, records: dict[str, DeviceRecord]
) -> None:
    leader, other = Replica(engine, "one", records), Replica(engine, "two", records)
    await leader.claim.turn()
    await other.claim.turn()
    await alerts(engine, "vat-1", "vat-3")
    async with other.running(), leader.running():
        await until(lambda: bool(leader.wrote))
        [(alert_id, state, value)] = await of_groups(engine)
        assert (state, value) == ("firing", 2.0)
        await alerts(engine, "vat-1", state=State.RESOLVED)
        await until(lambda: len(leader.wrote) == 2)
        assert [one.what for one in leader.wrote] == [What.FIRING, What.RESOLVED]
        assert await of_groups(engine) == [(alert_id, "resolved", 1.0)]
    assert other.wrote == []
    async with engine.connect() as connection:
        told = (
            await connection.execute(sa.select(tables.outbox.c.what).where(tables.outbox.c.alert_id == alert_id))
        ).all()
    assert [what for (what,) in told] == ["firing", "resolved"]


async def test_who_takes_over_goes_on_with_the_same_alert_and_the_last_one_writes_nothing_more(
    engine: AsyncEngine, records: dict[str, DeviceRecord]
) -> None:
    first, second = Replica(engine, "one", records), Replica(engine, "two", records)
    await first.claim.turn()
    await alerts(engine, "vat-1", "vat-2", "vat-3")
    async with first.running():
        await until(lambda: bool(first.wrote))
        second.now += 11 * SECOND  # the first one has not renewed, and thinks that it is early yet
        await second.claim.turn()
        assert first.claim.held
        assert second.claim.held
        async with second.running():
            await alerts(engine, "vat-1", "vat-2", "vat-3", state=State.RESOLVED)
            await until(lambda: len(first.wrote + second.wrote) == 2)
    both = first.wrote + second.wrote
    assert [one.what for one in both] == [What.FIRING, What.RESOLVED]
    assert len({one.alert.id for one in both}) == 1


async def test_it_ends_with_its_rule_and_follows_the_registry(
    engine: AsyncEngine, records: dict[str, DeviceRecord]
) -> None:
    replica = Replica(engine, "one", records)
    await replica.claim.turn()
    await alerts(engine, "vat-1", "vat-2")
    async with replica.running():
        await until(lambda: len(replica.wrote) == 1)
        records["vat-2"] = record("vat-2", enabled=False)
        replica.work.device_changed("vat-2")
        await until(lambda: len(replica.wrote) == 2)
        records["vat-2"] = record("vat-2")
        replica.work.device_changed("vat-2")
        await until(lambda: len(replica.wrote) == 3)
        del replica.current["outage"]
        replica.work.rule_changed("outage", None)
        await until(lambda: len(replica.wrote) == 4)
    assert [one.what for one in replica.wrote] == [What.FIRING, What.RESOLVED, What.FIRING, What.RESOLVED]
    assert {state for _, state, _ in await of_groups(engine)} == {"resolved"}
