"""One device in memory."""

from collections.abc import Callable

from alerting.evaluation.memory import DeviceMemory, decode_memory, encode_memory
from alerting.evaluation.watch import Watch
from alerting.judges.verdict import Device, Seen, Verdict
from alerting.life.alert import Subject
from alerting.life.track import NEVER, Kept, Track, kept, restored

Plain = tuple[Callable[..., Verdict | None], Track, Watch]
Other = tuple[Watch, Track]

MOST_TEXT = 1025
"""Characters of a text that are kept of a metric's newest value."""


class DeviceState:
    """What is known of a device, and, once it is planned, which rules look at it.

    `known`, `heard`, `registered`, `last` and `windows` are as DeviceMemory has them. `tracks` by rule id; `resting`
    are those that were read from disk and not needed yet. The plan: `plain` has, by metric, the rules that judge it
    alone and need nothing else; `others`, by metric, those that need more: several metrics, a schedule, or to know of
    silence; `absences` those about anything from the device; `by_window` those that judge windows, by metric and tier.
    """

    __slots__ = (
        "absences",
        "by_window",
        "device",
        "dirty",
        "heard",
        "id",
        "known",
        "last",
        "others",
        "plain",
        "registered",
        "resting",
        "subject",
        "tracks",
        "windows",
    )

    def __init__(self, device: str, known: int) -> None:
        self.id, self.known, self.heard = device, known, 0
        self.registered = self.dirty = False
        self.device, self.subject = Device(device, None), Subject(device)
        self.last: dict[str, Seen] = {}
        self.windows: dict[str, int] = {}
        self.tracks: dict[str, Track] = {}
        self.resting: dict[str, Kept] = {}
        self.plain: dict[str, tuple[Plain, ...]] = {}
        self.others: dict[str, tuple[Other, ...]] = {}
        self.absences: tuple[Other, ...] = ()
        self.by_window: dict[str, tuple[Other, ...]] = {}

    def track(self, watch: Watch) -> Track:
        """Give the track of a rule, from where it rests, or a new one; it may be of an earlier version."""
        rule = watch.rule
        track = self.tracks.get(rule.id)
        if track is None:
            resting = self.resting.pop(rule.id, None)
            if resting is None:
                track = Track(rule.id, self.subject, len(rule.severities), watch.new_memory())
                track.looks, track.condition = watch.looks, watch.condition
            else:
                track = restored(resting, rule.id, self.subject, len(rule.severities), watch.memory)
            self.tracks[rule.id] = track
        return track

    def counts(self) -> bool:
        """Whether its silence means anything: it is registered, or was heard since it is not."""
        return self.registered or self.heard > self.known

    def newest(self) -> int:
        """Give the newest time at which something was known of the device, by whatever clock."""
        return max(self.known, self.heard, *(at for at, _ in self.last.values()), *self.windows.values())

    def row(self) -> bytes:
        """Give what has to be on disk."""
        tracks = {rule_id: kept(track) for rule_id, track in self.tracks.items() if says_something(track)}
        return encode_memory(
            DeviceMemory(
                self.known, self.heard, self.last, self.windows, tracks | self.resting, registered=self.registered
            )
        )


def device_of(device: str, row: bytes) -> DeviceState:
    """Read a device's row. Raises msgspec.DecodeError."""
    memory = decode_memory(row)
    state = DeviceState(device, memory.known)
    state.heard, state.registered = memory.heard, memory.registered
    state.last, state.windows, state.resting = memory.last, memory.windows, memory.tracks
    return state


def says_something(track: Track) -> bool:
    """Whether a track differs from a new one."""
    return track.alert is not None or track.memory is not None or track.heard != NEVER or bool(track.ends)
