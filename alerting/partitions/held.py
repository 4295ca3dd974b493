"""One partition that this replica evaluates."""

from collections.abc import Mapping

from nats.aio.msg import Msg

from alerting.evaluation.shard import Shard
from alerting.evaluation.writes import Position
from contracts.heard import Mark
from contracts.partitions import Delivery
from contracts.streams import TELEMETRY

Taken = tuple[Delivery, Msg]
"""A message that was taken, and what it came with."""


class Held:
    """A partition in memory, as loaded under the name `owner` in `epoch` of its lease.

    `positions` has, by stream, the last message that memory knows of; `taken` the last that came and is not
    acknowledged; `unsettled` counts these. `mark` is how far devices have been heard. `over`: memory is void, and
    nothing more counts.
    """

    __slots__ = (
        "epoch",
        "mark",
        "moved",
        "over",
        "owner",
        "partition",
        "positions",
        "shard",
        "taken",
        "unsettled",
    )

    def __init__(self, partition: int, epoch: int, owner: str, shard: Shard, positions: Mapping[str, Position]) -> None:
        self.partition, self.epoch, self.owner, self.shard = partition, epoch, owner, shard
        self.positions = dict(positions)
        self.moved: set[str] = set()
        self.taken: dict[str, Taken] = {}
        self.unsettled = 0
        self.mark = Mark()
        self.over = False

    def follows(self, stream: str, created: str) -> bool:
        """Learn which `stream` of that name is being read; one that was made anew is read from its beginning.

        Returns whether it is another one than before.
        """
        was = self.positions.get(stream, Position("", 0))
        if was.created == created:
            return False
        self.positions[stream] = Position(created, 0)
        if stream == TELEMETRY.name:
            self.mark = Mark()
        return was.created != ""

    def has_seen(self, stream: str, sequence: int) -> bool:
        """Whether the stream's message with `sequence` is part of what memory holds."""
        at = self.positions.get(stream)
        return at is not None and sequence <= at.sequence

    def move(self, stream: str, sequence: int) -> None:
        """Note that memory holds what the message with `sequence` came to."""
        self.positions[stream] = Position(self.positions[stream].created, sequence)
        self.moved.add(stream)
        if stream == TELEMETRY.name:
            self.mark.reach(sequence)

    def take(self, stream: str, delivery: Delivery, message: Msg) -> None:
        """Note that a message may be acknowledged once all that memory holds is on disk."""
        self.taken[stream] = delivery, message
        self.unsettled += 1
