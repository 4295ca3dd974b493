"""Faults of values: a sensor that sticks, spikes or drifts, and values that are none or of the wrong type."""

from collections.abc import Sequence
from math import inf, nan
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from simulators.faults import dialects
from simulators.faults.injector import Draft
from simulators.faults.messages import messages, token
from simulators.faults.payloads import void
from simulators.faults.schedule import Family, Hit, Lasting, OfReadings, Schedule
from simulators.faults.target import Target
from simulators.formats.wire import Encoded
from simulators.plan.batch import Batch, Expect

_HOUR = 3_600_000_000_000
_DECIMALS = 4


class _OfNumbers(Schedule):
    """`metric`: which one; none: the first number of the model."""

    family: ClassVar[Family] = "values"
    metric: str = ""

    def concerns(self, target: Target) -> bool:
        """Whether devices like these measure it."""
        numbers = [name for name, metric in target.model.metrics.items() if metric.type == "number"]
        return self.metric in numbers if self.metric else bool(numbers)

    def fit(self, target: Target) -> Self:
        """Choose the metric. Raises ValueError for one that the devices do not send."""
        return self.model_copy(update={"metric": target.metric(self.metric, self.kind)})


class Stuck(_OfNumbers, Lasting):
    """A sensor says what it said when this began. `metric`: which one; none: all that are numbers."""

    kind: Literal["stuck"]

    def fit(self, target: Target) -> Self:
        """Raise ValueError for a metric that the devices do not send."""
        target.metric(self.metric, self.kind)
        return self

    def before(self, hit: Hit) -> None:
        """Put the first value in place of the others."""
        draft, target = hit.draft, hit.target
        numbers = np.array([draft.devices[row].number for row in hit.rows], dtype=np.int64)
        frozen = target.model.values(target.seed, numbers, np.array(hit.started, dtype=np.int64))
        for name, metric in target.model.metrics.items():
            if name == self.metric or (not self.metric and metric.type == "number"):
                column = draft.columns[name]
                for row, value in zip(hit.rows, frozen[name], strict=True):
                    column[row] = value


class Spike(_OfNumbers, OfReadings):
    """A number is off by `amount`. `profile`: the devices' profile does not allow such numbers; ingest rejects it."""

    kind: Literal["spike"]
    amount: float = Field(default=1000.0, allow_inf_nan=False)
    profile: bool = False

    def fit(self, target: Target) -> Self:
        """Choose the metric. Raises ValueError for one that the devices do not send, or a format that cannot say it."""
        dialects.check(f"{self.kind} {'rejected' if self.profile else 'stored'}", target)
        return super().fit(target)

    def before(self, hit: Hit) -> None:
        """Add the amount."""
        column = hit.draft.columns[self.metric]
        for row in hit.rows:
            value = column[row]
            if isinstance(value, float):
                column[row] = round(value + self.amount, _DECIMALS)
                if self.profile:
                    hit.draft.bad.add((row, self.metric))

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Expect a dead letter where the profile has it rejected."""
        if self.profile:
            spoilt(rows, draft, encoded, batch)


class Drift(_OfNumbers, Lasting):
    """A number is off by ever more: `amount` an hour."""

    kind: Literal["drift"]
    amount: float = Field(allow_inf_nan=False)

    def before(self, hit: Hit) -> None:
        """Add what has come together since it began."""
        column = hit.draft.columns[self.metric]
        for row, started in zip(hit.rows, hit.started, strict=True):
            value = column[row]
            if isinstance(value, float):
                column[row] = round(value + self.amount * (hit.draft.due[row] - started) / _HOUR, _DECIMALS)


class NotANumber(_OfNumbers, OfReadings):
    """A number is NaN or infinite, as the format writes that: it alone is rejected, and its neighbours are stored."""

    kind: Literal["nan"]
    values: list[Literal["nan", "inf", "-inf"]] = Field(default=["nan", "inf", "-inf"], min_length=1)

    def fit(self, target: Target) -> Self:
        """Choose metric and values. Raises ValueError where the devices do not send, or the format cannot say them."""
        values = dialects.possible(self.kind, self.values, target)
        return super().fit(target).model_copy(update={"values": values})

    def before(self, hit: Hit) -> None:
        """Put it in place of the number."""
        said = {"nan": nan, "inf": inf, "-inf": -inf}
        for row in hit.rows:
            turn = hit.draft.turns[row] + hit.draft.devices[row].number
            hit.draft.columns[self.metric][row] = said[self.values[turn % len(self.values)]]
            hit.draft.bad.add((row, self.metric))
        if dialects.dialect(hit.target).whole:
            void(hit)

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Expect a dead letter."""
        spoilt(rows, draft, encoded, batch)


class WrongType(_OfNumbers, OfReadings):
    """A number is text. `profile`: the devices' profile says number, and ingest rejects it; else text is stored."""

    kind: Literal["wrong_type"]
    profile: bool = True

    def fit(self, target: Target) -> Self:
        """Choose the metric. Raises ValueError for one that the devices do not send, or a format that cannot say it."""
        dialects.check(f"{self.kind} {'rejected' if self.profile else 'stored'}", target)
        return super().fit(target)

    def before(self, hit: Hit) -> None:
        """Put text in place of the number."""
        for row in hit.rows:
            hit.draft.columns[self.metric][row] = "E-" + token(hit.draft, row, row, self.kind).decode()
            if self.profile:
                hit.draft.bad.add((row, self.metric))

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Expect a dead letter where the profile has it rejected."""
        if self.profile:
            spoilt(rows, draft, encoded, batch)


def spoilt(rows: Sequence[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
    """Expect of each message of these rows what its bad values make of it."""
    for row, place, metrics in messages(rows, draft, encoded):
        if batch.expects[place] is Expect.STORED and any((row, metric) in draft.bad for metric in metrics):
            rest = any(draft.columns[metric][row] is not None for metric in metrics)
            batch.expects[place] = Expect.PARTLY if rest else Expect.REJECTED
