"""Planning over a database: what is told is the same wherever the process dies, and whoever else plans."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.database import connect, write
from alerting.metrics import Metrics
from alerting.notify.configuration import problem_of
from alerting.notify.document import Kind
from alerting.notify.documents import Documents
from alerting.notify.plan_store import OvertakenError, Planned, PlanStore
from alerting.notify.planner import Planner
from alerting.tables import alert, change, outbox, rule
from alerting.tables_notify import alert_delivery, delivery, notification_group
from contracts.alerts import Notification, read_notification
from contracts.logs import quiet

SECOND = 1_000_000_000
T0 = 1_767_225_600 * SECOND
ROUTE = {"receiver": "ops", "group_by": ["site"], "group_wait": "30s"}
SILENCE = {"matchers": ["site=b"], "ends_at": "2100-01-01T00:00:00Z", "comment": "c", "created_by": "ann"}


class CrashError(Exception):
    """The process has died."""


class Site:
    """A service's database, alerts put there as evaluation would, and the clock."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine, self.now = engine, T0
        self.documents = Documents(engine, problem_of)
        self.ids = iter(range(1_000_000))
        self.left: int | None = None
        self.planner = self.another()
        sa.event.listen(engine.sync_engine, "before_cursor_execute", self._count)
        sa.event.listen(engine.sync_engine, "commit", self._count)

    def _count(self, *_: object) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise CrashError

    @contextmanager
    def dying_after(self, statements: int) -> Iterator[None]:
        self.left = statements
        try:
            yield
        finally:
            self.left = None

    def another(self, *, built_in: bool = False) -> Planner:
        return Planner(
            PlanStore(self.engine),
            self.documents,
            Metrics(CollectorRegistry()),
            quiet(),
            now=lambda: self.now,
            new_id=lambda: f"n{next(self.ids):06}",
            built_in=built_in,
        )

    async def configure(self, **more: Any) -> None:  # noqa: ANN401 - of a route
        await self.documents.create(Kind.RECEIVER, "ops", {"type": "mqtt"}, {}, 1)
        await self.documents.create(Kind.ROUTING, "routing", {"route": ROUTE | more}, {}, 1)

    async def put(self, name: str, what: str, *, level: int = 1, site: str = "a", rule_id: str = "r") -> None:
        """Let an alert change as evaluation does: it, its history and the outbox in one transaction."""
        over = what == "resolved"
        row = {
            "id": name,
            "rule_id": rule_id,
            "rule": "hot",
            "rule_version": 1,
            "device": f"d-{name}",
            "group_id": "",
            "partition": 0,
            "metric": "temperature",
            "state": "resolved" if over else "firing",
            "level": level,
            "severity": "warning",
            "value": 31.5,
            "no_data": False,
            "flapping": False,
            "started_at": T0,
            "fired_at": T0,
            "resolved_at": self.now if over else None,
            "labels": {"alertname": "hot", "site": site, "device": f"d-{name}"},
            "annotations": {"summary": "It is hot"},
            "runbook": "",
        }
        past = {"alert_id": name, "what": what, "at": self.now, "changed_at": self.now, "state": "firing"}
        past |= {"severity": "warning", "evidence": {}}
        async with write(self.engine) as connection:
            await connection.execute(sa.delete(alert).where(alert.c.id == name))
            await connection.execute(sa.insert(alert).values(row))
            await connection.execute(sa.insert(change).values(past))
            await connection.execute(sa.insert(outbox).values(alert_id=name, what=what, created_at=self.now))

    async def said(self) -> list[Notification]:
        async with self.engine.connect() as connection:
            rows = await connection.execute(sa.select(delivery.c.content).order_by(delivery.c.seq))
            return [read_notification(content) for content in rows.scalars()]

    async def count(self, table: sa.Table) -> int:
        async with self.engine.connect() as connection:
            return (await connection.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()


@pytest.fixture
def site(engine: AsyncEngine) -> Site:
    return Site(engine)


async def test_an_alert_is_told_once_when_its_group_is_due(site: Site) -> None:
    await site.configure()
    await site.put("a1", "firing")
    await site.planner.step()
    assert await site.said() == []
    assert await site.count(outbox) == 0
    site.now += 30 * SECOND
    await site.planner.step()
    await site.planner.step()
    [said] = await site.said()
    assert (said.receiver, said.reason, said.status, said.group_labels) == ("ops", "new", "firing", {"site": "a"})
    assert said.common_annotations == {"summary": "It is hot"}
    [event] = said.alerts
    assert (event.alert_id, event.state, event.changed_at) == ("a1", "firing", T0)
    await site.put("a1", "resolved")
    site.now += 300 * SECOND
    await site.planner.step()
    [_, ended] = await site.said()
    assert (ended.reason, ended.status, ended.alerts[0].changed_at) == ("changed", "resolved", T0 + 30 * SECOND)
    assert ended.alerts[0].id != event.id
    assert [await site.count(table) for table in (notification_group, alert_delivery)] == [0, 2]


async def test_a_rule_that_wants_nobody_told_tells_nobody(site: Site) -> None:
    await site.configure(group_wait="0s")
    for name, content in (("r1", {"notify": False}), ("r2", {})):
        row = {"id": name, "version": 1, "revision": 1, "name": name, "kind": "threshold", "enabled": True}
        async with write(site.engine) as connection:
            await connection.execute(
                sa.insert(rule).values(row | {"content": content, "created_at": 0, "updated_at": 0})
            )
        await site.put(f"of-{name}", "firing", site=name, rule_id=name)
    await site.planner.step()
    assert [event.alert_id for said in await site.said() for event in said.alerts] == ["of-r2"]


async def test_alerts_that_fire_are_told_once_somebody_is_to_be_told(site: Site) -> None:
    await site.put("a1", "firing")
    await site.planner.step()
    assert await site.said() == []
    await site.configure(group_wait="0s")
    await site.planner.step()
    assert [said.receiver for said in await site.said()] == ["ops"]


async def test_what_fired_and_ended_before_anybody_planned_is_told_as_ended_and_once(site: Site) -> None:
    await site.configure(group_wait="0s", group_interval="0s")
    await site.put("a1", "firing")
    await site.put("a1", "resolved")
    await site.planner.step()
    assert [(said.status, said.alerts[0].alert_id) for said in await site.said()] == [("resolved", "a1")]
    async with write(site.engine) as connection:  # far behind others: it was put into its group for another reason
        await connection.execute(sa.insert(outbox).values(alert_id="a1", what="firing", created_at=site.now))
    await site.planner.step()
    await site.planner.step()
    assert len(await site.said()) == 1


async def test_a_silence_that_is_lifted_is_heard_of_by_whoever_goes_on_for_a_planner_that_died(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerting.notify.planner.MOST_ALERTS", 1)  # one group a step
    await site.configure(group_wait="0s")
    await silence(site, "site=~a|b")
    await site.put("a1", "firing", site="a")
    await site.put("b1", "firing", site="b")
    for _ in range(3):
        await site.planner.step()
    await silence(site)
    await site.planner.step()
    assert len(await site.said()) == 1
    other = site.another()
    await other.step()
    await other.step()
    assert sorted(event.alert_id for said in await site.said() for event in said.alerts) == ["a1", "b1"]


async def test_without_the_built_in_receiver_planning_rests_and_tells_once_it_is_back(site: Site) -> None:
    await site.documents.create(Kind.ROUTING, "routing", {"route": ROUTE | {"receiver": "default"}}, {}, 1)
    await site.another(built_in=True).step()
    await site.put("a1", "firing")
    first = site.another(built_in=True)
    await first.step()
    site.now += 60 * SECOND
    without = site.another()
    await without.step()
    assert not without.due()
    await site.another(built_in=True).step()
    site.now += 60 * SECOND
    await site.another(built_in=True).step()
    assert [said.receiver for said in await site.said()] == ["default"]


async def test_who_plans_on_what_another_has_changed_writes_nothing(site: Site) -> None:
    await site.configure(group_wait="0s")
    other = site.another()
    await site.planner.step()
    await other.step()
    await site.put("a1", "firing")
    await other.step()
    await site.put("a2", "firing")
    await site.planner.step()  # it has seen that the other was there, and begins anew
    site.now += 300 * SECOND
    await other.step()
    assert [[event.alert_id for event in said.alerts] for said in await site.said()] == [["a1"], ["a2", "a1"]]
    store = PlanStore(site.engine)
    async with store.moment() as moment:
        turn = await moment.turn()
    await site.put("a3", "firing")
    await site.planner.step()

    with pytest.raises(OvertakenError):
        await store.write(Planned(turn, [], {}, [], 1))


async def test_what_is_said_to_have_changed_is_planned_at_once_and_what_another_wrote_soon(site: Site) -> None:
    await site.configure(group_wait="0s", group_interval="0s")
    run = asyncio.create_task(site.planner.run())
    try:
        for number in range(3):
            await site.put(f"a{number}", "firing")
            if number == 1:
                site.planner.wake()
            async with asyncio.timeout(20):
                while await site.count(delivery) <= number:
                    await asyncio.sleep(0.01)
    finally:
        run.cancel()
    assert [len(said.alerts) for said in await site.said()] == [1, 2, 3]


OPS = st.lists(
    st.one_of(
        st.tuples(st.just("firing"), st.sampled_from("uvw"), st.sampled_from("ab")),
        st.tuples(st.just("escalated"), st.sampled_from("uvw"), st.sampled_from("ab")),
        st.tuples(st.just("resolved"), st.sampled_from("uvw"), st.sampled_from("ab")),
        st.tuples(st.just("silence"), st.just(""), st.just("")),
        st.tuples(st.just("wait"), st.sampled_from(["1", "31", "300", "14400"]), st.just("")),
    ),
    min_size=3,
    max_size=14,
)


async def told(path: Path, ops: list[tuple[str, str, str]], crashes: list[int], two: bool) -> list[Any]:  # noqa: FBT001 - how
    """Give what is told of `ops`, if the process dies after so many statements of a step, and if two plan in turns."""
    engine = connect(f"sqlite+aiosqlite:///{path}")
    site = Site(engine)
    await site.configure()
    levels: dict[str, int] = {}
    deaths = iter(crashes)
    planners = [site.planner, site.another()] if two else [site.planner]
    for number, (what, name, where) in enumerate(ops):
        if what == "wait":
            site.now += int(name) * SECOND
        elif what == "silence":
            await silence(site)
        else:
            alert_id = f"{name}{where}"
            level = {"firing": 1, "escalated": 2}.get(what, levels.get(alert_id, 0))
            if what != "firing" and not levels.get(alert_id):
                continue
            levels[alert_id] = 0 if what == "resolved" else level
            await site.put(alert_id, what, level=level, site=where)
        try:
            with site.dying_after(next(deaths, 1000)):
                await planners[number % len(planners)].step()
        except CrashError:
            planners[number % len(planners)] = site.another()
        for _ in range(2):
            await planners[number % len(planners)].step()
    said = await site.said()
    assert await site.count(outbox) == 0
    await engine.dispose()
    return [msgspec.structs.replace(one, id="") for one in said]


async def silence(site: Site, matcher: str = "site=b") -> None:
    if await site.documents.get(Kind.SILENCE, "s") is None:
        await site.documents.create(Kind.SILENCE, "s", SILENCE | {"matchers": [matcher]}, {}, 1)
    else:
        await site.documents.delete(Kind.SILENCE, "s")


@given(ops=OPS, crashes=st.lists(st.integers(0, 25), max_size=14), two=st.booleans())
@settings(max_examples=15, deadline=None)
def test_what_is_told_is_the_same_wherever_the_process_dies(
    empty_database: Path,
    tmp_path_factory: pytest.TempPathFactory,
    ops: list[tuple[str, str, str]],
    crashes: list[int],
    two: bool,  # noqa: FBT001 - as above
) -> None:

    folder = tmp_path_factory.mktemp("plans")

    async def both() -> None:
        first, second = (Path(shutil.copy(empty_database, folder / name)) for name in ("one", "two"))
        assert await told(first, ops, crashes, two) == await told(second, ops, [], two=False)

    asyncio.run(both())
