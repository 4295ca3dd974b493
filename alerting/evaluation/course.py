"""The course of alerts: what verdicts, the clock and changes of rules do to them is entered in the book."""

from collections.abc import Callable

from alerting.evaluation.book import Book
from alerting.evaluation.device import DeviceState
from alerting.evaluation.timers import Timers
from alerting.evaluation.watch import Watch
from alerting.judges.verdict import Seen, Verdict
from alerting.life.alert import Ending
from alerting.life.life import Step, due, on_clock, on_ending, on_passed, on_rule, on_silence, on_verdict
from alerting.life.track import Track
from alerting.rules.rule import Rule


class Course:
    """Applies the rules of an alert's life. `max_age` in ns; `new_id` makes the ids of alerts."""

    def __init__(self, book: Book, max_age: int, new_id: Callable[[], str]) -> None:
        self._book, self.max_age, self._new_id = book, max_age, new_id
        self._timers = Timers()

    @property
    def due(self) -> int | None:
        """When `tick` may next have something to do; None if nothing waits for it."""
        return self._timers.first

    def verdict(  # noqa: PLR0913 - what a verdict is about
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
        """Take a verdict of event time `at`; one that was due to end an alert before it comes first."""
        if track.alert is not None:
            at = max(at, track.at)
            while (step := on_passed(watch.rule, track, at)) is not None:
                self._enter(state, watch, track, step, now)
        level, holds, number = verdict
        step = on_verdict(watch.rule, track, at, level, holds, fresh=fresh, value=number, new_id=self._new_id)
        if step is not None:
            self._enter(state, watch, track, step, now, evidence)
        self.arm(state, watch, track)

    def silence(self, state: DeviceState, watch: Watch, track: Track, at: int, level: int, now: int) -> None:
        """Let silence until `at` have reached `level`."""
        step = on_silence(watch.rule, track, at, level, self._new_id)
        if step is not None:
            self._enter(state, watch, track, step, now, {})
        self.arm(state, watch, track)

    def end(self, state: DeviceState, track: Track, rule: Rule | None, at: int, reason: Ending, now: int) -> None:
        """End the alert, if one is open; `rule` is None if it is gone."""
        step = on_ending(rule, track, at, reason)
        if step is not None:
            self._book.enter(state, track, rule, step, {}, now)

    def fit(self, state: DeviceState, watch: Watch, track: Track, now: int) -> None:
        """Fit a track to the rule as it is now, and end the alert if the rule looks at something else."""
        changed = (track.looks, track.condition) != (watch.looks, watch.condition)
        if track.looks != watch.looks:
            self.end(state, track, watch.rule, now, Ending.RULE_CHANGED, now)
        step = on_rule(watch.rule, track, now, condition=changed)
        if step is not None:
            self._enter(state, watch, track, step, now)
        if changed:
            track.memory = watch.new_memory()
            track.looks, track.condition = watch.looks, watch.condition
            self._book.touch(state)
        self.arm(state, watch, track)

    def tick(self, watches: dict[str, Watch], now: int, until: int) -> None:
        """Do what the clock asks for; all readings of before `until` have been taken."""
        for rule_id, device in self._timers.due(now):
            found = self._book.open.get(rule_id, {}).get(device)
            if found is None:
                continue
            state, track = found
            watch = watches[rule_id]
            active = watch.rule.active
            upto = now if active is None or active(now) else until  # out of its schedule the clock fires nothing
            while (step := on_clock(watch.rule, track, upto, self.max_age, until)) is not None:
                self._enter(state, watch, track, step, now)
            at = due(watch.rule, track, until)
            if at is not None:
                self._timers.arm((rule_id, device), max(at, now + 1))

    def arm(self, state: DeviceState, watch: Watch, track: Track) -> None:
        """Have the clock looked at when that may change the alert."""
        if track.alert is not None and (at := due(watch.rule, track)) is not None:
            self._timers.arm((watch.rule.id, state.id), at)

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
            evidence = {metric: last[metric] for metric in watch.metrics if last.get(metric, _NOTHING)[0] <= step.at}
        self._book.enter(state, track, watch.rule, step, evidence, now)


_NOTHING: Seen = (1 << 64, "")  # later than any step
