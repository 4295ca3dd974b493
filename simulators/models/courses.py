"""A curve without what comes and goes: its values and, in closed form, its integral."""

from collections.abc import Sequence

import numpy as np

from simulators.models.moments import HOUR, INSTALLED, WEEK_HOURS, Clock, Moments, clock
from simulators.models.noise import Float64s, stream, uniform_of
from simulators.models.spec import Curve


class Pattern:
    """A factor for each hour of the week; between two hours it goes in a straight line."""

    def __init__(self, factors: Sequence[float]) -> None:
        self._factors: Float64s = np.array(factors)
        self._slopes = np.roll(self._factors, -1) - self._factors
        sums = np.concatenate([[0.0], np.cumsum(self._factors + self._slopes / 2)])
        self._sums, self._week = sums[:-1], float(sums[-1])
        self._began = float(self._since_monday(clock(np.array([INSTALLED])))[0])

    def at(self, now: Clock) -> Float64s:
        """Give the factor."""
        return np.asarray(self._factors[now.hour] + now.into * self._slopes[now.hour])

    def hours(self, now: Clock) -> Float64s:
        """Give its integral since INSTALLED, in hours. It never falls where no factor is below 0."""
        return self._since_monday(now) - self._began

    def _since_monday(self, now: Clock) -> Float64s:
        hour = now.hour
        within = now.into * (self._factors[hour] + now.into * (self._slopes[hour] / 2))
        return np.asarray(now.weeks * self._week + self._sums[hour] + within)


def pattern(day: Sequence[float] | None, week: Sequence[float] | None) -> Pattern:
    """Make a week of the factors of its days and of the hours of each day."""
    hours, days = day or [1.0] * 24, week or [1.0] * 7
    return Pattern([days[n // 24] * hours[n % 24] for n in range(WEEK_HOURS)])


class Course:
    """`base`, which is each device's own, times the factors of hour and day, times the jitter."""

    def __init__(self, name: str, spec: Curve) -> None:
        self._base, self._spec = f"{name}.base", spec
        self._jitter, self._shift = stream(f"{name}.jitter"), stream(f"{name}.shift")
        self._pattern = pattern(spec.day, spec.week) if spec.day or spec.week or spec.jitter else None
        self._even = pattern(None, None)

    def clock(self, moments: Moments) -> Clock:
        """Read the clock by which the devices live."""
        if not self._spec.shift:
            return moments.clock
        late = uniform_of(moments.key, self._shift, 0) * self._spec.shift
        return clock(moments.ts - late.astype(np.int64))

    def at(self, moments: Moments) -> Float64s:
        """Give the values."""
        base = moments.own(self._base, self._spec.base)
        if self._pattern is None:
            return np.full(len(moments.ts), base)
        now = self.clock(moments)
        found = base * self._pattern.at(now)
        if self._spec.jitter:
            found = found * self._jittered(moments, self._pattern.hours(now))[0]
        return found

    def total(self, moments: Moments) -> Float64s:
        """Give the integral since INSTALLED, in value · hours; it never falls."""
        hours = (self._pattern or self._even).hours(self.clock(moments))
        if self._spec.jitter:
            hours = self._jittered(moments, hours)[1]
        return moments.own(self._base, self._spec.base) * hours

    def _jittered(self, moments: Moments, hours: Float64s) -> tuple[Float64s, Float64s]:
        """Give the factor and its integral.

        The integral goes in straight lines through points that lie in order: the n-th somewhere in the n-th step. So
        it needs no history, and its slope is the factor.
        """
        if self._spec.jitter is None:
            return np.ones(len(hours)), hours
        size, width = self._spec.jitter.size, self._spec.jitter.every / HOUR
        steps = hours / width
        number = np.floor(steps)
        step = number.astype(np.int64)
        here, there = (uniform_of(moments.key, self._jitter, step + ahead) for ahead in (0, 1))
        factor = 1 + size * (there - here)
        return factor, width * (number + size * here + (steps - number) * factor)
