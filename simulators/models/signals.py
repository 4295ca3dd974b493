"""How the values of each kind of metric are made."""

from collections.abc import Callable, Sequence
from math import cos, pi

import numpy as np
from numpy.typing import NDArray

from simulators.models.courses import Course, Pattern
from simulators.models.moments import DAY, HOUR, WEEK_HOURS, Moments
from simulators.models.noise import Float64s, normal_of, stream, uniform_of
from simulators.models.spec import Boolean, Counter, Curve, Decay, Derived, Drift, Signal, Text

Measure = Callable[[Moments], Float64s]


def curve(name: str, spec: Curve, course: Course, steps: Sequence[str]) -> Measure:
    """Follow the course, and swing about it."""
    wave = Pattern([round(cos(2 * pi * (hour - spec.peak) / 24), 9) for hour in range(WEEK_HOURS)])
    finish = _signal(name, spec, steps)

    def measure(moments: Moments) -> Float64s:
        found = course.at(moments)
        if any(spec.swing):
            found = found + moments.own(f"{name}.swing", spec.swing) * wave.at(course.clock(moments))
        return finish(moments, found)

    return measure


def derived(name: str, spec: Derived, steps: Sequence[str]) -> Measure:
    """Combine other metrics, as they are published."""
    finish = _signal(name, spec, steps)

    def measure(moments: Moments) -> Float64s:
        found = np.full(len(moments.ts), moments.own(f"{name}.offset", spec.offset))
        for other, factor in spec.terms.items():
            found += factor * moments.columns[other]
        if spec.times:
            found *= moments.columns[spec.times]
        if spec.over:
            below = moments.columns[spec.over]
            found = np.divide(found, below, out=np.zeros_like(found), where=below != 0)
        return finish(moments, found)

    return measure


def decay(name: str, spec: Decay) -> Measure:
    """Go from one end to the other, again and again."""

    def measure(moments: Moments) -> Float64s:
        days = moments.own(f"{name}.days", spec.days)
        lives = moments.ts / (days * DAY) + uniform_of(moments.key, stream(f"{name}.age"), 0)
        return spec.start + (spec.end - spec.start) * (lives - np.floor(lives))

    return measure


def counter(name: str, spec: Counter, course: Course) -> Measure:
    """Sum up a course."""
    factor = spec.factor * HOUR / spec.per

    def measure(moments: Moments) -> Float64s:
        return moments.own(f"{name}.start", spec.start) + factor * course.total(moments)

    return measure


def boolean(spec: Boolean, states: Sequence[str]) -> Callable[[Moments], NDArray[np.bool_]]:
    """Look at the state, or at another metric."""
    true = np.array([state in (spec.states or ()) for state in states] or [False])

    def measure(moments: Moments) -> NDArray[np.bool_]:
        if spec.above:
            return np.asarray(moments.columns[spec.above.metric] > spec.above.value)
        if spec.below:
            return np.asarray(moments.columns[spec.below.metric] < spec.below.value)
        if spec.states is None or moments.state is None:
            return np.zeros(len(moments.ts), dtype=np.bool_)
        return true[moments.state]

    return measure


def text(name: str, spec: Text) -> Callable[[Moments], list[str]]:
    """Choose."""

    def measure(moments: Moments) -> list[str]:
        turn = moments.ts // spec.every if spec.every else 0
        chosen = uniform_of(moments.key, stream(f"{name}.text"), turn) * len(spec.values)
        return [spec.values[number] for number in chosen.astype(np.int64).tolist()]

    return measure


def rounded(column: Float64s, decimals: int) -> Float64s:
    """Round as it is published, with no -0.0."""
    return np.round(column, decimals) + 0.0


def _signal(name: str, spec: Signal, steps: Sequence[str]) -> Callable[[Moments, Float64s], Float64s]:
    noise = stream(f"{name}.noise")
    factors = np.array([spec.factors.get(step, 1.0) for step in steps]) if spec.factors else None

    def finish(moments: Moments, found: Float64s) -> Float64s:
        if spec.drift:
            found = found + _drift(moments, spec.drift, stream(f"{name}.drift"))
        if spec.noise:
            found = found + spec.noise * normal_of(moments.key, noise, moments.ts)
        if factors is not None and moments.step is not None:
            found = found * factors[moments.step]
        if spec.least is not None or spec.most is not None:
            found = np.clip(found, spec.least, spec.most).astype(np.float64, copy=False)
        return found

    return finish


def _drift(moments: Moments, spec: Drift, number: int) -> Float64s:
    """Go smoothly from one random point to the next, one each period."""
    turn, into = np.divmod(moments.ts, spec.period)
    way = into / spec.period
    smooth = way * way * (3 - 2 * way)
    here, there = (uniform_of(moments.key, number, turn + ahead) for ahead in (0, 1))
    return spec.size * (2 * (here + (there - here) * smooth) - 1)
