"""Faults of delivery: messages that come twice, late, in bursts, on another's topic, or with odd flags."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from simulators.faults import dialects
from simulators.faults.injector import Act, Draft
from simulators.faults.messages import messages
from simulators.faults.payloads import void
from simulators.faults.schedule import Family, Hit, Lasting, OfReadings
from simulators.faults.target import Target
from simulators.formats.wire import Encoded
from simulators.plan.batch import ARRIVAL, DUP, RETAIN, Batch, Block, Expect
from simulators.plan.load import SECOND
from simulators.scenario.quantities import Seconds

_MS = 1_000_000
_US = 1_000


class Duplicate(OfReadings):
    """A message comes `times` more, each `gap` seconds later. Its points stay the same, unless they have no time."""

    family: ClassVar[Family] = "delivery"
    gentle: ClassVar[bool] = False
    kind: Literal["duplicate"]
    times: int = Field(default=1, ge=1, le=100)
    gap: Seconds = Field(default=0.0, ge=0, le=3600)

    def fit(self, target: Target) -> Self:
        """Take any but those of a format whose repetitions ingest forgets some time."""
        dialects.check(self.kind, target)
        return self

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Add the copies."""
        copies = []
        for _, place, _ in messages(rows, draft, encoded):
            for time in range(1, self.times + 1):
                copies.append((len(batch), place))
                columns: list[list[Any]] = [batch.devices, batch.topics, batch.payloads, batch.flags]
                for column in [*columns, batch.faults, batch.expects]:
                    column.append(column[place])
                batch.intended.append(batch.intended[place] + round(time * self.gap * SECOND))
        _stored_again(batch, copies)


class OutOfOrder(OfReadings):
    """A message comes `delay` seconds late, after those that follow it."""

    family: ClassVar[Family] = "delivery"
    kind: Literal["out_of_order"]
    delay: Seconds = Field(default=5.0, gt=0, le=86_400)

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Delay them."""
        for _, place, _ in messages(rows, draft, encoded):
            batch.intended[place] += round(self.delay * SECOND)


class Offline(Lasting):
    """A device is away for `length`, and then sends all that it has measured, at once."""

    family: ClassVar[Family] = "delivery"
    acts: ClassVar[bool] = True
    kind: Literal["offline"]

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.length is None:
            raise ValueError("offline: it needs length")
        return self

    def before(self, hit: Hit) -> None:
        """Note when it is over."""
        for row, started in zip(hit.rows, hit.started, strict=True):
            hit.draft.held[row] = self.finish(hit.draft.due[row], started, hit.draft.began)

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Delay them until then."""
        for row, place, _ in messages(rows, draft, encoded):
            batch.intended[place] = draft.held[row]

    def act(self, at: int, device: int) -> Act:
        """Take its connection away."""
        return Act(at, device, "away", self.length or 0.0)


class Foreign(OfReadings):
    """A device publishes a reading as if it were another one. `checked`: the broker does not let that pass."""

    family: ClassVar[Family] = "delivery"
    gentle: ClassVar[bool] = False
    kind: Literal["foreign"]
    checked: bool = True

    def concerns(self, target: Target) -> bool:
        """Whether it can be: a gateway may speak for those behind it."""
        return not self.checked or target.devices[0].via == target.devices[0].number

    def fit(self, target: Target) -> Self:
        """Raise ValueError where there is nobody else, or the truth about it would not be certain."""
        dialects.sessionless(self.kind, target)
        if self.checked and not target.own:
            raise ValueError("foreign: to be refused, every device has to have a connection of its own")
        if len(target.devices) < 2:  # noqa: PLR2004 - another one
            raise ValueError("foreign: it needs two devices")
        if not self.checked and target.stored.resolution > _US:
            raise ValueError(
                f"foreign: times of format {target.format.name} are too coarse to tell its readings from the other's"
            )
        return self

    def before(self, hit: Hit) -> None:
        """Let it be the other's reading."""
        draft, devices = hit.draft, hit.target.devices
        if self.checked:
            void(hit, Expect.REFUSED)
        for row in hit.rows:
            own = draft.devices[row]
            draft.publishers[row] = own.number
            place = (own.number + draft.turns[row]) % len(devices)
            other = devices[place]
            draft.devices[row] = other if other is not own else devices[place - 1]

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Have it published over its own connection."""
        for row, place, _ in messages(rows, draft, encoded):
            batch.devices[place] = draft.publishers[row]


class Retained(OfReadings):
    """A message is published to be retained: stored as any other, and not again when ingest connects anew."""

    family: ClassVar[Family] = "delivery"
    gentle: ClassVar[bool] = False
    kind: Literal["retained"]

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Set the flag."""
        _flag(rows, draft, encoded, batch, RETAIN)


class Dup(OfReadings):
    """A message says of itself that it is sent again, and is not: stored as any other."""

    family: ClassVar[Family] = "delivery"
    kind: Literal["dup"]

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Set the flag."""
        _flag(rows, draft, encoded, batch, DUP)


def _flag(rows: list[int], draft: Draft, encoded: Encoded, batch: Batch, bit: int) -> None:
    for _, place, _ in messages(rows, draft, encoded):
        batch.flags[place] |= bit


def _stored_again(batch: Batch, copies: list[tuple[int, int]]) -> None:
    """Add the points of copies (place of the copy, of the original) that have no time of their own."""
    for block in list(batch.blocks):
        at = {message: n for n, message in enumerate(block.messages)}
        again = [(copy, at[place]) for copy, place in copies if place in at and block.ts[at[place]] == ARRIVAL]
        if again:
            batch.blocks.append(
                Block(
                    [copy for copy, _ in again],
                    [block.devices[n] for _, n in again],
                    [ARRIVAL] * len(again),
                    {name: [column[n] for _, n in again] for name, column in block.columns.items()},
                )
            )
