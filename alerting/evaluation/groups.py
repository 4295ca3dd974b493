"""Rules about groups of devices: how many devices have an alert of another rule, judged through the same life."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import msgspec

from alerting.evaluation.book import Book, Describe
from alerting.evaluation.course import Course
from alerting.evaluation.device import DeviceState, device_of, says_something
from alerting.evaluation.members import Members, Place, groups_of
from alerting.evaluation.watch import Watch
from alerting.evaluation.writes import Writes
from alerting.judges.build import limits_of
from alerting.judges.threshold import Limits
from alerting.judges.verdict import Seen
from alerting.life.alert import Alert, Ending, Subject
from alerting.life.track import Track
from alerting.rules.kinds import GroupSpec
from alerting.rules.rule import Rule
from contracts.devices import DeviceRecord

Key = tuple[str, str]
"""Rule whose alerts are counted, and from which state on."""

KEY = "#"
"""What a group's row begins with among those of devices: no device id has it."""


class Alerting(msgspec.Struct):
    """The devices that have an open alert of one rule."""

    firing: set[str]
    pending: set[str]


NONE = Alerting(set(), set())


class Groups:
    """All group rules, as a Shard has all others. `members` are their devices. Times in ns since 1970 UTC."""

    def __init__(
        self,
        records: Callable[[str], DeviceRecord | None],
        max_age_ns: int,
        new_id: Callable[[], str],
        describe: Describe,
    ) -> None:
        self._book = Book(describe)
        self._course = Course(self._book, max_age_ns, new_id)
        self._watches: dict[str, Watch] = {}
        self._limits: dict[str, Limits] = {}
        self._others: dict[str, bool] = {}  # rules that look at devices, and whether each is enabled
        self._states: dict[str, DeviceState] = {}
        self._resolved: dict[tuple[str, str], float | None] = {}  # the number at which an operator has ended an alert
        self._counted: dict[Key, tuple[int, set[str], Counter[Place]]] = {}
        self._told: dict[str, str] = {}  # what is wrong with a rule, as it was last noted
        self.members = Members(records)

    @property
    def dirty(self) -> bool:
        """Whether there is anything to write."""
        return self._book.dirty

    @property
    def standing(self) -> bool:
        """Whether any alert is open."""
        return bool(self._book.by_id)

    @property
    def wanted(self) -> set[str]:
        """The rules of which `tick` has to be given the open alerts."""
        return {_spec(watch).of for watch in self._watches.values() if watch.rule.enabled}

    def take_all(self) -> Writes:
        """Hand over all that there is to write."""
        return self._book.take_all()

    def restore(
        self, rules: Iterable[Rule], rows: Iterable[tuple[str, bytes]], alerts: Iterable[Alert], now: int
    ) -> None:
        """Begin with what the database holds; to be called once, and first."""
        for rule in rules:
            self._add(rule)
        for key, row in rows:
            try:
                state = device_of(key, row)
            except msgspec.DecodeError:
                continue
            self._states[key] = _about(state)
        for alert in alerts:
            state, watch = self._state(alert.subject.group, now), self._watches.get(alert.rule_id)
            track = Track(alert.rule_id, alert.subject, alert.level) if watch is None else state.track(watch)
            self._book.hold(state, track, alert)
        for rule_id in list(self._book.open):
            self._reconsider(rule_id, now)
        self._tidy()

    def put(self, rule: Rule, now: int) -> None:
        """Take in a rule of any kind, or replace the one with its id."""
        self._add(rule)
        self._reconsider(rule.id, now)

    def remove(self, rule_id: str, now: int) -> None:
        """Delete a rule of any kind, if it is there, and end its alerts."""
        self._discard(rule_id)
        self._reconsider(rule_id, now)
        for state in self._states.values():
            state.tracks.pop(rule_id, None)
            state.resting.pop(rule_id, None)
        self._tidy()

    def end(self, alert_id: str, now: int, reason: Ending = Ending.OPERATOR) -> bool:
        """End an open alert; another begins once the number of devices is another. False if there is no such alert."""
        found = self._book.by_id.get(alert_id)
        if found is None:
            return False
        state, track = found
        self._resolved[track.rule_id, track.subject.group] = track.value
        self._course.end(state, track, self._watches[track.rule_id].rule, now, reason, now)
        return True

    def tick(self, alerting: Mapping[str, Alerting], now: int) -> None:
        """Judge every group by the open alerts of other rules, as they are at `now`.

        Raises what only a fault in this program can raise, once all are judged.
        """
        counts: dict[Key, Counter[Place]] = {}
        for rule_id, watch in self._watches.items():
            sizes = self.members.sizes(rule_id)
            if not watch.rule.enabled or sizes is None:
                continue
            problem, reason = self._problem(watch.rule)
            active = watch.rule.active
            if reason is None and active is not None and not active(now):
                reason = Ending.OFF_SCHEDULE
            self._note(watch.rule, problem, now)
            if reason is not None:
                for state, track in list(self._book.open.get(rule_id, {}).values()):
                    self._course.end(state, track, watch.rule, now, reason, now)
                continue
            spec = _spec(watch)
            key = spec.of, spec.state
            if key not in counts:
                found = alerting.get(spec.of, NONE)
                counts[key] = self._count(key, found.firing if spec.state == "firing" else found.firing | found.pending)
            for group, size in sizes.items():
                self._judge(watch, group, counts[key][rule_id, group], size, now)
        self._counted = {key: self._counted[key] for key in counts}
        broken, self._book.broken = self._book.broken, None
        if broken is not None:
            raise broken

    def _judge(self, watch: Watch, group: str, count: int, total: int, now: int) -> None:
        rule_id = watch.rule.id
        if not total:  # of no devices there is nothing to say
            for state, track in list(self._book.open.get(rule_id, {}).values()):
                if state.id == KEY + group:
                    self._course.end(state, track, watch.rule, now, Ending.DEVICE_GONE, now)
            return
        number = count / total if _spec(watch).measure == "share" else float(count)
        verdict = self._limits[rule_id].verdict(number)._replace(number=number)
        known = self._states.get(KEY + group)
        if verdict.level == 0 and (known is None or (rule_id not in known.tracks and rule_id not in known.resting)):
            return
        if self._resolved.get((rule_id, group)) == number:
            return
        self._resolved.pop((rule_id, group), None)
        state = self._state(group, now)
        track = state.track(watch)
        before = track.since, track.low
        evidence: dict[str, Seen] = {"alerting": (now, float(count)), "devices": (now, float(total))}
        self._course.verdict(state, watch, track, now, verdict, now, fresh=True, evidence=evidence)
        if (track.since, track.low) != before:
            self._book.touch(state)

    def _count(self, key: Key, devices: set[str]) -> Counter[Place]:
        """Count devices by group: those that were not among them the last time, and those that are not any more."""
        changes, before, counts = self._counted.get(key, (-1, set(), Counter()))
        if changes == self.members.changes:
            counts.update(self.members.count(devices - before))
            counts.subtract(self.members.count(before - devices))
        else:
            counts = self.members.count(devices)
        self._counted[key] = self.members.changes, devices, counts
        return counts

    def _problem(self, rule: Rule) -> tuple[str | None, Ending | None]:
        """Say what is wrong with what a rule counts, and why its alerts end then."""
        of = rule.spec.of if isinstance(rule.spec, GroupSpec) else ""
        enabled = self._others.get(of)
        if enabled is None:
            what = "looks at groups, and has no alerts of devices" if of in self._watches else "is not there"
            return f"the rule {of!r}, whose alerts it counts, {what}", Ending.RULE_DELETED
        return None, None if enabled else Ending.RULE_DISABLED

    def _note(self, rule: Rule, problem: str | None, now: int) -> None:
        if problem is None:
            self._told.pop(rule.id, None)
        elif self._told.get(rule.id) != problem:
            self._told[rule.id] = problem
            self._book.failed(rule, "", problem, now)

    def _add(self, rule: Rule) -> None:
        self._discard(rule.id)
        if isinstance(rule.spec, GroupSpec):
            watch = self._watches[rule.id] = Watch(rule)
            self._limits[rule.id] = limits_of(rule.spec)
            self.members.add(watch)
        else:
            self._others[rule.id] = rule.enabled

    def _discard(self, rule_id: str) -> None:
        self._others.pop(rule_id, None)
        self._told.pop(rule_id, None)
        if self._watches.pop(rule_id, None) is not None:
            self._limits.pop(rule_id)
            self._resolved = {key: number for key, number in self._resolved.items() if key[0] != rule_id}
            self.members.discard(rule_id)

    def _reconsider(self, rule_id: str, now: int) -> None:
        """End open alerts for which a rule, as it is now, gives no reason any more."""
        watch = self._watches.get(rule_id)
        for state, track in list(self._book.open.get(rule_id, {}).values()):
            if watch is None:
                self._course.end(state, track, None, now, Ending.RULE_DELETED, now)
            elif not watch.rule.enabled:
                self._course.end(state, track, watch.rule, now, Ending.RULE_DISABLED, now)
            elif track.subject.group not in groups_of(_spec(watch)):
                self._course.end(state, track, watch.rule, now, Ending.RULE_CHANGED, now)
            else:
                self._course.fit(state, watch, track, now)

    def _state(self, group: str, now: int) -> DeviceState:
        state = self._states.get(KEY + group)
        if state is None:
            state = self._states[KEY + group] = _about(DeviceState(KEY + group, now))
        return state

    def _tidy(self) -> None:
        """Forget groups of which nothing is known any more."""
        for key, state in list(self._states.items()):
            if not state.resting and not any(map(says_something, state.tracks.values())):
                del self._states[key]
                self._book.forget(state)


def _about(state: DeviceState) -> DeviceState:
    state.subject = Subject(group=state.id.removeprefix(KEY))
    return state


def _spec(watch: Watch) -> GroupSpec:
    spec = watch.rule.spec
    assert isinstance(spec, GroupSpec)  # noqa: S101 - no others are kept
    return spec
