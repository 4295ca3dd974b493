"""All rules over the devices of one partition, in memory; `take_urgent` and `take_all` give what is to be written."""

from collections.abc import Callable, Iterable

import msgspec

from alerting.evaluation.book import Book, Describe
from alerting.evaluation.device import MOST_TEXT, DeviceState, device_of
from alerting.evaluation.index import RuleIndex
from alerting.evaluation.planning import plan
from alerting.evaluation.tally import Tally
from alerting.evaluation.timers import Timers
from alerting.evaluation.watch import Watch
from alerting.evaluation.writes import Writes
from alerting.judges.verdict import Device, FailedError, Seen, Verdict
from alerting.life.alert import Alert, Ending, State
from alerting.life.life import Step, due, on_clock, on_ending, on_passed, on_rule, on_verdict
from alerting.life.track import NEVER, Track
from alerting.rules.rule import Rule
from contracts.derived import Window
from contracts.devices import DeviceRecord
from contracts.readings import Reading

MOST_UNWATCHED = 200_000
"""Devices that no rule looks at and that are remembered for that; beyond it the memory starts anew."""

_UNSEEN = DeviceState("", 0)


class Shard:
    """Rules, devices and open alerts of one partition.

    `records` gives a device's record, None where it is not registered: all have to be known before `restore`. `devices`
    gives the ids of this partition's registered devices. Readings more than `max_age_ns` behind the clock are stale.
    `new_id` makes the ids of alerts. All times in ns since 1970 UTC.
    """

    def __init__(
        self,
        partition: int,
        records: Callable[[str], DeviceRecord | None],
        max_age_ns: int,
        new_id: Callable[[], str],
        describe: Describe,
        *,
        devices: Callable[[], Iterable[str]] = lambda: (),
    ) -> None:
        self.partition = partition
        self.tally = Tally()
        self._records, self._ids, self._max_age, self._new_id = records, devices, max_age_ns, new_id
        self._describe = describe
        self._clear()

    def _clear(self) -> None:
        self._book = Book(self._describe)
        self._watches: dict[str, Watch] = {}
        self._index = RuleIndex()
        self._devices: dict[str, DeviceState] = {}
        self._planned: dict[str, DeviceState | None] = {}
        self._clock = Timers()

    @property
    def urgent(self) -> bool:
        """Whether an alert has changed, so that it has to be committed at once."""
        return self._book.urgent

    @property
    def dirty(self) -> bool:
        """Whether there is anything to write before messages may be acknowledged."""
        return self._book.dirty

    @property
    def counts(self) -> dict[State, int]:
        """How many alerts are pending, and how many firing."""
        return self._book.counts

    @property
    def watched(self) -> int:
        """Of how many devices something is known."""
        return len(self._devices)

    def take_urgent(self) -> Writes:
        """Hand over the changes of alerts, with the rows of just the devices concerned, as of now."""
        return self._book.take_urgent()

    def take_all(self) -> Writes:
        """Hand over all that there is to write; whoever writes it adds the positions."""
        return self._book.take_all()

    def take_tally(self) -> Tally:
        """Hand over the counts, and count from zero."""
        tally, self.tally = self.tally, Tally()
        return tally

    def restore(
        self, rules: Iterable[Rule], devices: Iterable[tuple[str, bytes]], alerts: Iterable[Alert], now: int
    ) -> None:
        """Begin anew with what the database holds: all rules, the partition's device rows and its open alerts.

        Alerts that by now have no reason to be open, because a rule or a device has changed, are ended.
        """
        self._clear()
        for rule in rules:
            self._add(rule)
        for device, row in devices:
            try:
                self._devices[device] = device_of(device, row)
            except msgspec.DecodeError:
                self.tally.unreadable += 1
        for alert in alerts:
            self._restore_alert(alert, now)
        for state in list(self._devices.values()):
            if state.registered:
                self._register(state, self._records(state.id), now)

    def put(self, rule: Rule, now: int) -> None:
        """Add a rule, or replace the one with its id; ends the alerts that it no longer stands for."""
        self._discard(rule.id)
        watch = self._add(rule)
        for state, track in self._open_of(rule.id):
            if not rule.enabled:
                self._end(state, track, rule, now, Ending.RULE_DISABLED)
            elif self._selects(rule, state.id):
                self._fit(state, watch, track, now)
            else:
                self._end(state, track, rule, now, Ending.RULE_CHANGED)

    def remove(self, rule_id: str, now: int) -> None:
        """Delete a rule, if it is there, and end its alerts."""
        watch = self._discard(rule_id)
        for state, track in self._open_of(rule_id):
            self._end(state, track, watch.rule if watch else None, now, Ending.RULE_DELETED)

    def device_changed(self, device: str, now: int) -> None:
        """Take note that the record of a device of this partition has changed."""
        self._planned.pop(device, None)
        state = self._devices.get(device)
        if state is None:
            return
        record = self._records(device)
        self._register(state, record, now)
        for track in list(state.tracks.values()):
            if track.alert is not None and not self._selects(self._watches[track.rule_id].rule, device):
                self._end(state, track, self._watches[track.rule_id].rule, now, Ending.RULE_CHANGED)

    def end(self, alert_id: str, now: int, reason: Ending = Ending.OPERATOR) -> bool:
        """End an open alert; the next bad reading begins another. False if there is no such alert."""
        found = self._book.by_id.get(alert_id)
        if found is None:
            return False
        state, track = found
        watch = self._watches.get(track.rule_id)
        self._end(state, track, watch.rule if watch else None, now, reason)
        return True

    def take(self, reading: Reading, now: int) -> None:  # noqa: C901 - in one piece it costs least
        """Evaluate one reading by every rule that looks at its device.

        Raises what only a fault in this program can raise, once all other rules have been evaluated: then nothing is
        half done, and the reading is no reason to try it again.
        """
        state = self._planned.get(reading.device, _UNSEEN)
        if state is _UNSEEN:
            state = self._meet(reading.device, now)
        if state is None:
            return
        if not state.dirty:
            self._book.touch(state)
        state.heard = max(state.heard, reading.received)
        ts, last, plain, tally = reading.ts, state.last, state.plain, self.tally
        fresh = now - ts <= self._max_age
        for metric, value in reading.values.items():
            watches = plain.get(metric)
            if watches is None:
                continue
            seen = last.get(metric)
            if seen is not None and ts <= seen[0]:
                tally.late += len(watches)
                continue
            last[metric] = (ts, value if type(value) is not str else value[:MOST_TEXT])
            for judge, track, watch in watches:
                try:
                    verdict = judge(ts, value, last, track.memory, state.device)
                except Exception as error:  # noqa: BLE001 - one rule stops no other
                    self._failed(state, watch, track, error, now)
                    continue
                if verdict is None:
                    tally.says_nothing += 1
                    continue
                tally.evaluated += 1
                if not fresh:
                    tally.stale += 1
                if verdict[0] or track.alert is not None:
                    self._judged(state, watch, track, verdict, last[metric], now)
        self._raise_broken()

    def take_window(self, window: Window, now: int) -> None:
        """Evaluate a closed window as `take` does a reading; its event time is its end."""

    def tick(self, now: int, heard_until: int) -> None:
        """Do what the clock asks for. All that ingest received before `heard_until` has been taken."""
        until = min(now, heard_until)
        for rule_id, device in self._clock.due(now):
            found = self._book.open.get(rule_id, {}).get(device)
            if found is None:
                continue
            state, track = found
            watch = self._watches[rule_id]
            while (step := on_clock(watch.rule, track, now, self._max_age, until)) is not None:
                self._enter(state, watch, track, step, now)
            self._arm(watch, track, until, now)
        self._raise_broken()

    def _judged(
        self,
        state: DeviceState,
        watch: Watch,
        track: Track,
        verdict: Verdict,
        seen: Seen,
        now: int,
    ) -> None:
        """Let a verdict on `seen` have its effect on the alert."""
        at, value = seen
        fresh = now - at <= self._max_age
        if track.alert is not None:
            at = max(at, track.at)
            while (step := on_passed(watch.rule, track, at)) is not None:
                self._enter(state, watch, track, step, now)
        level, holds, number = verdict
        if number is None and type(value) is float:
            number = value
        rule = watch.rule
        step = on_verdict(rule, track, at, level, holds, fresh=fresh, value=number, new_id=self._new_id)
        if step is not None:
            self._enter(state, watch, track, step, now)
        self._arm(watch, track, -1, now)

    def _enter(
        self,
        state: DeviceState,
        watch: Watch,
        track: Track,
        step: Step,
        now: int,
        evidence: dict[str, Seen] | None = None,
    ) -> None:
        if evidence is None:
            last = state.last
            evidence = {
                metric: last[metric] for metric in watch.metrics if metric in last and last[metric][0] <= step.at
            }
        self._book.enter(state, track, watch.rule, step, evidence, now)

    def _end(self, state: DeviceState, track: Track, rule: Rule | None, now: int, reason: Ending) -> None:
        step = on_ending(rule, track, now, reason)
        if step is not None:
            self._book.enter(state, track, rule, step, {}, now)

    def _arm(self, watch: Watch, track: Track, after: int, now: int) -> None:
        if track.alert is None:
            return
        at = due(watch.rule, track, after)
        if at is not None:
            self._clock.arm((watch.rule.id, track.subject.device), max(at, now + 1) if after >= 0 else at)

    def _failed(self, state: DeviceState, watch: Watch, track: Track, error: Exception, now: int) -> None:
        """Take note that a judge failed: with a reason for the rule's author, or as none should."""
        if isinstance(error, FailedError):
            self.tally.failed += 1
            self._book.failed(watch.rule, state.id, str(error), now)
            return
        memory = None if watch.rule.judge is None else watch.rule.judge.memory
        track.memory = None if memory is None else memory()  # it may be half changed
        self._book.broken = error

    def _raise_broken(self) -> None:
        broken, self._book.broken = self._book.broken, None
        if broken is not None:
            raise broken

    def _meet(self, device: str, now: int) -> DeviceState | None:
        """Work out which rules look at a device; None if none does."""
        record = self._records(device)
        state = self._devices.get(device)
        if state is not None:
            self._register(state, record, now)
        watches = self._index.find(device, record) if record is None or record.enabled else []
        if not watches:
            if len(self._planned) >= MOST_UNWATCHED + len(self._devices):
                self._planned = {known: found for known, found in self._planned.items() if found is not None}
            self._planned[device] = None
            return None
        if state is None:
            state = self._devices[device] = DeviceState(device, now)
            state.registered = record is not None
        state.device = Device(device, record)
        self._plan(state, watches, now)
        self._planned[device] = state
        return state

    def _plan(self, state: DeviceState, watches: list[Watch], now: int) -> None:
        for watch in watches:
            self._fit(state, watch, state.track(watch), now)
        wanted = {watch.rule.id for watch in watches}
        for rule_id in [found for found, track in state.tracks.items() if found not in wanted and track.alert is None]:
            del state.tracks[rule_id]
        state.resting = {}
        plan(state, watches)

    def _fit(self, state: DeviceState, watch: Watch, track: Track, now: int) -> None:
        """Fit a track to the rule as it is now, and end the alert if the rule looks at something else."""
        rule = watch.rule
        if track.looks != watch.looks:
            self._end(state, track, rule, now, Ending.RULE_CHANGED)
        changed = (track.looks, track.condition) != (watch.looks, watch.condition)
        step = on_rule(rule, track, now, condition=changed)
        if step is not None:
            self._enter(state, watch, track, step, now)
        if changed:
            memory = None if rule.judge is None else rule.judge.memory
            track.memory = None if memory is None else memory()
            track.looks, track.condition = watch.looks, watch.condition
            self._book.touch(state)

    def _restore_alert(self, alert: Alert, now: int) -> None:
        """Take in an open alert, and end it if there is no reason any more for it to be open."""
        device = alert.subject.device
        state = self._devices.get(device)
        if state is None:
            state = self._devices[device] = DeviceState(device, now)
        watch = self._watches.get(alert.rule_id)
        if watch is None:
            track = Track(alert.rule_id, alert.subject, alert.level)
            self._book.hold(state, track, alert)
            self._end(state, track, None, now, Ending.RULE_DELETED)
            return
        known = alert.rule_id in state.resting
        track = state.track(watch)
        if not known:  # as after an upgrade: what is known of the alert is all that is known
            track.since = tuple(
                alert.started_at if number < alert.level else NEVER for number in range(len(track.since))
            )
            track.at = alert.fired_at or alert.started_at
        self._book.hold(state, track, alert)
        if not watch.rule.enabled:
            self._end(state, track, watch.rule, now, Ending.RULE_DISABLED)
        elif self._selects(watch.rule, device):
            self._fit(state, watch, track, now)
            self._arm(watch, track, -1, now)
        else:
            self._end(state, track, watch.rule, now, Ending.RULE_CHANGED)

    def _register(self, state: DeviceState, record: DeviceRecord | None, now: int) -> None:
        """Note whether a device is registered; one that was, and is no more, has gone, and its alerts end."""
        registered = record is not None and record.enabled
        state.device = Device(state.id, record)
        if registered == state.registered:
            return
        state.registered = registered
        self._book.touch(state)
        if registered:
            state.known = now
            return
        for track in list(state.tracks.values()):
            watch = self._watches.get(track.rule_id)
            self._end(state, track, watch.rule if watch else None, now, Ending.DEVICE_GONE)
        state.tracks, state.resting = {}, {}
        self._planned.pop(state.id, None)

    def _add(self, rule: Rule) -> Watch:
        watch = self._watches[rule.id] = Watch(rule)
        if rule.enabled and not rule.is_group:
            self._index.add(watch)
        self._planned = {}
        return watch

    def _discard(self, rule_id: str) -> Watch | None:
        watch = self._watches.pop(rule_id, None)
        if watch is not None:
            self._index.discard(watch)
        self._planned = {}
        return watch

    def _open_of(self, rule_id: str) -> list[tuple[DeviceState, Track]]:
        return list(self._book.open.get(rule_id, {}).values())

    def _selects(self, rule: Rule, device: str) -> bool:
        record = self._records(device)
        return (record is None or record.enabled) and rule.spec.selector.selects(device, record)
