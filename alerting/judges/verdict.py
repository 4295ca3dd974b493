"""What a judge says, and what judges have in common."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from contracts.derived import Window
from contracts.devices import DeviceRecord
from contracts.readings import Value

Seen = tuple[int, Value]
"""A value and its event time in ns."""


class Verdict(NamedTuple):
    """What values say of a rule's levels, of which the first has number 1.

    `level` is the highest that is breached, 0 for none. `holds` is the highest that values do not clear: an alert that
    fires at this level, or below, goes on. `holds` >= `level`; between the two lies the hysteresis. `number` is what
    was compared to the levels' numbers where that is not the value itself, such as a rate.
    """

    level: int
    holds: int
    number: float | None = None


GOOD = Verdict(0, 0)


class Device(NamedTuple):
    """Whose values are judged; `record` is all that is asked of it, None where it is not registered."""

    id: str
    record: DeviceRecord | None


class FailedError(Exception):
    """A rule cannot be judged with these values; the message, for the rule's author, says why."""


class Judge(Protocol):
    """Judges the values of one device at a time.

    `metrics` are all that it looks at. `memory` is the type of what it keeps of a device between two values, or None;
    whoever calls keeps that, and has it on disk with the alert.
    """

    metrics: frozenset[str]
    memory: type[msgspec.Struct] | None

    def judge(self, at: int, value: Value, last: Mapping[str, Seen], memory: Any, device: Device) -> Verdict | None:  # noqa: ANN401 - of the type `memory`
        """Judge a reading of `device` and event time `at` that has one of `metrics`, or several.

        `value` is that of the metric, where the rule looks at one; `last` has the newest value of each metric, this
        reading's included. `memory`, if the judge has a type of it, may be changed. Times do not go backward for one
        metric. None: this says nothing, for instance because it is no number. Raises FailedError.
        """


class WindowJudge(Protocol):
    """Judges the closed windows of one metric and device; `tier` is "1m", "1h" or "1d". Otherwise as Judge."""

    metrics: frozenset[str]
    tier: str
    memory: type[msgspec.Struct] | None

    def judge_window(self, window: Window, memory: Any) -> Verdict | None:  # noqa: ANN401 - as above
        """Judge the window that follows in time on all before it. None: this says nothing. Raises FailedError."""
