"""What became of what was sent."""

from collections import Counter
from dataclasses import dataclass, field

MAX_EXAMPLES = 10
"""Examples kept of each kind of mistake."""


@dataclass
class PointCounts:
    """Points that had to be stored, one for each device, metric and time: `sent` is the sum of the others."""

    sent: int = 0
    stored: int = 0
    lost: int = 0
    wrong: int = 0
    misrouted: int = 0


@dataclass
class FaultCounts:
    """Acknowledged messages that had a fault on purpose, and what became of them."""

    published: int = 0
    stored: int = 0
    dead_lettered: int = 0
    refused: int = 0
    lost: int = 0
    let_through: int = 0


@dataclass
class Verdict:
    """What became of messages, and of their points.

    Each message that the broker acknowledged is one of: `stored`, all of it, exactly; `dead_lettered`, by its payload;
    `refused`, as it had to be, so that nothing is there of it; `let_through`, though it had to be rejected or refused;
    `lost`: none of these. `published` is the sum. What devices say when they come or go is not counted.

    `duplicates` counts points that are there more often than they were sent, `wrong` those with another value than was
    sent, `misrouted` those that are there under another device or metric instead. `accepted` counts what should not
    have been: points that nobody sent, messages that had to be rejected and have no dead letter, or of which a point
    is there. `rejected` counts messages that were fine and have a dead letter. `unacked` messages may be there or not.

    `puback_ms` says how long the broker took to acknowledge: percentiles from when messages were due, and from when
    they were sent. `reasons` counts dead letters of this ledger's messages by their reason; `foreign_letters` are those
    of others.
    `letters_checked` is False where dead letters could not be asked for: who had to be rejected is taken for
    dead-lettered then. `notes` are for people.
    """

    published: int = 0
    stored: int = 0
    dead_lettered: int = 0
    refused: int = 0
    let_through: int = 0
    lost: int = 0
    duplicates: int = 0
    wrong: int = 0
    misrouted: int = 0
    accepted: int = 0
    rejected: int = 0
    unacked: int = 0
    points: PointCounts = field(default_factory=PointCounts)
    accepted_why: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    faults: dict[str, FaultCounts] = field(default_factory=dict)
    puback_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    foreign_letters: int = 0
    letters_checked: bool = True
    examples: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no mistake of any kind."""
        return not (self.lost or self.duplicates or self.wrong or self.misrouted or self.accepted or self.rejected)
