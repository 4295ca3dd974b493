"""Plans notifications: takes what has changed, and writes who is to be told of it, when it is due."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from alerting.life.alert import State, What
from alerting.metrics import Metrics
from alerting.notify.configuration import Configuration, configure
from alerting.notify.document import Document, Kind
from alerting.notify.documents import Documents
from alerting.notify.grouping import Facts, Group, Look
from alerting.notify.notifying import event_of, facts_of, notification
from alerting.notify.plan import Due, Plan
from alerting.notify.plan_store import Known, Moments, OvertakenError, Planned, PlanStore, Turn
from contracts.alerts import Notification
from contracts.logs import Log

MOST_CHANGES = 1000
"""Changes that are planned together."""

MOST_ALERTS = 2000
"""Alerts, about, in the groups that are looked at together."""

LOOK_S = 0.2
"""How long a change that another process wrote may wait until it is seen."""

_AGAIN_S = 1.0


class _Held(msgspec.Struct):
    """What the plan in memory rests on: the turn that was read last, and the documents but silences."""

    plan: Plan
    turn: Turn
    documents: set[tuple[Kind, str, int, int]]
    revision: int
    seq: int


class Planner:
    """Plans while `leads` says so. Two that plan at once do no harm: what rests on what the other has changed fails.

    `planned` is called when there is something to send.
    """

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        store: PlanStore,
        documents: Documents,
        metrics: Metrics,
        log: Log,
        *,
        now: Callable[[], int],
        new_id: Callable[[], str],
        leads: Callable[[], bool] = lambda: True,
        planned: Callable[[], None] = lambda: None,
        built_in: bool = False,
    ) -> None:
        self._store, self._documents, self._metrics, self._log = store, documents, metrics, log
        self._now, self._new_id, self._leads, self._planned = now, new_id, leads, planned
        self._built_in = built_in
        self._held: _Held | None = None
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be something to plan."""
        self._wake.set()

    def due(self) -> bool:
        """Whether there is a group to be looked at now."""
        due = None if self._held is None else self._held.plan.next_due()
        return due is not None and due <= self._now()

    async def run(self) -> None:
        """Plan for ever. What the database refuses is tried again."""
        while True:
            self._wake.clear()
            try:
                wait = await self._turns() if self._leads() else self._rest()
            except OvertakenError:
                wait = 0.0
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                self._log.warning("planning.failed", error=type(error).__name__)
                wait = _AGAIN_S
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    def _rest(self) -> float:
        self._held = None
        return LOOK_S

    async def _turns(self) -> float:
        """Plan until nothing is left to do now; gives for how many seconds to wait, at most."""
        while self._leads():
            held = self._held
            due = None if held is None else held.plan.next_due()
            if held is not None and (due is None or due > self._now()) and not await self._store.waits(held.turn):
                return LOOK_S if due is None else min(LOOK_S, max(due - self._now(), 0) / 1e9)
            await self.step()
        return LOOK_S

    async def step(self) -> None:
        """Plan what has changed, as far as it is planned together, and the groups that are due."""
        held, self._held = self._held, None  # whatever fails, begin anew from what is on disk
        now = self._now()
        async with self._store.moment() as moment:
            turn = await moment.turn()
            if held is None or held.turn.number != turn.number:
                held = await self._load(moment, turn, now)
            elif held.revision != turn.revision:
                await self._reconfigure(moment, held, now)
            rows = await moment.outbox(MOST_CHANGES)
            changed = await moment.alerts({row.alert_id for row in rows})
            unseen = await _unseen(moment, {row.alert_id for row in rows if row.what == What.FIRING}, changed)
            for name, known in changed.items():
                held.plan.put(_facts(known, now), now, join=name in unseen)
            keys = held.plan.take_due(now, MOST_ALERTS)
            members = held.plan.members(keys)
            alerts = changed | await moment.alerts(members - changed.keys())
            facts = {name: _facts(alerts[name], now) for name in members & alerts.keys()}
            looks = held.plan.look(keys, facts, now)
            notifications = await self._notifications(moment, looks, alerts, now)
        seq = max(held.seq + 1, now)
        groups = {key: _row(held.plan, key) for key in held.plan.changed}
        planned = Planned(turn, [row.seq for row in rows], groups, notifications, seq)
        if rows or groups or notifications:
            await self._store.write(planned)
            turn = Turn(turn.number + 1, turn.revision)
        held.plan.changed.clear()
        held.turn, held.seq = turn, seq + len(notifications)
        self._held = held
        self._metrics.notification_groups.set(len(held.plan))
        for said in notifications:
            self._metrics.planned.labels(said.reason).inc()
        if notifications:
            self._planned()

    async def _load(self, moment: Moments, turn: Turn, now: int) -> _Held:
        """Read everything, put the alerts into groups anew, and let every group be looked at.

        Whoever planned before may have died before it had looked at all that a change of documents concerns.
        """
        revision, documents = await self._documents.all()
        configuration = self._configure(documents)
        plan = Plan(configuration, await moment.groups())
        plan.reconfigure(configuration, [_facts(known, now) async for known in moment.firing()], now)
        return _Held(plan, turn, _versions(documents), revision, await moment.last_seq())

    async def _reconfigure(self, moment: Moments, held: _Held, now: int) -> None:
        held.revision, documents = await self._documents.all()
        configuration, before = self._configure(documents), held.documents
        held.documents = _versions(documents)
        if held.documents == before:
            held.plan.silence(configuration, now)
            return
        firing = [_facts(known, now) async for known in moment.firing()]
        held.plan.reconfigure(configuration, firing, now)

    def _configure(self, documents: list[Document]) -> Configuration:
        configuration = configure(documents, built_in=self._built_in)
        self._metrics.routing_problems.set(len(configuration.problems))
        for problem in configuration.problems:
            self._log.error("routing.unusable", problem=problem)
        return configuration

    async def _notifications(
        self, moment: Moments, looks: list[tuple[str, Group, Look]], alerts: dict[str, Known], now: int
    ) -> list[Notification]:
        ids = {name for _, _, found in looks for say in found.says for name in say.alerts}
        moments = await moment.moments(ids)
        events = {name: event_of(alerts[name].standing, moments.get(name), now) for name in ids}
        return [
            notification(self._new_id(), key, group, say, events, now)
            for key, group, found in looks
            for say in found.says
        ]


async def _unseen(moment: Moments, fired: Collection[str], alerts: Mapping[str, Known]) -> Collection[str]:
    """Give those of `fired` that have ended by now, and of which nobody was told."""
    ended = {name for name in fired if name in alerts and alerts[name].standing.alert.state is State.RESOLVED}
    return ended - await moment.spoken_of(ended)


def _facts(known: Known, now: int) -> Facts:
    return facts_of(known.standing, now, notify=known.notify)


def _versions(documents: list[Document]) -> set[tuple[Kind, str, int, int]]:
    return {
        (found.kind, found.id, found.version, found.created_at) for found in documents if found.kind is not Kind.SILENCE
    }


def _row(plan: Plan, key: str) -> tuple[Group, Due] | None:
    group = plan.group(key)
    return None if group is None else (group, plan.due_of(key))
