"""Readings and windows of one device, judged by the rules that look at it."""

from collections.abc import Callable

from alerting.evaluation.book import Book
from alerting.evaluation.course import Course
from alerting.evaluation.device import MOST_TEXT, DeviceState
from alerting.evaluation.listening import Listening
from alerting.evaluation.tally import Tally
from alerting.evaluation.watch import Watch, window_key
from alerting.judges.verdict import FailedError, Seen, Verdict
from alerting.life.alert import Ending
from alerting.life.track import Track
from contracts.derived import Window
from contracts.readings import Reading


class Judging:
    """Judges; what comes of it is entered in the book, and what failed, too."""

    def __init__(self, book: Book, course: Course, listening: Listening, tally: Tally) -> None:
        self._book, self._course, self._listening, self._tally = book, course, listening, tally

    def take(self, state: DeviceState, reading: Reading, now: int) -> None:  # noqa: C901 - in one piece it costs least
        """Judge a reading of the device."""
        ts, last, plain, tally = reading.ts, state.last, state.plain, self._tally
        fresh = now - ts <= self._course.max_age
        taken = []
        for metric, value in reading.values.items():
            watches = plain.get(metric)
            if watches is None:
                continue
            seen = last.get(metric)
            if seen is not None and ts <= seen[0]:
                tally.late += len(watches)
                continue
            last[metric] = (ts, value if type(value) is not str else value[:MOST_TEXT])
            taken.append(metric)
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
                tally.stale += not fresh
                if verdict[0] or track.alert is not None:
                    if verdict[2] is None and type(value) is float:
                        verdict = Verdict(verdict[0], verdict[1], value)
                    self._course.verdict(state, watch, track, ts, verdict, now, fresh=fresh)
        newly = reading.received > state.heard
        if newly:
            state.heard = reading.received
        if state.others:
            self._take_others(state, reading, taken, now)
        if newly and state.absences:
            for watch, track in state.absences:
                self._listening.heard(state, watch, track, ts, now, news=True)

    def take_window(self, state: DeviceState, window: Window, now: int) -> None:
        """Judge a closed window of the device; one that does not begin after the newest judged is late."""
        key = window_key(window.metric, window.tier)
        watches = state.by_window.get(key, ())
        if window.start <= state.windows.get(key, -1):
            self._tally.late += len(watches)
            return
        state.windows[key] = window.start
        fresh = now - window.end <= self._course.max_age
        for watch, track in watches:
            judge = watch.window_judge
            if judge is None:
                continue
            verdict = self._verdict(state, watch, track, judge.judge_window, (window, track.memory), now)
            if verdict is not None:
                number = window.last if verdict.number is None else verdict.number
                evidence = {window.metric: (window.end, number)}
                self._judged(state, watch, track, window.end, verdict, now, fresh=fresh, evidence=evidence)
                self._listening.listen(state, watch, track)

    def _take_others(self, state: DeviceState, reading: Reading, taken: list[str], now: int) -> None:
        """Judge by the rules that need more than one value: each once a reading."""
        done: set[str] = set()
        for metric in reading.values:
            for watch, track in state.others.get(metric, ()):
                if watch.rule.id in done:
                    continue
                done.add(watch.rule.id)
                judged = watch.judge is not None and self._take_other(state, watch, track, reading, taken, now)
                if not watch.fires and not watch.ends:
                    continue
                newly = reading.received > (track.heard if state.registered else max(track.heard, state.known))
                if newly:
                    track.heard = reading.received
                self._listening.heard(state, watch, track, reading.ts, now, news=newly and not judged)

    def _take_other(
        self, state: DeviceState, watch: Watch, track: Track, reading: Reading, taken: list[str], now: int
    ) -> bool:
        """Judge by one of these rules; whether that came to a verdict."""
        metric = next((found for found in taken if found in watch.metrics), None)
        if watch.judge is None or metric is None:
            self._tally.late += 1
            return False
        ts, last = reading.ts, state.last
        value = reading.values[metric]
        arguments = (ts, value, last, track.memory, state.device)
        verdict = self._verdict(state, watch, track, watch.judge.judge, arguments, now)
        if verdict is None:
            return False
        at = ts
        if len(watch.metrics) > 1:  # what it says is so since the newest of the values came
            at = max(last[found][0] for found in watch.metrics if found in last)
        elif verdict.number is None and type(value) is float:
            verdict = verdict._replace(number=value)
        self._judged(state, watch, track, at, verdict, now, fresh=now - ts <= self._course.max_age)
        return True

    def _verdict(
        self,
        state: DeviceState,
        watch: Watch,
        track: Track,
        judge: Callable[..., Verdict | None],
        arguments: tuple[object, ...],
        now: int,
    ) -> Verdict | None:
        try:
            verdict = judge(*arguments)
        except Exception as error:  # noqa: BLE001 - one rule stops no other
            self._failed(state, watch, track, error, now)
            return None
        if verdict is None:
            self._tally.says_nothing += 1
        return verdict

    def _judged(  # noqa: PLR0913 - what a verdict is about
        self,
        state: DeviceState,
        watch: Watch,
        track: Track,
        at: int,
        verdict: Verdict,
        now: int,
        *,
        fresh: bool,
        evidence: dict[str, Seen] | None = None,
    ) -> None:
        """Let a verdict have its effect: outside of the rule's schedule, that of ending the alert."""
        self._tally.evaluated += 1
        self._tally.stale += not fresh
        active = watch.rule.active
        if active is not None and not active(at):
            self._course.end(state, track, watch.rule, at, Ending.OFF_SCHEDULE, now)
        elif verdict.level or track.alert is not None:
            self._course.verdict(state, watch, track, at, verdict, now, fresh=fresh, evidence=evidence)

    def _failed(self, state: DeviceState, watch: Watch, track: Track, error: Exception, now: int) -> None:
        """Take note that a judge failed: with a reason for the rule's author, or as none should."""
        if isinstance(error, FailedError):
            self._tally.failed += 1
            self._book.failed(watch.rule, state.id, str(error), now)
        else:
            track.memory = watch.new_memory()  # what there was may be half changed
            self._book.broken = error
