"""One device and one rule, in a partition of their own, whose clock goes as the device's history does."""

from itertools import count

from alerting.dryrun.outcome import Change, DeviceRun
from alerting.evaluation.shard import Shard
from alerting.evaluation.writes import Writes
from alerting.life.alert import Alert, State, What
from alerting.life.alert import Change as AlertChange
from alerting.rules.rule import Rule
from contracts.derived import Window
from contracts.devices import DeviceRecord
from contracts.readings import Reading

_MAX_AGE = 600_000_000_000
"""Nothing here is older when it is heard."""


class DeviceRunner:
    """Runs `rule` at `device` from `start` on; `run` has what came of it, with at most `most` changes.

    `failure` is the first reason for which the rule failed on a value.
    """

    def __init__(self, rule: Rule, device: str, record: DeviceRecord | None, start: int, most: int) -> None:
        ids = count(1)
        self.run = DeviceRun(device)
        self.failure: str | None = None
        self._most, self._now = most, start
        self._next_change, self._hours_change = rule.next_change, start
        self._open: Alert | None = None
        self._shard = Shard(
            0, lambda _: record, _MAX_AGE, lambda: str(next(ids)), lambda _, alert, *__: (alert, None),
            devices=lambda: () if record is None else (device,),
        )  # fmt: skip
        self._shard.restore([rule], [], [], start)
        self._shard.tick(start, start)

    def take(self, ts: int, event: Reading | Window) -> None:
        """Go on to `ts`, and take what was heard then."""
        self._advance(ts - 1)
        if isinstance(event, Window):
            self._shard.take_window(event, ts)
        else:
            self._shard.take(event, ts)
        self._now = ts
        self.run.events += 1
        self._collect()

    def finish(self, end: int) -> None:
        """Go on to `end`, which is where it ends."""
        self._advance(end)
        self._note(self._shard.take_all())
        alert = self._open
        if alert is not None:
            self.run.open = alert.state
            if alert.fired_at is not None:
                self.run.firing_ns += max(0, end - alert.fired_at)

    def _advance(self, until: int) -> None:
        """Let the clock go on to `until`, and ring whenever something waits for it."""
        while (due := self._next()) is not None and due <= until:
            self._now = due
            self._shard.tick(due, due)
            self._collect()

    def _next(self) -> int | None:
        """When something waits for the clock next; an open alert does so for the rule's hours to end."""
        due = self._shard.due
        if self._open is None or self._next_change is None:
            return due
        if self._hours_change <= self._now:
            self._hours_change = self._next_change(self._now)
        return self._hours_change if due is None else min(due, self._hours_change)

    def _collect(self) -> None:
        if self._shard.urgent:
            self._note(self._shard.take_urgent())

    def _note(self, writes: Writes) -> None:
        for change in writes.changes:
            self._enter(change)
        for error in writes.errors:
            self.run.failures += error.count
            self.failure = self.failure or error.message

    def _enter(self, change: AlertChange) -> None:
        run, alert = self.run, change.alert
        self._open = alert if alert.state in (State.PENDING, State.FIRING) else None
        if change.what is What.FIRING:
            run.alerts += 1
        elif alert.state is State.RESOLVED and alert.fired_at is not None and alert.resolved_at is not None:
            run.firing_ns += alert.resolved_at - alert.fired_at
        run.changed += 1
        if len(run.changes) < self._most:
            run.changes.append(
                Change(
                    change.at, change.what, alert.state, alert.level, alert.severity, alert.value, alert.no_data,
                    alert.reason,
                )
            )  # fmt: skip
