"""Silence: what is done about devices, and metrics, of which nothing is heard any more, or never was."""

from collections.abc import Callable

from alerting.evaluation.course import Course
from alerting.evaluation.device import DeviceState
from alerting.evaluation.timers import Timers
from alerting.evaluation.watch import Watch
from alerting.judges.verdict import GOOD
from alerting.life.alert import Ending
from alerting.life.track import NEVER, Track
from alerting.rules.rule import Rule
from contracts.devices import DeviceRecord


class Listening:
    """Knows until when each device and metric may be silent. Silence is judged by ingest's clock."""

    def __init__(self, course: Course, records: Callable[[str], DeviceRecord | None]) -> None:
        self._course, self._records = course, records
        self._timers = Timers()

    @property
    def due(self) -> int | None:
        """How far ingest has to be heard until `tick` may have something to do; None if nothing waits for it."""
        first = self._timers.first
        return None if first is None else first + 1  # it judges what is before

    def waits(self, rule_id: str, device: str) -> bool:
        """Whether it is still to be seen if silence counts."""
        return (rule_id, device) in self._timers

    def listen(self, state: DeviceState, watch: Watch, track: Track) -> None:
        """Look when the silence that there is now has lasted for too long."""
        if (watch.fires or (watch.ends and track.alert is not None)) and (times := self._times(state, watch, track)):
            self._timers.arm((watch.rule.id, state.id), times[0])

    def begin(self, state: DeviceState, watch: Watch, track: Track, now: int) -> None:
        """Count silence from now on, or once the device is heard again if it is registered nowhere."""
        if not state.registered:
            state.known = max(now, state.heard)
            return
        track.heard = max(track.heard, now)
        self.listen(state, watch, track)

    def heard(self, state: DeviceState, watch: Watch, track: Track, at: int, now: int, *, news: bool) -> None:
        """Take note of a reading of event time `at`; `news`: it ends a silence, and came to no verdict that could."""
        alert = track.alert
        if alert is not None and alert.no_data and news:
            at = max(at, track.at, alert.fired_at or at)
            self._course.verdict(state, watch, track, at, GOOD, now, fresh=False)
        if (watch.rule.id, state.id) not in self._timers:
            self.listen(state, watch, track)

    def tick(self, watches: dict[str, Watch], devices: dict[str, DeviceState], now: int, heard_until: int) -> None:
        """Judge silence up to `heard_until`: all that ingest received before it has been taken."""
        for rule_id, device in self._timers.due(heard_until - 1):
            watch, state = watches.get(rule_id), devices.get(device)
            track = None if state is None else state.tracks.get(rule_id)
            if watch is None or state is None or track is None or not watch.rule.enabled:
                continue
            record = self._records(device)
            if (record is None or record.enabled) and watch.rule.spec.selector.selects(device, record):
                self._judge(state, watch, track, now, heard_until)

    def _judge(self, state: DeviceState, watch: Watch, track: Track, now: int, heard_until: int) -> None:
        key = watch.rule.id, state.id
        for level, due in enumerate(self._times(state, watch, track), 1):
            at = _when_active(watch.rule, due, heard_until)
            if at >= heard_until:
                self._timers.arm(key, at)
                return
            if watch.ends:
                self._course.end(state, track, watch.rule, at, Ending.NO_DATA, now)
                return
            self._course.silence(state, watch, track, at, level, now)

    def _times(self, state: DeviceState, watch: Watch, track: Track) -> list[int]:
        """Give, by level, when silence counts if it lasts; nothing where it may last for ever."""
        since = track.heard if watch.metrics else max(track.heard, state.known, state.heard)
        after = watch.rule.silence_after
        if after is None or since == NEVER or not state.counts():
            return []
        return [since + long for long in after(self._records(state.id))][: len(watch.rule.severities)]


def _when_active(rule: Rule, at: int, until: int) -> int:
    """Give the first time from `at` on at which the rule's schedule lets it evaluate, or one from `until` on."""
    if rule.active is not None and rule.next_change is not None:
        while at < until and not rule.active(at):
            at = rule.next_change(at)
    return at
