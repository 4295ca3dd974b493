"""What rules found of the events of a fleet: alerts, as alerting has them, against the truth."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import httpx
import numpy as np

from simulators.models.model import Event
from simulators.plan.plan import Part, Plan
from simulators.scenario import report
from simulators.scenario.spec import Rule
from simulators.truth.alerting_api import fired
from simulators.truth.alerts import Alert, Verdict, judge
from simulators.truth.breaches import Breaches, Condition
from simulators.truth.histogram import Histogram
from simulators.truth.reading import read

_AROUND = 3_600_000_000_000
"""Events are asked for from an hour before the sending to one after it: those that overlap it are among them."""

_POLL_S = 0.5
_EXAMPLES = 5
_NANO = 1_000_000_000


class Alarms:
    """Judges the alerts of rules. `ids` are theirs, by name; `span` is when the sending began and ended (ns)."""

    def __init__(
        self, rules: Sequence[Rule], ids: Mapping[str, str], parts: Sequence[Part], plan: Plan, span: tuple[int, int]
    ) -> None:
        self._rules, self._ids, self._plan = rules, ids, plan
        self._start, self._end = span
        self._names = {device.number: plan.stored(device.number).device for part in parts for device in part.devices}
        self._events = {rule.name: self._of(rule, parts) for rule in rules}
        self.delays = Histogram()
        """From publishing a reading that shows an event to the alert."""

    async def judged(
        self,
        client: httpx.AsyncClient,
        ledger: Path,
        patience: float,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> list[report.Alerts]:
        """Ask for the alerts, again for up to `patience` seconds where some are missing. Raises AlertingError."""
        breaches = await asyncio.to_thread(self._breaches, ledger)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while True:
            found = [await self._one(client, rule, breaches[rule.name]) for rule in self._rules]
            waiting = any(verdict is not None and verdict.missed for _, verdict in found)
            if not waiting or loop.time() >= deadline:
                break
            await rest(_POLL_S)
        return [self._told(rule, *one) for rule, one in zip(self._rules, found, strict=True)]

    async def _one(
        self, client: httpx.AsyncClient, rule: Rule, breaches: tuple[Breaches, int]
    ) -> tuple[list[Alert], Verdict | None]:
        ours = set(self._names.values())
        alerts = await fired(client, self._ids[rule.name], self._start - _AROUND)
        alerts = [alert for alert in alerts if alert.device in ours]
        if not rule.event:
            return alerts, None
        shown, lasting = breaches
        return alerts, judge(self._events[rule.name], alerts, shown, self._names.__getitem__, lasting=lasting)

    def _of(self, rule: Rule, parts: Sequence[Part]) -> list[Event]:
        found: list[Event] = []
        for part in parts:
            numbers = np.array([device.number for device in part.devices], dtype=np.int64)
            found += part.model.events(self._plan.seed, numbers, self._start - _AROUND, self._end + _AROUND)
        return [
            event for event in found if event.name == rule.event and event.start < self._end and self._start < event.end
        ]

    def _breaches(self, ledger: Path) -> dict[str, tuple[Breaches, int]]:
        """Look for the readings that show events, of all rules in one pass."""
        found: dict[str, tuple[Breaches, int]] = {}
        for rule in self._rules:
            try:
                condition: Condition | None = Condition.of(rule.body)
            except (ValueError, KeyError):
                condition = None
            metrics = {
                event.device: self._plan.stored(event.device).metrics.get(event.metric, "")
                for event in self._events[rule.name]
            }
            found[rule.name] = (
                Breaches(self._events[rule.name], metrics, condition),
                condition.lasting if condition else 0,
            )
        for entry in read(ledger):
            for shown, _ in found.values():
                shown.enter(entry)
        return found

    def _told(self, rule: Rule, alerts: Sequence[Alert], verdict: Verdict | None) -> report.Alerts:
        if verdict is None:
            return report.Alerts(rule.name, "", len(alerts))
        delays = verdict.delays
        self.delays.add(np.array([delay * _NANO for delay in delays], dtype=np.int64))
        return report.Alerts(
            rule=rule.name,
            event=rule.event,
            fired=len(alerts),
            truth=verdict.truth,
            found=verdict.truth - len(verdict.missed),
            missed=len(verdict.missed),
            false=len(verdict.spurious),
            recall=verdict.recall,
            precision=verdict.precision,
            delay_p50=delays[len(delays) // 2] if delays else None,
            delay_max=delays[-1] if delays else None,
            examples=verdict.told()[:_EXAMPLES],
        )
