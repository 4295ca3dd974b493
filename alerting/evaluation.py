"""All rules over all readings, in memory: what changed is handed over by `take`, to be committed as one."""

from collections.abc import Callable, Iterable
from math import isfinite

import msgspec

from alerting.rules import Rule
from alerting.selection import DeviceRules, ProfileOf, index, selects
from alerting.states import Alert, Ending, State, Track, on_clock, on_ending, on_reading
from contracts.readings import Reading


class Tally(msgspec.Struct):
    """How many (rule, reading) pairs there were: evaluated (`stale` of them too old to fire), late, not numeric."""

    evaluated: int = 0
    stale: int = 0
    late: int = 0
    not_numeric: int = 0


class Changes(msgspec.Struct):
    """What has happened since the last `take`.

    Alerts in the order of their changes, each with its rule as it was then; the tracks that took a reading; and the
    rules whose tracks were dropped before that.
    """

    alerts: list[tuple[Alert, Rule]]
    tracks: list[Track]
    dropped: list[str]


class Evaluation:
    """Rules, their tracks and open alerts.

    `profile_of` gives a device's profile, or None where it is not known. `max_age` in ns: readings that are older
    are stale. Tracks without an alert are forgotten once their last reading is stale: whatever is later than that
    reading's time and no newer is stale too, and could not have begun an alert anyway.
    """

    def __init__(self, profile_of: ProfileOf, max_age: int, new_id: Callable[[], str]) -> None:
        self._profile_of, self.max_age, self._new_id = profile_of, max_age, new_id
        self.restore([], [])

    def restore(self, rules: Iterable[Rule], tracks: Iterable[Track]) -> None:
        """Begin anew with what the database holds."""
        self.rules = {rule.id: rule for rule in rules}
        self._tracks: dict[str, dict[str, Track]] = {rule_id: {} for rule_id in self.rules}
        self._open: dict[State, set[Track]] = {State.PENDING: set(), State.FIRING: set()}
        self._alerts: list[tuple[Alert, Rule]] = []
        self._touched: set[Track] = set()
        self._dropped: list[str] = []
        self._tally = Tally()
        for track in tracks:
            if track.rule_id in self._tracks:
                self._tracks[track.rule_id][track.device] = track
                if track.alert is not None:
                    self._open[track.alert.state].add(track)
        self._index()

    def evaluate(self, reading: Reading, now: int) -> None:
        """Evaluate one reading by every rule that looks at it."""
        by_metric, ts, device = self._by_metric, reading.ts, reading.device
        for metric, value in reading.values.items():
            if (by_device := by_metric.get(metric)) is not None:
                for rule, tracks in by_device[device]:
                    if type(value) is not float or not isfinite(value):
                        self._tally.not_numeric += 1
                        continue
                    track = tracks.get(device)
                    if track is None:
                        track = tracks[device] = Track(rule.id, device)
                    if ts <= track.ts:
                        self._tally.late += 1
                        continue
                    track.ts, track.value = ts, value
                    self._touched.add(track)
                    self._tally.evaluated += 1
                    fresh = now - ts <= self.max_age
                    if not fresh:
                        self._tally.stale += 1
                    self._changed(track, rule, on_reading(rule, track, fresh=fresh, new_id=self._new_id))

    def tick(self, now: int) -> None:
        """Fire the pending alerts whose time has come by the clock."""
        for track in list(self._open[State.PENDING]):
            rule = self.rules[track.rule_id]
            self._changed(track, rule, on_clock(rule, track, now, self.max_age))

    def put(self, rule: Rule, now: int) -> None:
        """Add a rule, or replace the one with its id; ends the alerts that it no longer stands for."""
        old = self.rules.get(rule.id)
        if old is not None and not rule.enabled:
            self._end(old, now, Ending.RULE_DISABLED)
        elif old is not None and old.metric != rule.metric:
            self._end(old, now, Ending.RULE_CHANGED)
        elif old is not None:
            condition = (rule.operator, rule.value, rule.for_ns) != (old.operator, old.value, old.for_ns)
            for track in self._tracks[rule.id].values():
                # What is pending rests on readings that the old condition judged: it begins anew.
                pending = track.alert is not None and track.alert.state is State.PENDING
                if track.alert is not None and ((pending and condition) or not self._may_select(rule, track.device)):
                    self._changed(track, old, on_ending(track, now, Ending.RULE_CHANGED))
        self.rules[rule.id] = rule
        self._tracks.setdefault(rule.id, {})
        self._index()

    def remove(self, rule_id: str, now: int) -> None:
        """Delete a rule and end its alerts."""
        self._end(self.rules[rule_id], now, Ending.RULE_DELETED)
        del self.rules[rule_id], self._tracks[rule_id]
        self._index()

    def device_changed(self, device: str) -> None:
        """Work out anew which rules look at `device`: its record has changed."""
        for by_device in self._by_metric.values():
            by_device.pop(device, None)

    def forget(self, now: int) -> int:
        """Drop the tracks that can no longer make a difference. Returns the time before which their marks end."""
        before = now - self.max_age
        for tracks in self._tracks.values():
            for device in [track.device for track in tracks.values() if track.alert is None and track.ts < before]:
                del tracks[device]
        return before

    def take(self) -> Changes:
        """Hand over what has changed."""
        changes = Changes(self._alerts, list(self._touched), self._dropped)
        self._alerts, self._touched, self._dropped = [], set(), []
        return changes

    def take_tally(self) -> Tally:
        """Hand over the counts, and count from zero."""
        tally, self._tally = self._tally, Tally()
        return tally

    @property
    def changed(self) -> bool:
        """Whether there is an alert to commit."""
        return bool(self._alerts)

    @property
    def touched(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._alerts or self._touched or self._dropped)

    def open_alerts(self, state: State) -> int:
        """Count the pending, or the firing, alerts."""
        return len(self._open[state])

    def _changed(self, track: Track, rule: Rule, alert: Alert | None) -> None:
        if alert is None:
            return
        self._alerts.append((alert, rule))
        for state, tracks in self._open.items():
            if alert.state is state:
                tracks.add(track)
            else:
                tracks.discard(track)

    def _end(self, rule: Rule, now: int, reason: Ending) -> None:
        """End a rule's alerts and forget its tracks."""
        for track in self._tracks[rule.id].values():
            self._changed(track, rule, on_ending(track, now, reason))
        self._touched.difference_update(self._tracks[rule.id].values())
        self._tracks[rule.id] = {}
        self._dropped.append(rule.id)

    def _may_select(self, rule: Rule, device: str) -> bool:
        """Whether `rule` looks at `device`, or would if the device's profile were known."""
        unknown = rule.profile is not None and self._profile_of(device) is None
        return unknown or selects(rule, device, self._profile_of)

    def _index(self) -> None:
        watches = ((rule, self._tracks[rule.id]) for rule in self.rules.values())
        self._by_metric: dict[str, DeviceRules] = index(watches, self._profile_of)
