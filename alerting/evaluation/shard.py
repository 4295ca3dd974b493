"""All rules over the devices of one partition, in memory; `take_urgent` and `take_all` give what is to be written."""

from collections.abc import Callable, Iterable

import msgspec

from alerting.evaluation.book import Book, Describe
from alerting.evaluation.course import Course
from alerting.evaluation.device import DeviceState, device_of
from alerting.evaluation.fleet import Fleet
from alerting.evaluation.judging import Judging
from alerting.evaluation.listening import Listening
from alerting.evaluation.tally import Tally
from alerting.evaluation.writes import Writes
from alerting.life.alert import Alert, Ending, State
from alerting.life.track import NEVER, Track
from alerting.rules.rule import Rule
from contracts.derived import Window
from contracts.devices import DeviceRecord
from contracts.readings import Reading

_UNSEEN = DeviceState("", 0)

_FEWEST_HOURS = 60_000_000_000
"""The shortest time in ns for which a schedule may not hold: between looks that are nearer no such time is missed."""


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
        self._tally = Tally()
        self._records, self._ids, self._max_age, self._new_id = records, devices, max_age_ns, new_id
        self._describe = describe
        self._clear()

    def _clear(self) -> None:
        self._book = Book(self._describe)
        self._course = Course(self._book, self._max_age, self._new_id)
        self._listening = Listening(self._course, self._records)
        self._judging = Judging(self._book, self._course, self._listening, self._tally)
        self._fleet = Fleet(self._book, self._course, self._listening, self._records)
        self._looked = 0

    @property
    def urgent(self) -> bool:
        """Whether an alert has changed, so that it has to be committed at once."""
        return self._book.urgent

    @property
    def dirty(self) -> bool:
        """Whether there is anything to write before messages may be acknowledged."""
        return self._book.dirty

    @property
    def due(self) -> int | None:
        """When `tick`, heard until then, may next have something to do; None if nothing but a schedule waits for it."""
        times = (self._course.due, self._listening.due)
        return min((time for time in times if time is not None), default=None)

    @property
    def counts(self) -> dict[State, int]:
        """How many alerts are pending, and how many firing."""
        return self._book.counts

    @property
    def watched(self) -> int:
        """Of how many devices something is known."""
        return len(self._fleet.devices)

    def take_urgent(self) -> Writes:
        """Hand over the changes of alerts, with the rows of just the devices concerned, as of now."""
        return self._book.take_urgent()

    def take_all(self) -> Writes:
        """Hand over all that there is to write; whoever writes it adds the positions."""
        return self._book.take_all()

    def take_tally(self) -> Tally:
        """Hand over the counts, and count from zero."""
        return self._tally.taken()

    def restore(
        self, rules: Iterable[Rule], devices: Iterable[tuple[str, bytes]], alerts: Iterable[Alert], now: int
    ) -> None:
        """Begin anew with what the database holds: all rules, the partition's device rows and its open alerts.

        Alerts that by now have no reason to be open, because a rule or a device has changed, are ended.
        """
        self._clear()
        fleet = self._fleet
        for rule in rules:
            fleet.add(rule)
        for device, row in devices:
            try:
                fleet.devices[device] = device_of(device, row)
            except msgspec.DecodeError:
                self._tally.unreadable += 1
        for alert in alerts:
            self._hold(alert, now)
        for state in list(fleet.devices.values()):
            fleet.register(state, now)
            fleet.resume(state, now)
        for state, track in list(self._book.by_id.values()):
            fleet.reconsider(state, track, now)
        fleet.cover_new(self._ids, now)
        self._raise_broken()

    def put(self, rule: Rule, now: int) -> None:
        """Add a rule, or replace the one with its id; ends the alerts that it no longer stands for."""
        self._fleet.add(rule)
        self._reconsider(rule.id, now)

    def remove(self, rule_id: str, now: int) -> None:
        """Delete a rule, if it is there, and end its alerts."""
        self._fleet.discard(rule_id)
        self._reconsider(rule_id, now)

    def device_changed(self, device: str, now: int) -> None:
        """Take note that the record of a device of this partition has changed."""
        fleet = self._fleet
        fleet.planned.pop(device, None)
        state = fleet.devices.get(device)
        if state is not None:
            fleet.register(state, now)
            for track in list(state.tracks.values()):
                if track.alert is not None:
                    fleet.reconsider(state, track, now)
            for rule_id, track in state.tracks.items():
                if (watch := fleet.watches.get(rule_id)) is not None:
                    self._listening.listen(state, watch, track)
        fleet.cover(device, now)
        self._raise_broken()

    def end(self, alert_id: str, now: int, reason: Ending = Ending.OPERATOR) -> bool:
        """End an open alert; the next bad reading begins another. False if there is no such alert.

        One of silence begins again after as much more of it; at a device that is not registered, which may never come
        back, only once it has been heard again.
        """
        found = self._book.by_id.get(alert_id)
        if found is None:
            return False
        state, track = found
        self._end(state, track, now, reason)
        self._raise_broken()
        return True

    def take(self, reading: Reading, now: int) -> None:
        """Evaluate one reading by every rule that looks at its device.

        Raises what only a fault in this program can raise, once all other rules have been evaluated: then nothing is
        half done, and the reading is no reason to try it again.
        """
        state = self._fleet.planned.get(reading.device, _UNSEEN)
        if state is _UNSEEN:
            state = self._fleet.meet(reading.device, now)
        if state is None:
            return
        if not state.dirty:
            self._book.touch(state)
        self._judging.take(state, reading, now)
        if self._book.broken is not None:
            self._raise_broken()

    def take_window(self, window: Window, now: int) -> None:
        """Evaluate a closed window as `take` does a reading; its event time is its end."""
        state = self._fleet.planned.get(window.device, _UNSEEN)
        if state is _UNSEEN:
            state = self._fleet.meet(window.device, now)
        if state is not None and state.by_window:
            self._book.touch(state)
            self._judging.take_window(state, window, now)
            self._raise_broken()

    def tick(self, now: int, heard_until: int) -> None:
        """Do what the clock asks for. All that ingest received before `heard_until` has been taken.

        What has been bad fires up to `now`; silence, and what has been good, is judged up to `heard_until`.
        """
        fleet, until = self._fleet, min(now, heard_until)
        fleet.cover_new(self._ids, now)
        self._close_hours(until)
        self._course.tick(fleet.watches, now, until)
        self._listening.tick(fleet.watches, fleet.devices, now, heard_until)
        self._tally.forgotten += fleet.sweep(now, self._max_age)
        self._raise_broken()

    def _close_hours(self, until: int) -> None:
        """End the alerts of before `until` whose rules' schedules have ended by then, at the time when they did."""
        away, self._looked = until - self._looked >= _FEWEST_HOURS, until
        for rule_id, of_rule in list(self._book.open.items()):
            rule = self._fleet.watches[rule_id].rule
            if rule.active is None or rule.next_change is None:
                continue
            active = rule.active(until)
            if active and not away:
                continue
            for state, track in list(of_rule.values()):
                since = until if track.alert is None else track.alert.fired_at or track.alert.started_at
                if since < until and (not active or rule.next_change(since) <= until):
                    self._end(state, track, min(until, rule.next_change(since)), Ending.OFF_SCHEDULE)

    def _reconsider(self, rule_id: str, now: int) -> None:
        for state, track in list(self._book.open.get(rule_id, {}).values()):
            self._fleet.reconsider(state, track, now)
        self._raise_broken()

    def _end(self, state: DeviceState, track: Track, at: int, reason: Ending) -> None:
        """End an alert; where silence fires the rule, that counts from now on."""
        watch = self._fleet.watches[track.rule_id]
        self._course.end(state, track, watch.rule, at, reason, at)
        if watch.fires:
            self._listening.begin(state, watch, track, at)

    def _hold(self, alert: Alert, now: int) -> None:
        """Take in an alert that is open on disk."""
        state = self._fleet.state(alert.subject.device, now)
        watch = self._fleet.watches.get(alert.rule_id)
        if watch is None:
            track = Track(alert.rule_id, alert.subject, alert.level)
        elif alert.rule_id in state.resting:
            track = state.track(watch)
        else:  # as an earlier version left it: what the alert says is all that is known
            track = state.track(watch)
            track.since = tuple(
                alert.started_at if number < alert.level else NEVER for number in range(len(track.since))
            )
            track.at, track.value = alert.fired_at or alert.started_at, alert.value
        self._book.hold(state, track, alert)

    def _raise_broken(self) -> None:
        broken, self._book.broken = self._book.broken, None
        if broken is not None:
            raise broken
