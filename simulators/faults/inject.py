"""All faults of the devices of one part, chosen and done."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter

from simulators.faults import clocks, connections, delivery, payloads, values
from simulators.faults.injector import Act, Draft
from simulators.faults.messages import label
from simulators.faults.schedule import Choice, Family, Hit, Schedule
from simulators.faults.target import Target
from simulators.formats.wire import Encoded
from simulators.models.noise import keys
from simulators.plan.batch import Batch

Fault = Annotated[
    values.Stuck
    | values.Spike
    | values.Drift
    | values.NotANumber
    | values.WrongType
    | clocks.ClockSkew
    | clocks.ClockUnset
    | clocks.ClockJump
    | payloads.Malformed
    | payloads.Oversize
    | delivery.Duplicate
    | delivery.OutOfOrder
    | delivery.Offline
    | delivery.Foreign
    | delivery.Retained
    | delivery.Dup
    | connections.ReconnectStorm
    | connections.HalfOpen
    | connections.Slow
    | connections.Flap
    | connections.WrongCredentials,
    Field(discriminator="kind"),
]
"""Any fault, as it is written in TOML."""

FAULTS: TypeAdapter[list[Fault]] = TypeAdapter(list[Fault])
"""Reads the faults of a part. Raises pydantic's ValidationError, which says where and why."""

_FAMILIES: tuple[Family, ...] = ("values", "clocks", "payloads", "delivery")


class Faults:
    """An Injector. A reading has at most one fault of each family, the one that is listed first.

    What would not be certain of a reading with two faults happens only to one that has no other: see
    `Schedule.gentle`. Raises ValueError for a fault that devices like these cannot have.
    """

    def __init__(self, faults: Sequence[Fault], target: Target) -> None:
        self._target = target
        fitted: list[Schedule] = [fault.fit(target) for fault in faults]
        self.limits = {
            fault.metric: fault.amount / 2 for fault in fitted if isinstance(fault, values.Spike) and fault.profile
        }
        """What the devices' profile has to allow at most of a metric (or at least, where it is negative)."""

        self.untyped = {fault.metric for fault in fitted if isinstance(fault, values.WrongType) and not fault.profile}
        """Metrics of which their profile must say nothing."""

        named = [(fault, Choice(fault, f"{n}/{fault.kind}")) for n, fault in enumerate(fitted)]
        self._chosen = [pair for family in _FAMILIES for pair in named if pair[0].family == family]
        of_devices = keys(target.seed, np.array([device.number for device in target.devices], dtype=np.int64))
        self._acting = [
            (fault, choice.timetable(of_devices))
            for fault, choice in named
            if fault.acts and (target.own or fault.family == "connections")
        ]

    def before(self, draft: Draft) -> None:
        """Choose rows, and change them."""
        if not self._chosen:
            return
        numbers = np.array([device.number for device in draft.devices], dtype=np.int64)
        of_devices = keys(self._target.seed, numbers)
        turns = np.array(draft.turns, dtype=np.int64)
        into = np.array(draft.due, dtype=np.int64) - draft.began
        family, taken = "", set[int]()
        for fault, choice in self._chosen:
            if fault.family != family:
                family, taken = fault.family, set()
            hit = choice.rows(of_devices, turns, into)
            if not hit.size:
                continue
            started = (choice.started(of_devices[hit], into[hit]) + draft.began).tolist()
            pairs = [pair for pair in zip(hit.tolist(), started, strict=True) if _free(pair[0], fault, draft, taken)]
            if pairs:
                rows = [row for row, _ in pairs]
                taken.update(rows)
                fault.before(Hit(rows, [at for _, at in pairs], draft, self._target))
                label(draft, rows, fault.kind)
                draft.picks.append((fault, rows))

    def after(self, draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Do to the messages what was chosen for their rows."""
        for fault, rows in draft.picks:
            fault.after(rows, draft, encoded, batch)

    def acts(self, began: int, start: int, end: int) -> list[Act]:
        """Give what happens to connections from `start` until before `end` (ns) of the run that `began`, by time."""
        found = []
        for fault, timetable in self._acting:
            for at, place in timetable.starts(start - began, end - began):
                act = fault.act(began + at, self._target.devices[place].number)
                if act is not None:
                    found.append(act)
        return sorted(found)


def _free(row: int, fault: Schedule, draft: Draft, taken: set[int]) -> bool:
    """Whether a row may have a fault beside those that it has."""
    return row not in taken and (fault.gentle or not draft.faults[row])
