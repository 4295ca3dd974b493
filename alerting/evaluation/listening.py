"""Silence: what is done about devices, and metrics, of which nothing is heard any more, or never was."""

from collections.abc import Callable

from alerting.evaluation.course import Course
from alerting.evaluation.device import DeviceState
from alerting.evaluation.timers import Timers
from alerting.evaluation.watch import Watch
from alerting.judges.verdict import GOOD
from alerting.life.alert import Ending
from alerting.life.track import NEVER, Track
from contracts.devices import DeviceRecord

AGAIN_NS = 60_000_000_000
"""After so long silence is looked at again that counts for nothing now, by the rule's schedule."""


class Listening:
    """Knows until when each device and metric may be silent. Silence is judged by ingest's clock."""

    def __init__(self, course: Course, records: Callable[[str], DeviceRecord | None]) -> None:
        self._course, self._records = course, records
        self._timers = Timers()

    def waits(self, rule_id: str, device: str) -> bool:
        """Whether it is still to be seen if silence counts."""
        return (rule_id, device) in self._timers

    def listen(self, state: DeviceState, watch: Watch, track: Track) -> None:
        """Look when the silence that there is now has lasted for too long."""
        if (watch.fires or (watch.ends and track.alert is not None)) and (times := self._times(state, watch, track)):
            self._timers.arm((watch.rule.id, state.id), times[0])

    def begin(self, state: DeviceState, watch: Watch, track: Track, now: int) -> None:
        """Count silence from now on, whatever was heard before."""
        track.heard = max(track.heard, now)
        self.listen(state, watch, track)

    def heard(self, state: DeviceState, watch: Watch, track: Track, at: int, now: int, *, judged: bool = False) -> None:
        """Take note that silence is over, by a reading of event time `at`; `judged`: it came to a verdict."""
        alert = track.alert
        if alert is not None and alert.no_data and not judged:
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
        times, key, active = self._times(state, watch, track), (watch.rule.id, state.id), watch.rule.active
        if active is not None and not active(heard_until):
            if watch.fires:
                self._timers.arm(key, heard_until + AGAIN_NS)
            return
        for level, at in enumerate(times, 1):
            if at >= heard_until:
                self._timers.arm(key, at)
                return
            if watch.ends:
                self._course.end(state, track, watch.rule, at, Ending.NO_DATA, now)
                return
            counts = at if active is None or active(at) else heard_until  # it began when the rule did not look
            self._course.silence(state, watch, track, counts, level, now)

    def _times(self, state: DeviceState, watch: Watch, track: Track) -> list[int]:
        """Give, by level, when silence counts if it lasts; nothing where it may last for ever."""
        since = track.heard if watch.metrics else max(track.heard, state.known, state.heard)
        after = watch.rule.silence_after
        if after is None or since == NEVER:
            return []
        return [since + long for long in after(self._records(state.id))][: len(watch.rule.severities)]
