"""What is known of one rule at one subject between two readings."""

from typing import Any

import msgspec

from alerting.life.alert import Alert, Subject

NEVER = -1


class Track:
    """One rule at one subject.

    `at` is the event time of the last verdict on an open alert, and `value` its number where it had one. For each
    level of the rule, from the first: `since` is when values began to breach it, and `low` when they ceased to hold
    it while the alert stood there or above; NEVER where they have not. `ends` are the times of the last
    resolutions, the newest last, as far as flapping asks for them. `heard` is from when on silence counts, by
    ingest's clock, where the rule asks for that. `memory` is the judge's. `looks` and `condition` tell the rule's
    content from another by which none of this holds. `alert` is the open one.
    """

    __slots__ = (
        "alert",
        "at",
        "condition",
        "ends",
        "heard",
        "looks",
        "low",
        "memory",
        "rule_id",
        "since",
        "subject",
        "value",
    )

    def __init__(self, rule_id: str, subject: Subject, levels: int, memory: msgspec.Struct | None = None) -> None:
        self.rule_id, self.subject, self.memory = rule_id, subject, memory
        self.at, self.heard = NEVER, NEVER
        self.since = self.low = (NEVER,) * levels
        self.ends: tuple[int, ...] = ()
        self.value: float | None = None
        self.looks = self.condition = 0
        self.alert: Alert | None = None


class Kept(msgspec.Struct, array_like=True, frozen=True):
    """What of a track is on disk beside its alert; `memory` is the judge's, as MessagePack, nil for none."""

    at: int
    value: float | None
    since: tuple[int, ...]
    low: tuple[int, ...]
    ends: tuple[int, ...]
    heard: int
    looks: int
    condition: int
    memory: msgspec.Raw


def kept(track: Track) -> Kept:
    """Give what has to be on disk of `track`."""
    memory = msgspec.Raw(_encode(track.memory)) if track.memory is not None else _NONE
    return Kept(
        track.at, track.value, track.since, track.low, track.ends, track.heard, track.looks, track.condition, memory
    )


def restored(found: Kept, rule_id: str, subject: Subject, levels: int, memory: type[msgspec.Struct] | None) -> Track:
    """Give the track again. What no longer fits the rule, which may have changed, begins anew."""
    track = Track(rule_id, subject, levels)
    track.at, track.ends, track.heard = found.at, found.ends, found.heard
    track.value = found.value
    track.looks, track.condition = found.looks, found.condition
    if len(found.since) == len(found.low) == levels:
        track.since, track.low = found.since, found.low
    if memory is not None:
        track.memory = _memory(found.memory, memory)
    return track


def _memory(data: msgspec.Raw, memory: type[msgspec.Struct]) -> Any:  # noqa: ANN401 - the judge knows its type
    try:
        return msgspec.msgpack.decode(bytes(data), type=memory)
    except msgspec.MsgspecError:
        return memory()  # of another kind of rule, or of an earlier version of this one


_encode = msgspec.msgpack.Encoder().encode
_NONE = msgspec.Raw(msgspec.msgpack.encode(None))
