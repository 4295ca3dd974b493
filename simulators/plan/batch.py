"""Messages with the truth about them, in columns: what the plan makes, the sender sends and the ledger keeps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from contracts.readings import Value

ARRIVAL = -1
"""Stands for the time of a point that is stored when it arrives."""


class Expect(IntEnum):
    """What is to become of a message that the broker acknowledges."""

    STORED = 0
    """Every point of it is stored."""
    REJECTED = 1
    """There is a dead letter with its payload, and none of its points."""
    PARTLY = 2
    """Every point of it that is recorded is stored, and there is a dead letter for the rest."""
    REFUSED = 3
    """The broker does not let it pass: there is nothing of it."""


RETAIN, DUP = 0x01, 0x08
"""Bits of a PUBLISH packet's first byte."""


@dataclass(slots=True)
class Block:
    """Points: row `i` belongs to the batch's message `messages[i]` and has the time `ts[i]`, or ARRIVAL.

    `devices[i]` is the number of the device under which it is to be stored. `columns` maps the name under which a
    metric is stored to its values; None: this row has none. Names that only some rows have get blocks of their own.
    """

    messages: Sequence[int]
    devices: Sequence[int]
    ts: Sequence[int]
    columns: dict[str, Sequence[Value | None]]


@dataclass(slots=True)
class Batch:
    """Messages number `first`, `first` + 1, … of a run, by the time when they are due.

    `devices` holds the number of the device that publishes each, `flags` RETAIN or DUP, `intended` the moment
    when it is due (ns since 1970), `faults` the name of what is wrong with it on purpose, or nothing.
    """

    first: int
    devices: list[int]
    topics: list[bytes]
    payloads: list[bytes]
    flags: list[int]
    intended: list[int]
    faults: list[str]
    expects: list[Expect]
    blocks: list[Block] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.topics)
