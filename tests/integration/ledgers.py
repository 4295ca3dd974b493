"""What a ledger holds, as tests want to know it: of messages that carry readings, or are wrong on purpose."""

from dataclasses import dataclass, field
from pathlib import Path

from simulators.truth.reading import Acked, Entered, Sent, read


@dataclass
class Held:
    """Numbers of messages, and the checksum of each payload that was sent."""

    entered: set[int] = field(default_factory=set)
    sent: set[int] = field(default_factory=set)
    acked: set[int] = field(default_factory=set)
    faulty: set[int] = field(default_factory=set)
    sums: dict[int, int] = field(default_factory=dict)


def held(path: Path) -> Held:
    """Read a ledger of one run."""
    found = Held()
    for entry in read(path):
        if isinstance(entry, Entered):
            with_points = {entry.first + int(place) for points in entry.points for place in points.messages}
            faulty = {entry.first + place for place, fault in enumerate(entry.faults) if fault}
            found.entered |= with_points | faulty
            found.faulty |= faulty
            found.sums |= {entry.first + place: int(total) for place, total in enumerate(entry.sums)}
        elif isinstance(entry, Acked):
            found.acked |= set(entry.numbers.tolist())
        elif isinstance(entry, Sent):
            found.sent |= set(entry.numbers.tolist())
    found.sent &= found.entered
    found.acked &= found.entered
    return found
