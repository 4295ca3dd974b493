"""What a model of devices promises."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.readings import Value

Int64s = NDArray[np.int64]
Type = Literal["number", "boolean", "text"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of a model; `unit` is empty where it has none."""

    type: Type
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens to a device, such as an overheating: the ground truth for whoever checks alerts.

    `device` is its number; `metric` leaves normal after `start` and is normal again at `end` (ns since 1970 UTC).
    `peak` is its most extreme value in between.
    """

    name: str
    device: int
    metric: str
    start: int
    end: int
    peak: float


class Model(Protocol):
    """A kind of device. The same arguments give the same values, whatever was asked before."""

    name: str
    prefix: str
    """How the ids of its devices begin."""

    metrics: Mapping[str, Metric]

    event_names: Collection[str]
    """What can happen to its devices."""

    children: "Children | None"
    """The devices behind each one of them, where it is a gateway."""

    def values(self, seed: int, devices: Int64s, ts: Int64s) -> dict[str, list[Value]]:
        """Give what device number `devices[i]` measures at `ts[i]` (ns): for each metric a list of as many values."""

    def events(self, seed: int, devices: Int64s, start: int, end: int) -> list[Event]:
        """Give every event of these devices that lies wholly in `start`..`end` (ns), by start."""


@dataclass(frozen=True, slots=True)
class Children:
    """What is behind a gateway: so many devices of another model, which is no gateway itself."""

    model: Model
    count: int
