"""The one owner of alert state: what is in memory is what the database will hold at the next commit."""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from alerting.evaluation import Evaluation
from alerting.metrics import Metrics
from alerting.notices import notices
from alerting.repository import Position, Positions, Repository
from alerting.rules import Rule
from alerting.states import State
from contracts.logs import Log
from contracts.readings import Reading


class NotLoadedError(Exception):
    """The database has not been read, or a commit failed and it has to be read again."""


class Alarms:
    """Rules and alerts, in memory and on disk; the two change together, under one lock.

    A commit writes everything since the last one, with each stream's position, the last message taken: the
    database is always exactly what the streams up to their positions come to. If a commit fails, memory is thrown
    away: `loaded` is False until `load`, and `epoch`, which grows with each load, tells readers of a stream to go back.
    """

    def __init__(
        self,
        repository: Repository,
        evaluation: Evaluation,
        metrics: Metrics,
        log: Log,
        now: Callable[[], int],
        default_url: str,
        said: Callable[[], None],
    ) -> None:
        self._repository, self._evaluation, self._metrics, self._log = repository, evaluation, metrics, log
        self._now, self._default_url, self._said = now, default_url, said
        self._lock = asyncio.Lock()
        self._committed: Positions = {}
        self._positions: dict[str, Position] = {}
        self.loaded = False
        self.epoch = 0

    async def load(self) -> None:
        """Read the database; memory begins anew from it."""
        async with self._lock:
            rules, tracks, self._committed = await self._repository.load()
            self._positions = dict(self._committed)
            self._evaluation.restore(rules, tracks)
            self.epoch += 1
            self.loaded = True
            self._show()
            self._log.info("alarms.loaded", rules=len(rules), tracks=len(tracks))

    async def stream_is(self, epoch: int, stream: str, created: str) -> None:
        """Learn which `stream` of that name is being read: one that was made anew is read from its beginning."""
        async with self._lock:
            self._require(epoch)
            was = self._positions[stream].created
            if was != created:
                if was:
                    self._log.warning("alarms.stream_is_another", stream=stream, was=was, now=created)
                self._positions[stream] = Position(created, 0)

    def has_seen(self, stream: str, sequence: int) -> bool:
        """Whether the stream's message with `sequence` is part of what memory holds."""
        return sequence <= self._positions[stream].sequence

    async def take(
        self, epoch: int, stream: str, sequence: int, readings: Iterable[Reading]
    ) -> list[tuple[Reading, Exception]]:
        """Evaluate one message of `stream`. Returns the readings that raised what nobody foresaw.

        The others are evaluated. If there are such readings, the position stays before the message until the caller
        has called `passed`.
        """
        failed = []
        async with self._lock:
            self._require(epoch)
            evaluate, now = self._evaluation.evaluate, self._now()
            for reading in readings:
                try:
                    evaluate(reading, now)
                except Exception as error:  # noqa: BLE001 - our bug in one reading: the caller dead-letters it
                    failed.append((reading, error))
            if not failed:
                self._move(stream, sequence)
        return failed

    async def passed(self, epoch: int, stream: str, sequence: int) -> None:
        """Move the position to a message that was dead-lettered, wholly or in part."""
        async with self._lock:
            self._require(epoch)
            self._move(stream, sequence)

    def count(self) -> None:
        """Bring the metrics up to date with what was taken."""
        self._metrics.count(self._evaluation.take_tally())

    @property
    def changed(self) -> bool:
        """Whether an alert has changed since the last commit."""
        return self._evaluation.changed

    @property
    def settled(self) -> bool:
        """Whether the messages taken so far may be acknowledged: nothing that they came to is only in memory.

        So a message that no rule had a use for needs no commit: evaluating it again comes to nothing again.
        """
        return not self._evaluation.touched

    async def commit(self, epoch: int) -> None:
        """Put on disk what the messages taken so far came to. Raises what the database raises."""
        async with self._lock:
            self._require(epoch)
            await self._commit()

    async def tick(self) -> None:
        """Fire what the clock fires."""
        async with self._lock:
            self._require()
            self._evaluation.tick(self._now())
            if self._evaluation.changed:
                await self._commit()

    async def forget(self, resolved_before: int) -> None:
        """Drop what can no longer make a difference, and history from before `resolved_before`."""
        async with self._lock:
            self._require()
            marks_before = self._evaluation.forget(self._now())
            await self._repository.forget(marks_before, resolved_before)

    async def need(self) -> None:
        """Raise NotLoadedError unless the database is there to be asked."""
        self._require()

    def close(self) -> None:
        """Do nothing more."""
        self.loaded = False

    def rule(self, rule_id: str) -> Rule | None:
        """Return a rule, or None if there is none. Raises NotLoadedError."""
        self._require()
        return self._evaluation.rules.get(rule_id)

    @property
    def rule_count(self) -> int:
        """How many rules there are. Raises NotLoadedError."""
        self._require()
        return len(self._evaluation.rules)

    async def add_rule(self, rule: Rule) -> None:
        """Add a rule with an id of its own."""
        async with self._lock:
            self._require()
            self._evaluation.put(rule, self._now())
            await self._commit(put=rule)

    async def replace_rule(self, rule: Rule) -> Rule | None:
        """Replace the rule with the same id. Returns it with its new version, or None if there is none."""
        async with self._lock:
            self._require()
            old = self._evaluation.rules.get(rule.id)
            if old is None:
                return None
            rule = msgspec.structs.replace(rule, version=old.version + 1, created_at=old.created_at)
            self._evaluation.put(rule, self._now())
            await self._commit(put=rule)
            return rule

    async def delete_rule(self, rule_id: str) -> bool:
        """Delete a rule and end its alerts. Returns whether there was one."""
        async with self._lock:
            self._require()
            if rule_id not in self._evaluation.rules:
                return False
            self._evaluation.remove(rule_id, self._now())
            await self._commit(delete=rule_id)
            return True

    def _require(self, epoch: int | None = None) -> None:
        if not self.loaded or epoch not in (None, self.epoch):
            raise NotLoadedError("what was in memory is void: it has to be read from the database")

    def _move(self, stream: str, sequence: int) -> None:
        self._positions[stream] = msgspec.structs.replace(self._positions[stream], sequence=sequence)

    async def _commit(self, put: Rule | None = None, delete: str | None = None) -> None:
        changes, after = self._evaluation.take(), dict(self._positions)
        said = notices(changes.alerts, self._default_url)
        try:
            await self._repository.commit(self._committed, after, changes, said, self._now(), put=put, delete=delete)
        except BaseException:
            self.loaded = False  # what is on disk is not known: it has to be read
            raise
        self._committed = after
        self._metrics.commits.inc()
        for alert, _ in changes.alerts:
            self._metrics.transitions.labels(alert.state.value).inc()
        self._show()
        if said:
            self._said()

    def _show(self) -> None:
        self._metrics.rules.set(len(self._evaluation.rules))
        for state in (State.PENDING, State.FIRING):
            self._metrics.open_alerts.labels(state.value).set(self._evaluation.open_alerts(state))
