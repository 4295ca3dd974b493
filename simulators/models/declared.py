"""A model that a file declares."""

from collections.abc import Callable, Collection, Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from contracts.readings import Value
from simulators.models import signals
from simulators.models.checks import in_order
from simulators.models.courses import Course
from simulators.models.happenings import Happening
from simulators.models.machine import Machine
from simulators.models.model import Children, Event, Metric, Model
from simulators.models.moments import Column, Moments
from simulators.models.noise import Float64s, Int64s, keys
from simulators.models.spec import (
    Boolean,
    Counter,
    Curve,
    Decay,
    Derived,
    MetricSpec,
    ModelSpec,
    OnTrack,
    StateText,
    Text,
)
from simulators.models.track import Way

Height = tuple[Float64s, Float64s]
"""How far into an event each row is, and its peak."""


class DeclaredModel:
    """See simulators.models.model.Model. Numbers are rounded as declared; a metric that others are made of, too."""

    def __init__(self, spec: ModelSpec, child: Model | None = None) -> None:
        self.name, self.prefix = spec.name, spec.prefix
        self.metrics: Mapping[str, Metric] = {name: _metric(metric) for name, metric in spec.metrics.items()}
        self.event_names: Collection[str] = spec.events.keys()
        self.children = Children(child, spec.children.count) if spec.children and child else None
        self._machine = Machine(spec.states) if spec.states else None
        steps = self._machine.steps if self._machine else []
        self._happenings = [
            Happening(name, event, getattr(spec.metrics[event.metric], "decimals", 0))
            for name, event in spec.events.items()
        ]
        self._states = steps + [event.state for event in spec.events.values() if event.state]
        self._order = in_order(spec)
        courses = {name: Course(name, metric) for name, metric in spec.metrics.items() if isinstance(metric, Curve)}
        self._way = Way(spec.track, courses[spec.track.speed]) if spec.track else None
        self._measures: dict[str, Callable[[Moments], Column | list[str]]] = {}
        for name, metric in spec.metrics.items():
            self._measures[name] = self._measure(name, metric, courses, steps)
        self._decimals = {name: getattr(metric, "decimals", None) for name, metric in spec.metrics.items()}
        self._changes = {name: _changes(spec, name) for name in spec.metrics}

    def values(self, seed: int, devices: Int64s, ts: Int64s) -> dict[str, list[Value]]:
        """Give what device number `devices[i]` measures at `ts[i]` (ns)."""
        moments = Moments(devices, keys(seed, devices), ts)
        if self._way:
            moments.place = self._way.at(moments)
        heights = self._heights(seed, moments)
        found: dict[str, list[Value]] = {}
        for name in self._order:
            made = self._measures[name](moments)
            if isinstance(made, list):
                found[name] = cast("list[Value]", made)
                continue
            column = moments.columns[name] = self._changed(name, made, heights)
            found[name] = column.tolist()
        return {name: found[name] for name in self.metrics}

    def events(self, seed: int, devices: Int64s, start: int, end: int) -> list[Event]:
        """Give every event of these devices that lies wholly in `start`..`end` (ns), by start."""
        found = (event for kind in self._happenings for event in kind.between(seed, devices, start, end))
        return sorted(found, key=lambda event: (event.start, event.device, event.name))

    def _heights(self, seed: int, moments: Moments) -> dict[str, Height]:
        """Look at the events and the machine, on which all else depends."""
        if self._machine:
            moments.step = moments.state = self._machine.at(moments)
        heights = {}
        for kind in self._happenings:
            height = kind.height(seed, moments)
            if height is None:
                continue
            heights[kind.name] = (height, kind.peak(seed, moments))
            if kind.spec.state and moments.state is not None:
                moments.state = np.where(height > 0, self._states.index(kind.spec.state), moments.state)
        return heights

    def _changed(self, name: str, made: Column, heights: Mapping[str, Height]) -> Column:
        """Let events change a metric, and round it."""
        changes = [(heights[event], target) for event, target in self._changes[name] if event in heights]
        decimals = self._decimals[name]
        if decimals is None:
            for (height, _), _ in changes:
                made = cast("NDArray[np.bool_]", made) | (height > 0)
            return made
        for (height, peak), target in changes:
            made = made + ((peak if target is None else target) - made) * height
        return signals.rounded(cast("Float64s", made), decimals)

    def _measure(  # noqa: PLR0911 - one a kind
        self, name: str, spec: MetricSpec, courses: Mapping[str, Course], steps: list[str]
    ) -> Callable[[Moments], Column | list[str]]:
        match spec:
            case Curve():
                return signals.curve(name, spec, courses[name], steps)
            case Derived():
                return signals.derived(name, spec, steps)
            case Decay():
                return signals.decay(name, spec)
            case Counter():
                return signals.counter(name, spec, courses[spec.of])
            case Boolean():
                return signals.boolean(spec, self._states)
            case Text():
                return signals.text(name, spec)
            case OnTrack():
                return lambda moments: moments.place[spec.gives]
            case StateText():
                return lambda moments: [self._states[n] for n in cast("Int64s", moments.state).tolist()]


def _metric(spec: MetricSpec) -> Metric:
    match spec:
        case Boolean():
            return Metric("boolean")
        case Text() | StateText():
            return Metric("text")
        case _:
            return Metric("number", spec.unit)


def _changes(spec: ModelSpec, metric: str) -> list[tuple[str, float | None]]:
    """Name the events that change a metric, each with the value that it goes to, or None for the event's peak."""
    return [
        (name, None if event.metric == metric else event.also[metric])
        for name, event in spec.events.items()
        if event.metric == metric or metric in event.also
    ]
