"""Builds a fleet from a scenario: its models, formats, faults, connections and ledger."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from contracts.logs import Log
from simulators.connections.outlet import Connect
from simulators.formats import format_named
from simulators.metrics import Metrics
from simulators.models.library import model
from simulators.plan.batch import Batch
from simulators.plan.load import Load
from simulators.plan.plan import Part, Plan
from simulators.running.fleet import Fleet
from simulators.running.parts import Group, lines_of, parts_of
from simulators.scenario.spec import Scenario
from simulators.truth.entries import Member, PartNote, Run
from simulators.truth.keeping import Ledger
from simulators.truth.ledger import LedgerFile


class Blueprint:
    """The fleet of a scenario, read and checked, before anything of it is connected.

    `folder` is where the scenario's own models are looked for. Raises ValueError, with one line, for a model, a format
    or a fault that there is not, or that do not go together.
    """

    def __init__(self, scenario: Scenario, folder: Path = Path()) -> None:
        self.scenario = scenario
        groups = [
            Group(
                model(spec.model, folder),
                format_named(spec.format),
                spec.devices,
                spec.rate,
                client=spec.client,
                first=spec.first,
                prefix=spec.prefix,
                connections=None if spec.connections == "own" else spec.connections,
                faults=spec.faults,
            )
            for spec in scenario.fleet
        ]
        self.parts = parts_of(groups, scenario.seed)
        _known(scenario, self.parts)
        self.plan = Plan(scenario.seed, self.parts, Load(scenario.phases))
        self.lines = lines_of(groups, self.parts)
        self.credentials = [
            spec.credentials
            for spec, group in zip(scenario.fleet, groups, strict=True)
            for _ in range(1 if group.model.children is None else 2)
        ]
        """What the devices of each part log in with."""

    def run(self, began: int, **about: float | str) -> Run:
        """Say what a ledger of it is of. `began` is ns since 1970."""
        return Run(
            seed=self.scenario.seed,
            began=began,
            devices=[
                Member(device.number, device.id, self.plan.stored(device.number).device, device.part)
                for part in self.parts
                for device in part.devices
            ],
            parts=[PartNote(part.model.name, part.format.name, part.format.session) for part in self.parts],
            about={"scenario": self.scenario.name, **about},
        )

    def ledger(self, path: Path, began: int, log: Log) -> LedgerFile:
        """Open a ledger for it. Raises LedgerError."""
        return LedgerFile(path, self.run(began), log)

    def fleet(
        self,
        connects: Mapping[str, Connect],
        *,
        ledger: Ledger | None,
        metrics: Metrics,
        now: Callable[[], int],
        log: Log,
        follow: Callable[[Batch], None] | None = None,
    ) -> Fleet:
        """Build it, with what makes the connections of each client (`native`, `paho`). It can run once."""
        lines = [(connects[client], line) for client, line in self.lines]
        return Fleet(plan=self.plan, lines=lines, ledger=ledger, metrics=metrics, now=now, log=log, follow=follow)


def _known(scenario: Scenario, parts: Sequence[Part]) -> None:
    """Raise ValueError for a rule whose event no device can have: it would find all of them, which are none."""
    known = sorted({name for part in parts for name in part.model.event_names})
    for rule in scenario.rule:
        if rule.event and rule.event not in known:
            raise ValueError(f"rule {rule.name}: no model of the fleet has an event {rule.event!r}; there are {known}")
