"""Live events: what has just come from devices, and the last minutes of it for those who come back. Pure.

Every replica hears of everything that is published on three streams, and keeps the last of it. An event's id says how
far the three had come, by their own sequence numbers; so it means the same to every replica.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import msgspec

from contracts.derived import DERIVED_BATCH
from contracts.presence import PRESENCE_MESSAGE
from contracts.readings import READING_BATCH, Reading
from contracts.streams import DERIVED, PRESENCE, TELEMETRY, Stream
from contracts.times import format_time

SOURCES: tuple[Stream, ...] = (TELEMETRY, DERIVED, PRESENCE)
"""The streams that are heard, in the order in which an id has their positions."""

Kind = Literal["reading", "computed", "presence"]

_json = msgspec.json.Encoder()
_LARGEST = (1 << 63) - 1


class Event(NamedTuple):
    """Something that a device said, or that was computed of it; `content` is for the listener."""

    kind: Kind
    device: str
    content: dict[str, object]


@dataclass(frozen=True)
class Position:
    """How far somebody has come: of each source, up to which message, and in that one up to which event.

    `events` is how many of the last message's events have been seen; of a source that is between messages it is -1.
    """

    sequences: tuple[int, ...]
    events: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id. Raises ValueError with a sentence for the caller."""
        sequences, events = [], []
        for part in text.split("-") if len(text) <= 128 else []:  # noqa: PLR2004 - longer than any id
            sequence, _, event = part.partition(".")
            if not (
                sequence.isascii() and sequence.isdecimal() and ((event.isascii() and event.isdecimal()) or not event)
            ):
                break
            sequences.append(int(sequence))
            events.append(int(event) if event else -1)
        if len(sequences) != len(SOURCES) or max(*sequences, *events) > _LARGEST:
            raise ValueError("this is no id of an event that was sent here; begin without one")
        return cls(tuple(sequences), tuple(events))

    def __str__(self) -> str:
        return "-".join(
            str(sequence) if event < 0 else f"{sequence}.{event}"
            for sequence, event in zip(self.sequences, self.events, strict=True)
        )

    def after(self, source: int, sequence: int, events: int = -1) -> "Position":
        """Give the position that comes after `events` events of a message, or after all of it."""
        return Position(
            (*self.sequences[:source], sequence, *self.sequences[source + 1 :]),
            (*self.events[:source], events, *self.events[source + 1 :]),
        )

    def skip(self, source: int, sequence: int) -> int | None:
        """Tell how many events of a message have been seen; None: all of them."""
        seen, events = self.sequences[source], self.events[source]
        if sequence != seen:
            return 0 if sequence > seen else None
        return None if events < 0 else events


class Entry:
    """A message of a stream, read when somebody wants it first; or, with `lost`, messages that were not heard."""

    __slots__ = ("_data", "_events", "lost", "sequence", "source")

    def __init__(self, source: int, sequence: int, data: bytes, lost: int = 0) -> None:
        self.source, self.sequence, self.lost = source, sequence, lost
        self._data = data
        self._events: list[Event] | None = None

    @property
    def size(self) -> int:
        """Bytes of the message."""
        return len(self._data)

    @property
    def events(self) -> Sequence[Event]:
        """Events of the message, in its order. Raises SchemaError if this version does not know it."""
        if self._events is None:
            self._events = [] if self.lost else list(_READ[self.source](self._data))
        return self._events


class Ring:
    """The newest entries, at most `most_bytes` of them; `floor` is the newest position that is not kept, by source."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._entries: deque[Entry] = deque()
        self.floor: list[int] = []
        self.head: list[int] = []

    def begin(self, heads: Sequence[int]) -> None:
        """Begin anew: nothing is kept of what came up to `heads`."""
        self._entries.clear()
        self._bytes = 0
        self.floor, self.head = list(heads), list(heads)

    def forget(self, source: int) -> None:
        """Begin anew with one source, whose sequence numbers begin again."""
        self._entries = deque(entry for entry in self._entries if entry.source != source)
        self._bytes = sum(entry.size for entry in self._entries)
        self.floor[source] = self.head[source] = 0

    def add(self, source: int, sequence: int, data: bytes) -> list[Entry]:
        """Keep a message; returns its entry, after one for messages that are missing before it."""
        if sequence <= self.head[source]:
            return []  # a message that was heard already
        new = [*self.lose(source, sequence - 1), Entry(source, sequence, data)]
        self._entries.append(new[-1])
        self._bytes += new[-1].size
        self.head[source] = sequence
        while self._bytes > self._most and len(self._entries) > 1:
            gone = self._entries.popleft()
            self._bytes -= gone.size
            self.floor[gone.source] = gone.sequence
        return new

    def lose(self, source: int, last: int) -> list[Entry]:
        """Note that messages up to `last` were not heard, where that is so; returns the entry that says it."""
        missing = last - self.head[source]
        if missing <= 0:
            return []
        self._entries.append(Entry(source, last, b"", missing))
        self.head[source] = last
        return [self._entries[-1]]

    def position(self) -> Position:
        """Give the position of whoever has seen everything."""
        return Position(tuple(self.head), (-1,) * len(self.head))

    def since(self, position: Position) -> Iterator[Entry]:
        """Give what came after `position`, beginning with what is not kept of it any more."""
        for source, floor in enumerate(self.floor):
            if (lost := floor - position.sequences[source]) > 0:
                yield Entry(source, floor, b"", lost)
        yield from self._entries


def _reading(reading: Reading, kind: Kind) -> Event:
    content: dict[str, object] = {
        "device": reading.device,
        "ts": format_time(reading.ts),
        "received": format_time(reading.received),
        "profile": reading.profile,
        "values": reading.values,
    }
    if reading.flags:
        content["flags"] = reading.flags
    return Event(kind, reading.device, content)


def _telemetry(data: bytes) -> Iterator[Event]:
    return (_reading(reading, "reading") for reading in READING_BATCH.decode(data).readings)


def _derived(data: bytes) -> Iterator[Event]:
    return (_reading(reading, "computed") for reading in DERIVED_BATCH.decode(data).readings)


def _presence(data: bytes) -> Iterator[Event]:
    told = PRESENCE_MESSAGE.decode(data)
    if told.state in ("online", "offline"):
        content: dict[str, object] = {"device": told.device, "state": told.state, "at": format_time(told.at)}
        yield Event("presence", told.device, content | ({"reason": told.reason} if told.reason else {}))


_READ = (_telemetry, _derived, _presence)
