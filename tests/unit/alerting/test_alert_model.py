"""Any story of readings, commits, crashes and redeliveries, against a plain account of what should come of it."""

import asyncio
import copy
import shutil
import tempfile
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from alerting import tables
from alerting.database import connect
from alerting.states import State
from tests.unit.alerting import stories
from tests.unit.alerting.stories import SECOND, T0
from tests.unit.alerting.test_alarms_on_disk import STREAM, Service, said, started

MAX_AGE = 600
VALUE, CLEAR = 30.0, 25.0


class Account:
    """What README.md says of one rule and device, in seconds, without regard to how it is done."""

    def __init__(self, for_s: int) -> None:
        self.for_s = for_s
        self.last = -1
        self.last_value = 0.0
        self.started: int | None = None
        self.fired: int | None = None
        self.over: list[tuple[int, int, int]] = []

    def reading(self, ts: int, value: float, now: int) -> None:
        if ts <= self.last:
            return
        self.last, self.last_value = ts, value
        bad, may_fire = value > VALUE, now - ts <= MAX_AGE
        if self.fired is not None:
            if value <= CLEAR:
                assert self.started is not None
                self.over.append((self.started, self.fired, max(ts, self.fired)))
                self.started = self.fired = None
        elif not bad:
            self.started = None
        elif may_fire:
            self.started = ts if self.started is None else self.started
            if ts - self.started >= self.for_s:
                self.fired = ts

    def tick(self, now: int) -> None:
        if self.started is None or self.fired is not None:
            return
        if now - self.started >= self.for_s and now - self.last <= min(self.for_s / 2, 60):
            self.fired = self.started + self.for_s

    def alerts(self) -> set[tuple[str, int, int | None, int | None]]:
        ended: set[tuple[str, int, int | None, int | None]] = {("resolved", *times) for times in self.over}
        if self.started is None:
            return ended
        return ended | {("pending" if self.fired is None else "firing", self.started, self.fired, None)}


class Life(RuleBasedStateMachine):
    """One rule, one device, one stream of single readings."""

    empty: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = shutil.copy(self.empty, Path(self.folder.name) / "alerting.sqlite3")
        self.runner = asyncio.Runner()
        self.engine = connect(f"sqlite+aiosqlite:///{path}")
        self.ids = 1
        self.now = 1000
        self.stream: list[tuple[int, float]] = []
        self.acknowledged = 0
        self.delivered = 0

    @initialize(for_s=st.sampled_from([0, 1, 30, 200]))
    def begin(self, for_s: int) -> None:
        self.account = Account(for_s)
        self.service = self._start()
        self.runner.run(self.service.alarms.add_rule(stories.rule(for_s=for_s, clear=CLEAR)))
        self.on_disk = copy.deepcopy(self.account)

    @rule(
        age=st.sampled_from([0, 0, 0, 1, 20, 700]),
        value=st.sampled_from([20.0, 25.0, 28.0, 30.0, 31.0, 31.0, 40.0]),
        then=st.sampled_from(["", "read", "commit", "crash"]),
    )
    def publish(self, age: int, value: float, then: str) -> None:
        self.stream.append((max(0, self.now - age), value))
        if then:
            self.read(len(self.stream))
        if then in ("commit", "crash"):
            self.commit()
        if then == "crash":
            self.crash()

    @rule(seconds=st.sampled_from([1, 10, 40, 300, 1000]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(most=st.integers(1, 4))
    def read_some(self, most: int) -> None:
        self.read(most)

    def read(self, most: int) -> None:
        for ts, value in self.stream[self.delivered : self.delivered + most]:
            self.delivered += 1
            if not self.service.alarms.has_seen(STREAM, self.delivered):
                self.service.now = self.now
                self.runner.run(self.service.hear(self.delivered, ts, value))
                self.account.reading(ts, value, self.now)

    @rule()
    def commit(self) -> None:
        self.runner.run(self.service.commit())
        self._committed()

    @rule()
    def acknowledge(self) -> None:
        if self.service.alarms.settled:
            self.acknowledged = max(self.acknowledged, self.delivered)
            self.on_disk = copy.deepcopy(self.account)

    @rule()
    def tick(self) -> None:
        self.service.now = self.now
        changed = self.service.alarms.changed
        before = self.account.fired
        self.runner.run(self.service.alarms.tick())
        self.account.tick(self.now)
        if changed or self.account.fired != before:
            self._committed()

    @rule()
    def redeliver(self) -> None:
        self.delivered = self.acknowledged

    @rule()
    def crash(self) -> None:
        self.ids += 1000
        self.service = self._start()
        self.account = copy.deepcopy(self.on_disk)
        self.delivered = self.acknowledged

    @invariant()
    def the_database_is_what_the_account_says(self) -> None:
        alerts, events = self.runner.run(self._read())
        assert {(a.state, _s(a.started_at), _s(a.fired_at), _s(a.resolved_at)) for a in alerts} == self.on_disk.alerts()
        assert len(alerts) == len(self.on_disk.alerts()), "none is doubled"
        wanted = [f"{a.id}.firing" for a in alerts if a.fired_at] + [
            f"{a.id}.resolved" for a in alerts if a.state == State.RESOLVED
        ]
        assert sorted(events) == sorted(wanted), "each change is told once"

    def teardown(self) -> None:
        self.runner.run(self.engine.dispose())
        self.runner.close()
        self.folder.cleanup()

    def _start(self) -> Service:
        service = self.runner.run(started(self.engine, self.ids))
        service.now = self.now
        return service

    def _committed(self) -> None:
        self.on_disk = copy.deepcopy(self.account)

    async def _read(self) -> tuple[list[sa.Row[tuple[object, ...]]], list[str]]:
        async with self.engine.connect() as connection:
            return list(await connection.execute(sa.select(tables.alert))), await said(self.engine)


def _s(ns: int | None) -> int | None:
    return None if ns is None else (ns - T0) // SECOND


def test_whatever_happens_the_database_tells_the_plain_story(empty_database: Path) -> None:
    Life.empty = empty_database
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            phases=[Phase.generate],  # shrinking so slow a test would take minutes
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
