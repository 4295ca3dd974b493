"""Words for tests about alerts: times in seconds, one rule, one device."""

import itertools
from typing import Any

import msgspec

from alerting.evaluation import Evaluation, Tally
from alerting.rules import Rule
from alerting.states import Alert, State, Track
from contracts.readings import Reading, Value

SECOND = 1_000_000_000
T0 = 1_800_000_000 * SECOND


def rule(**changes: Any) -> Rule:  # noqa: ANN401 - the fields of a rule
    """Give a rule that is bad above 30, with what the test cares about changed; `for_s` in seconds."""
    for_ns = int(changes.pop("for_s", 0) * SECOND)
    plain = Rule(
        id="rule",
        version=1,
        name="too hot",
        metric="temperature",
        operator="gt",
        value=30.0,
        for_ns=for_ns,
        clear=None,
        devices=None,
        profile=None,
        severity="warning",
        enabled=True,
        webhooks=(),
        created_at=T0,
        updated_at=T0,
    )
    return msgspec.structs.replace(plain, **changes)


def seconds(at: int | None) -> float | None:
    return None if at is None else (at - T0) / SECOND


class Story:
    """Tells readings and the clock to an evaluation, and what came of it as (state, seconds) pairs."""

    def __init__(self, first: Rule, max_age_s: float = 600, profiles: dict[str, str] | None = None) -> None:
        ids = map("alert-{}".format, itertools.count(1))
        self.profiles = profiles or {}
        self.evaluation = Evaluation(self.profiles.get, int(max_age_s * SECOND), lambda: next(ids))
        self.evaluation.put(first, T0)
        self.changes: list[Alert] = []
        self.tally = Tally()

    def hears(
        self, at: float, value: Value, *, now: float | None = None, device: str = "pump", metric: str = ""
    ) -> None:
        """Take a reading of second `at`; it arrives then, or at second `now`."""
        clock = T0 + int((at if now is None else now) * SECOND)
        values = {metric or "temperature": value}
        self.evaluation.evaluate(Reading(device, T0 + int(at * SECOND), clock, values), clock)
        self._collect()

    def clock(self, at: float) -> None:
        self.evaluation.tick(T0 + int(at * SECOND))
        self._collect()

    def put(self, changed: Rule, at: float = 1000) -> None:
        self.evaluation.put(changed, T0 + int(at * SECOND))
        self._collect()

    def remove(self, at: float = 1000) -> None:
        self.evaluation.remove("rule", T0 + int(at * SECOND))
        self._collect()

    def _collect(self) -> None:
        self.changes += [alert for alert, _ in self.evaluation.take().alerts]
        for name, count in msgspec.structs.asdict(self.evaluation.take_tally()).items():
            setattr(self.tally, name, getattr(self.tally, name) + count)

    @property
    def told(self) -> list[tuple[str, float | None]]:
        """Give each change with its event time."""
        when = {State.PENDING: "started_at", State.FIRING: "fired_at", State.RESOLVED: "resolved_at"}
        return [(a.state.value, seconds(getattr(a, when.get(a.state, "started_at")))) for a in self.changes]

    def restart(self) -> None:
        """Begin anew with what a database would hold."""
        rules = list(self.evaluation.rules.values())
        tracks = [
            Track(t.rule_id, t.device, t.ts, t.value, t.alert)
            for by_device in self.evaluation._tracks.values()  # noqa: SLF001 - stands for the database
            for t in by_device.values()
        ]
        self.evaluation.restore(rules, tracks)
