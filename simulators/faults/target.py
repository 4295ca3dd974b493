"""The devices that faults are made for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from simulators.formats.wire import Format, Stored
from simulators.models.model import Model
from simulators.plan.devices import Device


@dataclass(frozen=True)
class Target:
    """Devices of one part, which are alike. `own`: each has a connection of its own."""

    seed: int
    model: Model
    format: Format
    devices: Sequence[Device]
    own: bool = True

    @cached_property
    def stored(self) -> Stored:
        """What the pipeline is to make of the first."""
        return self.format.stored(self.devices[0], self.model.metrics)

    def metric(self, asked: str, kind: str) -> str:
        """Name the metric that a fault of numbers is about: the one asked for, or the first. Raises ValueError."""
        carried = [name for name, metric in self.model.metrics.items() if metric.type == "number"]
        carried = [name for name in carried if name in self.stored.metrics]
        if not asked and carried:
            return carried[0]
        if asked in carried:
            return asked
        about = f"{asked!r} is no number" if asked else "no number"
        raise ValueError(f"{kind}: {about} of model {self.model.name} in format {self.format.name}")
