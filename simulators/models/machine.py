"""State machines whose state at any moment needs no history."""

import numpy as np

from simulators.models.moments import HOUR, Moments
from simulators.models.noise import Int64s, stream, uniform_of
from simulators.models.spec import States


class Machine:
    """Goes through its steps in each cycle. A device's cycles begin at a time of its own."""

    def __init__(self, spec: States) -> None:
        self.steps = [step.state for step in spec.steps]
        self._cycle, self._timed = spec.cycle, [step.lasts for step in spec.steps if step.lasts]
        busy = spec.busy if isinstance(spec.busy, list) else [spec.busy] * 24
        self._busy = None if min(busy) >= 1 else np.array(busy)
        self._phase, self._share = stream("states.phase"), stream("states.busy")
        self._lengths = [stream(f"states.step.{number}") for number in range(len(self._timed))]

    def at(self, moments: Moments) -> Int64s:
        """Give the number of the step in which each device is."""
        phase = (uniform_of(moments.key, self._phase, 0) * self._cycle).astype(np.int64)
        cycle, into = np.divmod(moments.ts - phase, self._cycle)
        step, edge = np.zeros(len(into), dtype=np.int64), np.zeros(len(into))
        for (low, high), number in zip(self._timed, self._lengths, strict=True):
            edge = edge + (low + (high - low) * uniform_of(moments.key, number, cycle))
            step += into >= edge
        if self._busy is not None:
            hour = (cycle * self._cycle + phase) // HOUR % 24
            step[uniform_of(moments.key, self._share, cycle) >= self._busy[hour]] = 0
        return step
