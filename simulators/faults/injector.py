"""Where faults take hold: before readings are encoded, after that, and on connections."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from contracts.readings import Value
from simulators.formats.wire import Encoded
from simulators.plan.batch import Batch, Expect
from simulators.plan.devices import Device


@dataclass(slots=True)
class Draft:
    """Readings of one part of a fleet on their way to the wire, in columns of equal length.

    Row `i` is reading number `turns[i]` of `devices[i]`, made at `due[i]` (ns, true time). `ts[i]` is what the device's
    clock says then, None if it was never set. `columns` are what goes over the wire. `faults` and `expects` say what is
    wrong with a row on purpose, and what is to become of it. `began` is when the run did (ns).
    """

    devices: list[Device]
    turns: list[int]
    due: list[int]
    ts: list[int | None]
    columns: dict[str, list[Value | None]]
    faults: list[str]
    expects: list[Expect]
    arrival: set[int] = field(default_factory=set)
    """Rows that are stored when they arrive, since their own time cannot be true."""

    bad: set[tuple[int, str]] = field(default_factory=set)
    """Row and metric of values that go over the wire and must not be stored."""

    void: set[int] = field(default_factory=set)
    """Rows that go over the wire and of which nothing must be stored."""

    picks: "list[tuple[Fault, list[int]]]" = field(default_factory=list)
    """What was chosen before the rows were encoded and has to be done to their messages."""

    publishers: dict[int, int] = field(default_factory=dict)
    """Rows that another device than theirs publishes, with its number."""

    held: dict[int, int] = field(default_factory=dict)
    """Rows that are held back, until when (ns)."""

    began: int = 0


class Fault(Protocol):
    """What does something to the messages of chosen rows."""

    def after(self, rows: list[int], draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Change the messages of these rows in place, delay them by a later `intended`, or add some at the end."""


class Act(NamedTuple):
    """Something that happens to the connection of a device at `at` (ns since 1970), for `seconds`.

    `kind` is one of `drop` (the connection is reset and made again), `silent` (half-open: nothing is read or written,
    and nobody is told), `slow` (written at `amount` bytes/s), `away` (disconnected, and back afterwards), `flap` (says
    offline and online by turns) or `wrong_credentials` (logs in with a wrong password until it is over).
    """

    at: int
    device: int
    kind: str
    seconds: float = 0.0
    amount: float = 0.0


class Injector(Protocol):
    """All faults of one part of a fleet. The same seed and rows give the same faults."""

    def before(self, draft: Draft) -> None:
        """Change readings in place, before they are encoded."""

    def after(self, draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Do to the messages what was chosen for their rows."""

    def acts(self, began: int, start: int, end: int) -> list[Act]:
        """Give what happens to connections from `start` until before `end` (ns) of the run that `began`, by time."""
