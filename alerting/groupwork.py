"""Group rules at work: once a second, in one replica, from the open alerts that the database has."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from alerting.claims import Claim
from alerting.evaluation.groups import Alerting, Groups
from alerting.life.alert import Change, State
from alerting.repository import AWAY, GROUPS, Repository
from alerting.rules.rule import Rule
from alerting.tables import alert, is_open
from contracts.logs import Log

EVERY_S = 1.0
_REST = 20
"""A turn is followed by a rest of so many times its own time: while very many devices have alerts, turns come later."""

_COMMIT_S = 30.0
_ROWS = 2_000


class Known(Protocol):
    """All rules."""

    @property
    def current(self) -> Mapping[str, Rule]:
        """The rules, by id."""


class GroupWork:
    """Judges group rules while `claim` is held. Two replicas may think so for a moment: only one's commits count.

    `groups` makes memory that is empty, `devices` gives the ids of all registered devices, and `wrote` is told what
    has changed, once that is on disk.
    """

    def __init__(  # noqa: PLR0913 - the composition root passes each by name
        self,
        engine: AsyncEngine,
        repository: Repository,
        claim: Claim,
        rules: Known,
        groups: Callable[[], Groups],
        devices: Callable[[], Iterable[str]],
        *,
        wrote: Callable[[list[Change]], None],
        me: str,
        now: Callable[[], int],
        clock: Callable[[], float],
        log: Log,
    ) -> None:
        self._engine, self._repository, self._claim, self._rules = engine, repository, claim, rules
        self._new, self._devices, self._wrote = groups, devices, wrote
        self._me, self._now, self._clock, self._log = me, now, clock, log
        self._loads = itertools.count(1)
        self._owner = ""
        self._groups: Groups | None = None

    def rule_changed(self, rule_id: str, rule: Rule | None) -> None:
        """Let a rule that has changed, or is gone, have its effect."""
        if self._groups is None:
            return
        if rule is None:
            self._groups.remove(rule_id, self._now())
        else:
            self._groups.put(rule, self._now())

    def device_changed(self, device: str) -> None:
        """Take note that the record of a device has changed."""
        if self._groups is not None:
            self._groups.members.changed(device)

    async def run(self) -> None:
        """Take turns for ever. The database may come and go: what is in memory is then read again."""
        while True:
            began = self._clock()
            try:
                if self._claim.held:
                    await self._turn()
                else:
                    self._groups = None
            except AWAY as error:
                self._log.debug("groups.unknown", error=type(error).__name__)
                self._groups = None
            await asyncio.sleep(max(EVERY_S, _REST * (self._clock() - began)))

    async def _turn(self) -> None:
        groups = self._groups or await self._load()
        if groups.members.incomplete:
            for _ in groups.members.complete(self._devices()):
                await asyncio.sleep(0)
        alerting = await self._alerting(groups.wanted) if groups.wanted else {}
        for _, alert_id in await self._repository.to_end([GROUPS]) if groups.standing else ():
            groups.end(alert_id, self._now())
        groups.tick(alerting, self._now())
        if groups.dirty:
            await self._commit(groups)

    async def _load(self) -> Groups:
        self._owner = f"{self._me}.g{next(self._loads)}"
        async with asyncio.timeout(_COMMIT_S):
            loaded = await self._repository.load(GROUPS, self._owner)
        groups = self._groups = self._new()
        groups.restore(self._rules.current.values(), loaded.devices, loaded.alerts, self._now())
        return groups

    async def _alerting(self, rules: Collection[str]) -> dict[str, Alerting]:
        """Read which devices have an open alert of each of `rules`."""
        found = {rule_id: Alerting(set(), set()) for rule_id in rules}
        columns = alert.c
        query = sa.select(columns.rule_id, columns.state, columns.device).where(is_open, columns.rule_id.in_(rules))
        async with self._engine.connect() as connection:
            rows = await connection.stream(query)
            async for some in rows.partitions(_ROWS):
                for rule_id, state, device in some:
                    one = found[rule_id]
                    (one.firing if state == State.FIRING.value else one.pending).add(device)
        return found

    async def _commit(self, groups: Groups) -> None:
        writes = groups.take_all()
        async with asyncio.timeout(_COMMIT_S):
            lost = await self._repository.commit({GROUPS: (self._owner, writes)}, self._now())
        if lost:
            self._log.info("groups.lost")
            self._groups = None
        elif writes.changes:
            self._wrote(writes.changes)
