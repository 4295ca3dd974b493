"""The rules and devices of a partition, and which rules look at which device."""

from collections.abc import Callable, Iterable

from alerting.evaluation.book import Book
from alerting.evaluation.course import Course
from alerting.evaluation.device import DeviceState
from alerting.evaluation.index import RuleIndex
from alerting.evaluation.listening import Listening
from alerting.evaluation.planning import plan
from alerting.evaluation.watch import Watch
from alerting.judges.verdict import Device
from alerting.life.alert import Ending
from alerting.life.track import NEVER, Track
from alerting.rules.rule import Rule
from contracts.devices import DeviceRecord

MOST_UNWATCHED = 200_000
"""Devices that no rule looks at and that are remembered for that; beyond it the memory starts anew."""

SWEPT = 2_000
"""Devices that one sweep looks at."""

REMEMBERED_NS = 7 * 86_400_000_000_000
"""For so long after it was heard last a device's values are of use to rules that judge by several."""


class Fleet:
    """Rules, and devices of which something is known.

    `planned` has the devices whose plan stands; None for one that no rule looks at. A device that is not there has to
    be met first.
    """

    def __init__(
        self, book: Book, course: Course, listening: Listening, records: Callable[[str], DeviceRecord | None]
    ) -> None:
        self._book, self._course, self._listening, self.record_of = book, course, listening, records
        self.watches: dict[str, Watch] = {}
        self.devices: dict[str, DeviceState] = {}
        self.planned: dict[str, DeviceState | None] = {}
        self._index, self._covering = RuleIndex(), RuleIndex()
        self._uncovered: dict[str, Watch] = {}
        self._unswept: list[str] = []

    def add(self, rule: Rule) -> None:
        """Take in a rule, in place of the one with its id; alerts are as they were until they are reconsidered."""
        self.discard(rule.id)
        watch = self.watches[rule.id] = Watch(rule)
        if rule.enabled and not rule.is_group:
            self._index.add(watch)
            if watch.covers:
                self._covering.add(watch)
                self._uncovered[rule.id] = watch

    def discard(self, rule_id: str) -> None:
        """Take out a rule, if it is there; alerts are as they were until they are reconsidered."""
        watch = self.watches.pop(rule_id, None)
        if watch is not None:
            self._index.discard(watch)
            self._covering.discard(watch)
            self._uncovered.pop(rule_id, None)
        self.planned = {}

    def state(self, device: str, now: int) -> DeviceState:
        """Give what is known of a device, from now on if that is nothing."""
        state = self.devices.get(device)
        if state is None:
            record = self.record_of(device)
            registered = record is not None and record.enabled
            state = self.devices[device] = DeviceState(device, now if registered else 0)
            state.registered = registered
            state.device = Device(device, record)
        return state

    def meet(self, device: str, now: int) -> DeviceState | None:
        """Work out which rules look at a device that has sent something; None if none does."""
        record = self.record_of(device)
        if device in self.devices:
            self.register(self.devices[device], now)
        watches = self._index.find(device, record) if record is None or record.enabled else []
        if not watches:
            if len(self.planned) >= MOST_UNWATCHED + len(self.devices):
                self.planned = {known: found for known, found in self.planned.items() if found is not None}
            self.planned[device] = None
            return None
        state = self.planned[device] = self.state(device, now)
        for watch in watches:
            self._follow(state, watch, now)
        wanted = {watch.rule.id for watch in watches}
        state.tracks = {
            rule_id: track for rule_id, track in state.tracks.items() if rule_id in wanted or track.alert is not None
        }
        state.resting = {}
        plan(state, watches)
        return state

    def register(self, state: DeviceState, now: int) -> None:
        """Note whether a device is registered and enabled; one that was, and is no more, has gone: its alerts end."""
        record = self.record_of(state.id)
        registered = record is not None and record.enabled
        state.device = Device(state.id, record)
        if registered == state.registered:
            return
        state.registered, state.known = registered, now
        self._book.touch(state)
        if registered:
            return
        for track in list(state.tracks.values()):
            self._end(state, track, now, Ending.DEVICE_GONE)
        state.tracks, state.resting = {}, {}
        self.planned.pop(state.id, None)

    def reconsider(self, state: DeviceState, track: Track, now: int) -> None:
        """End an open alert that the rules, or the device's record, give no reason for any more."""
        watch = self.watches.get(track.rule_id)
        if watch is None:
            self._end(state, track, now, Ending.RULE_DELETED)
        elif not watch.rule.enabled:
            self._end(state, track, now, Ending.RULE_DISABLED)
        elif not self._selects(watch.rule, state.id):
            self._end(state, track, now, Ending.RULE_CHANGED)
        else:
            self._course.fit(state, watch, track, now)
            self._listening.listen(state, watch, track)

    def cover(self, device: str, now: int) -> None:
        """Have the silence of a registered device count from now on, though it was never heard of."""
        record = self.record_of(device)
        if record is not None and record.enabled:
            self._cover(device, self._covering.find(device, record), now)

    def cover_new(self, devices: Callable[[], Iterable[str]], now: int) -> None:
        """Do so with all of `devices` by the rules that have come since the last call."""
        if not self._uncovered:
            return
        index = RuleIndex()
        for watch in self._uncovered.values():
            index.add(watch)
        self._uncovered = {}
        for device in devices():
            record = self.record_of(device)
            if record is not None and record.enabled:
                self._cover(device, index.find(device, record), now)

    def resume(self, state: DeviceState, now: int) -> None:
        """Go on listening to a device that was read from disk."""
        record = self.record_of(state.id)
        if record is not None and not record.enabled:
            return
        wanted = {watch.rule.id: watch for watch in self._covering.find(state.id, record) if state.counts()}
        for rule_id, resting in state.resting.items():
            watch = self.watches.get(rule_id)
            if resting.heard != NEVER and watch is not None and self._selects(watch.rule, state.id):
                wanted[rule_id] = watch
        for watch in wanted.values():
            self._follow(state, watch, now)

    def sweep(self, now: int, max_age: int) -> int:
        """Look at some devices, and forget those of which nothing that is known matters any more. Returns how many."""
        if not self._unswept:
            self._unswept = list(self.devices)
        some, self._unswept = self._unswept[-SWEPT:], self._unswept[:-SWEPT]
        old = [state for device in some if (state := self.devices.get(device)) and state.newest() < now - max_age]
        useless = [state for state in old if not self._matters(state, now)]
        for state in useless:
            del self.devices[state.id]
            self.planned.pop(state.id, None)
            self._book.forget(state)
        return len(useless)

    def _matters(self, state: DeviceState, now: int) -> bool:
        """Whether something of a device that was not heard for long is of use: an alert, silence, ends, or memory."""
        for rule_id in [*state.resting, *state.tracks]:
            watch = self.watches.get(rule_id)
            track = state.tracks.get(rule_id) if watch is None else state.track(watch)
            if track is not None and track.alert is not None:
                return True
            if watch is None or track is None:
                continue
            if watch.fires and self._listening.waits(rule_id, state.id):
                return True
            if any(now - end <= watch.rule.flapping_within for end in track.ends):
                return True
            if (watch.memory is not None or len(watch.metrics) > 1) and now - state.newest() <= REMEMBERED_NS:
                return True
        return False

    def _cover(self, device: str, watches: list[Watch], now: int) -> None:
        for watch in watches:
            state = self.devices.get(device)
            if state is None:
                state = self.state(device, now)
                self._book.touch(state)
            self._follow(state, watch, now)

    def _follow(self, state: DeviceState, watch: Watch, now: int) -> None:
        """Have a track of a rule at a device, as the rule is now."""
        track = state.track(watch)
        if track.alert is not None or (track.looks, track.condition) != (watch.looks, watch.condition):
            self._course.fit(state, watch, track, now)
        if not watch.fires and not watch.ends:
            return
        if watch.covers and watch.metrics and state.registered and track.heard == NEVER:
            track.heard = now
            self._book.touch(state)
        self._listening.listen(state, watch, track)

    def _end(self, state: DeviceState, track: Track, now: int, reason: Ending) -> None:
        watch = self.watches.get(track.rule_id)
        self._course.end(state, track, None if watch is None else watch.rule, now, reason, now)

    def _selects(self, rule: Rule, device: str) -> bool:
        record = self.record_of(device)
        return (record is None or record.enabled) and rule.spec.selector.selects(device, record)
