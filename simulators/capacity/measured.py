"""What a step of a search measured, and whether the rate held. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt
from statistics import fmean

from simulators.scenario.report import Usage

LATE_S = 0.25
"""How late the generator may be at the end: beyond that it is itself what is measured."""

_GROWS = 0.01
"""Share of the rate by which a backlog has to grow before it counts."""
_SURE = 3
"""Standard errors by which it has to, too: a store that commits now and then has a backlog that goes up and down."""
_FEWEST = 5


@dataclass(frozen=True)
class Measured:
    """One step: `rate` messages a second for `seconds`.

    `published` were acknowledged by the broker. `expected` points were to be stored of them, and `stored` are.
    `latencies` are from when messages were due until they could be queried, in seconds, by the names of percentiles;
    `given_up` were not there in time. `backlog` has points that were acknowledged and not stored yet, by the second.
    """

    rate: float
    bound: float
    seconds: float
    published: int
    expected: int
    stored: int
    latencies: dict[str, float]
    followed: int
    given_up: int
    backlog: list[tuple[float, float]]
    late_s: float
    drained_s: float
    usage: list[Usage] = field(default_factory=list)
    store_bytes: int | None = None
    more_troubles: list[str] = field(default_factory=list)

    @cached_property
    def troubles(self) -> list[str]:
        """Say why the rate does not hold; empty if it does."""
        found = list(self.more_troubles)
        if self.stored < self.expected:
            found.append(f"{self.expected - self.stored:,} of {self.expected:,} points lost")
        if not self.latencies:
            found.append("no latency could be measured")
        elif self.latencies["p99"] > self.bound:
            found.append(f"p99 {self.latencies['p99']:.2f} s, above {self.bound:g} s")
        if self.given_up:
            found.append(f"{self.given_up} messages could not be queried in time")
        grows = growth(self.backlog)
        if grows > _GROWS * self.rate * self.points_a_message:
            found.append(f"the backlog grows by {grows:,.0f} points/s")
        if self.late_s > LATE_S:
            found.append(f"the generator was {self.late_s:.1f} s late")
        return found

    @property
    def points_a_message(self) -> float:
        """How many points a message has."""
        return self.expected / self.published if self.published else 0.0

    @property
    def messages_a_second(self) -> float:
        """Messages stored a second, over the time in which they were sent."""
        return self.stored / self.points_a_message / self.seconds if self.stored else 0.0

    def cost(self, usage: Usage) -> float:
        """CPU time that a process took for a message, in µs."""
        return usage.cpu_s / self.published * 1e6 if self.published else 0.0


def growth(backlog: Sequence[tuple[float, float]]) -> float:
    """Give by how much a backlog grows a second: the slope of a straight line through it; 0 if that is not certain.

    Its first third is left out: until everything is under way, a backlog has to grow.
    """
    rows = backlog[len(backlog) // 3 :]
    if len(rows) < _FEWEST:
        return 0.0
    at, height = fmean(row[0] for row in rows), fmean(row[1] for row in rows)
    spread = sum((t - at) ** 2 for t, _ in rows)
    if not spread:
        return 0.0
    slope = sum((t - at) * (h - height) for t, h in rows) / spread
    rest = sum((h - height - slope * (t - at)) ** 2 for t, h in rows)
    error = sqrt(rest / (len(rows) - 2) / spread)
    return slope if slope > _SURE * error else 0.0
