"""When a fault is there, and whom it hits: chosen by hashing, so that how a run is cut into batches changes nothing."""

from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulators.faults.injector import Act, Draft
from simulators.faults.target import Target
from simulators.formats.wire import Encoded
from simulators.models.noise import Int64s, UInt64s, stream, uniform_of
from simulators.plan.batch import Batch
from simulators.plan.load import SECOND
from simulators.scenario.quantities import Seconds, Share

Family = Literal["values", "clocks", "payloads", "delivery", "connections"]


class Hit(NamedTuple):
    """Rows that are hit, and when the fault began in each of their devices (ns since 1970)."""

    rows: list[int]
    started: list[int]
    draft: Draft
    target: Target


class Schedule(BaseModel):
    """A fault as it is written in TOML; times are seconds of the run.

    It is there `from` … `until`, or in each device only for `length` out of every `every`; devices begin at moments of
    their own, or all `together`. `devices` is the share of them that it can hit, `rate` the share of their readings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)
    family: ClassVar[Family]
    acts: ClassVar[bool] = False
    """Whether it happens to connections."""
    gentle: ClassVar[bool] = True
    """Whether a reading may have it beside a fault of another family."""
    kind: str
    devices: Share = Field(default=1.0, gt=0, le=1)
    begin: Seconds = Field(default=0.0, alias="from", ge=0)
    until: Seconds | None = Field(default=None, gt=0)
    every: Seconds | None = Field(default=None, ge=0.01)
    length: Seconds | None = Field(default=None, gt=0)
    together: bool = False

    @property
    def share(self) -> float:
        """The share of readings that it hits while it is there."""
        return 1.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until is not None and self.until <= self.begin:
            raise ValueError(f"{self.kind}: until is not after from")
        if self.every is not None and self.length is not None and self.length >= self.every:
            raise ValueError(f"{self.kind}: length has to be below every")
        return self

    def stretched(self, factor: float) -> Self:
        """Give it with its times stretched or cut."""
        times = {name: getattr(self, name) for name in ("begin", "until", "every", "length")}
        return self.model_copy(update={name: time and time * factor for name, time in times.items()})

    def concerns(self, target: Target) -> bool:
        """Whether it is about devices like these, of a gateway and of those behind it."""
        del target
        return True

    def fit(self, target: Target) -> Self:
        """Give it as devices like these have it. Raises ValueError if they cannot."""
        del target
        return self

    def before(self, hit: Hit) -> None:
        """Change rows in place, before they are encoded."""

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Change these rows' messages in place."""

    def act(self, at: int, device: int) -> Act | None:
        """Give what happens to a device's connection when it begins at `at` (ns)."""
        del at, device
        return None

    def finish(self, due: int, started: int, began: int) -> int:
        """Give when it ends (ns) that has begun at `started` and is there at `due`."""
        ends = [started + _ns(self.length)] if self.length is not None else []
        ends += [began + _ns(self.until)] if self.until is not None else []
        return min(ends, default=due)


class OfReadings(Schedule):
    """A fault of single readings."""

    rate: Share = Field(gt=0, le=1)

    @property
    def share(self) -> float:
        """The share of readings that it hits while it is there."""
        return self.rate

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.every is None) != (self.length is None):
            raise ValueError(f"{self.kind}: every and length go together")
        return self


class Lasting(Schedule):
    """A fault that lasts: all readings of a device are hit while it is there."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.every is not None and self.length is None:
            raise ValueError(f"{self.kind}: every needs length")
        return self


class Choice:
    """Chooses what a schedule hits. `name` sets its randomness apart from that of others."""

    def __init__(self, schedule: Schedule, name: str) -> None:
        self._schedule = schedule
        self._whom, self._phase, self._which = (stream(f"faults/{name}/{use}") for use in ("whom", "phase", "which"))
        self._begin, self._every = _ns(schedule.begin), _ns(schedule.every or 0.0)
        self._length = None if schedule.length is None else _ns(schedule.length)
        self._until = None if schedule.until is None else _ns(schedule.until)

    def rows(self, keys: UInt64s, turns: Int64s, into: Int64s) -> Int64s:
        """Give the rows that are hit: reading `turns[i]` of the device with `keys[i]`, `into[i]` ns into the run."""
        schedule = self._schedule
        first, last = int(into.min()), int(into.max())
        if last < self._begin or (self._until is not None and first >= self._until):
            return np.empty(0, dtype=np.int64)
        hit = np.ones(len(into), dtype=np.bool_)
        if schedule.share < 1:
            hit &= uniform_of(keys, self._which, turns) < schedule.share
        if schedule.devices < 1:
            hit &= uniform_of(keys, self._whom, 0) < schedule.devices
        if first < self._begin:
            hit &= into >= self._begin
        if self._until is not None and last >= self._until:
            hit &= into < self._until
        if self._length is not None:
            started = self.started(keys, into)
            hit &= (started >= self._begin) & (into - started < self._length)
        return np.flatnonzero(hit)

    def started(self, keys: UInt64s, into: Int64s) -> Int64s:
        """Give for each row how far into the run (ns) it has begun; before `from` if it has not."""
        if not self._every:
            return np.full(len(into), self._begin, dtype=np.int64)
        first = self._begin + self._phases(keys)
        return np.asarray(first + (into - first) // self._every * self._every)

    def timetable(self, keys: UInt64s) -> "Timetable":
        """Give when it begins in each of these devices."""
        places = np.flatnonzero(uniform_of(keys, self._whom, 0) < self._schedule.devices)
        return Timetable(places, self._begin + self._phases(keys[places]), self._every, self._until)

    def _phases(self, keys: UInt64s) -> Int64s:
        if self._schedule.together or not self._every:
            return np.zeros(len(keys), dtype=np.int64)
        return np.asarray(uniform_of(keys, self._phase, 0) * self._every).astype(np.int64)


class Timetable(NamedTuple):
    """When something begins in devices, by their `places`: `first`, and again after each `every` (ns into the run)."""

    places: Int64s
    first: Int64s
    every: int
    until: int | None

    def starts(self, start: int, end: int) -> list[tuple[int, int]]:
        """Give when it begins from `start` until before `end`, and in which place, by time."""
        end = end if self.until is None else min(end, self.until)
        at = self.first
        if self.every:
            at = at + np.maximum(0, -((at - start) // self.every)) * self.every
        found: list[tuple[int, int]] = []
        while (hit := np.flatnonzero((at >= start) & (at < end))).size:
            found += zip(at[hit].tolist(), self.places[hit].tolist(), strict=True)
            if not self.every:
                break
            at = at + self.every
        return sorted(found)


def _ns(seconds: float) -> int:
    return round(seconds * SECOND)
