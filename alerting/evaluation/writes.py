"""What a partition's evaluation hands over to be written in one transaction."""

from collections.abc import Mapping

import msgspec

from alerting.life.alert import Change


class Position(msgspec.Struct, frozen=True):
    """Message up to which a stream has been evaluated; `created` is the stream's, empty where none was seen yet."""

    created: str
    sequence: int


class RuleError(msgspec.Struct, frozen=True):
    """A rule's failure, last seen at `device` and `at` (ns, by the clock); `count` times since the last write."""

    rule_id: str
    version: int
    device: str
    message: str
    at: int
    count: int


class Writes(msgspec.Struct, frozen=True):
    """All of it is written, or nothing.

    `changes` in their order. `devices` are rows of device_state, by device; of the devices in `forgotten` the row is
    deleted. `positions`, by stream, are given only with everything that messages up to there came to.
    """

    changes: list[Change] = []
    devices: dict[str, bytes] = {}
    forgotten: list[str] = []
    errors: list[RuleError] = []
    positions: Mapping[str, Position] = {}
