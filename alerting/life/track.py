"""What is known of one rule at one subject between two readings."""

from typing import Any

import msgspec

from alerting.life.alert import Alert, Subject

NEVER = -1


class Track:
    """One rule at one subject.

    `at` is the event time of the last verdict. For each level of the rule, from the first: `since` is when values began
    to breach it, and `low` when they ceased to hold it while the alert stood there or above; NEVER where they have not.
    `ends` are the times of the last resolutions, the newest last, as far as flapping asks for them. `memory` is the
    judge's. `alert` is the open one.
    """

    __slots__ = ("alert", "at", "ends", "low", "memory", "rule_id", "since", "subject")

    def __init__(self, rule_id: str, subject: Subject, levels: int, memory: msgspec.Struct | None = None) -> None:
        self.rule_id, self.subject, self.memory = rule_id, subject, memory
        self.at = NEVER
        self.since, self.low = [NEVER] * levels, [NEVER] * levels
        self.ends: list[int] = []
        self.alert: Alert | None = None


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """What of a track is on disk beside its alert; `memory` is the judge's, as MessagePack, empty for none."""

    at: int
    since: list[int]
    low: list[int]
    ends: list[int]
    memory: msgspec.Raw = msgspec.Raw()


def kept(track: Track) -> Kept:
    """Give what has to be on disk of `track`."""
    memory = msgspec.Raw(_encode(track.memory)) if track.memory is not None else msgspec.Raw(_NONE)
    return Kept(track.at, track.since, track.low, track.ends, memory)


def restored(found: Kept, rule_id: str, subject: Subject, levels: int, memory: type[msgspec.Struct] | None) -> Track:
    """Give the track again. What no longer fits the rule, which may have changed, begins anew."""
    track = Track(rule_id, subject, levels)
    track.at, track.ends = found.at, list(found.ends)
    if len(found.since) == len(found.low) == levels:
        track.since, track.low = list(found.since), list(found.low)
    if memory is not None:
        track.memory = _memory(found.memory, memory)
    return track


def _memory(data: msgspec.Raw, memory: type[msgspec.Struct]) -> Any:  # noqa: ANN401 - the judge knows its type
    try:
        return msgspec.msgpack.decode(bytes(data), type=memory)
    except msgspec.MsgspecError:
        return memory()  # of another kind of rule, or of an earlier version of this one


_encode = msgspec.msgpack.Encoder().encode
_NONE = msgspec.msgpack.encode(None)
