"""The open alerts of a partition, and what has changed since it was last written."""

from collections.abc import Callable, Mapping

from alerting.evaluation.device import DeviceState
from alerting.evaluation.writes import RuleError, Writes
from alerting.judges.verdict import Seen
from alerting.life.alert import Alert, Change, State, What
from alerting.life.life import Step
from alerting.life.track import Track
from alerting.rules.rule import Rule
from contracts.devices import DeviceRecord

Describe = Callable[[Rule, Alert, DeviceRecord | None, Mapping[str, Seen]], tuple[Alert, str | None]]
"""Gives an alert its labels and annotations, and what went wrong with them, if anything did."""

_DESCRIBED = frozenset({What.PENDING, What.FIRING, What.ESCALATED, What.DEESCALATED})
_MOST_MESSAGE = 1024


class Book:
    """Open alerts, by rule and by id, and all that has to be written.

    `open` has, by rule id and device, the device's state and the track. Rule errors: one for each rule, with a count.
    `broken` is the last error that only a fault in this program can raise, until somebody takes it.
    """

    def __init__(self, describe: Describe) -> None:
        self._describe = describe
        self.open: dict[str, dict[str, tuple[DeviceState, Track]]] = {}
        self.by_id: dict[str, tuple[DeviceState, Track]] = {}
        self.counts = {State.PENDING: 0, State.FIRING: 0}
        self.broken: Exception | None = None
        self._states: dict[str, State] = {}
        self._changes: list[Change] = []
        self._concerned: dict[str, DeviceState] = {}
        self._dirty: dict[str, DeviceState] = {}
        self._forgotten: dict[str, None] = {}
        self._errors: dict[str, RuleError] = {}

    @property
    def urgent(self) -> bool:
        """Whether an alert has changed."""
        return bool(self._changes)

    @property
    def dirty(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._changes or self._dirty or self._forgotten or self._errors)

    def touch(self, state: DeviceState) -> None:
        """Have a device's row written."""
        state.dirty = True
        self._dirty[state.id] = state
        self._forgotten.pop(state.id, None)

    def forget(self, state: DeviceState) -> None:
        """Have a device's row deleted."""
        state.dirty = False
        self._dirty.pop(state.id, None)
        self._forgotten[state.id] = None

    def hold(self, state: DeviceState, track: Track, alert: Alert) -> None:
        """Take in an alert that is open on disk."""
        track.alert = alert
        self.open.setdefault(alert.rule_id, {})[state.id] = (state, track)
        self.by_id[alert.id] = (state, track)
        self._states[alert.id] = alert.state
        self.counts[alert.state] += 1

    def enter(
        self, state: DeviceState, track: Track, rule: Rule | None, step: Step, evidence: dict[str, Seen], now: int
    ) -> None:
        """Enter a step of an alert's life; `rule` is None if it is gone."""
        alert, what, at = step
        if alert.id in self.by_id:
            self.counts[self._states.pop(alert.id)] -= 1
            del self.by_id[alert.id]
            of_rule = self.open[alert.rule_id]
            del of_rule[state.id]
            if not of_rule:
                del self.open[alert.rule_id]
        if track.alert is not None:
            if rule is not None and what in _DESCRIBED:
                alert = self._described(rule, alert, state, evidence, now)
            self.hold(state, track, alert)
        self._changes.append(Change(alert, what, at, evidence))
        self._concerned[state.id] = state
        self.touch(state)

    def failed(self, rule: Rule, device: str, message: str, now: int) -> None:
        """Note that a rule failed at `device`."""
        before = self._errors.get(rule.id)
        count = 1 if before is None else before.count + 1
        self._errors[rule.id] = RuleError(rule.id, rule.version, device, message[:_MOST_MESSAGE], now, count)

    def take_urgent(self) -> Writes:
        """Hand over the changes, with the rows of the devices concerned."""
        devices = self._concerned
        for device in devices:
            self._dirty.pop(device, None)
        return self._taken(devices, [])

    def take_all(self) -> Writes:
        """Hand over all that there is to write."""
        devices, forgotten = self._dirty | self._concerned, list(self._forgotten)
        self._dirty, self._forgotten = {}, {}
        return self._taken(devices, forgotten)

    def _taken(self, devices: dict[str, DeviceState], forgotten: list[str]) -> Writes:
        rows = {}
        for device, state in devices.items():
            state.dirty = False
            rows[device] = state.row()
        writes = Writes(self._changes, rows, forgotten, list(self._errors.values()))
        self._changes, self._concerned, self._errors = [], {}, {}
        return writes

    def _described(self, rule: Rule, alert: Alert, state: DeviceState, evidence: dict[str, Seen], now: int) -> Alert:
        try:
            alert, problem = self._describe(rule, alert, state.device.record, evidence)
        except Exception as error:  # noqa: BLE001 - the alert is more important than its text; whoever called hears of it
            self.broken = error
            return alert
        if problem is not None:
            self.failed(rule, state.id, problem, now)
        return alert
