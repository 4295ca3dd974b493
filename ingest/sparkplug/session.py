"""An edge node's session: which metrics its births have defined, and whether they are known to be in force. Pure.

Births are sent once, unacknowledged and never retained, so one that was missed is only told by the gap in the sequence
numbers. Nothing is translated by a birth after which another one may have come. Times are when a message was received,
ns since 1970 UTC.
"""

from typing import NamedTuple

import msgspec

MOST_DEVICES = 5_000
"""Most devices behind one edge node."""

MOST_DEFINITIONS = 100_000
"""Most aliases and names of one edge node and its devices, those of earlier births included."""

_NUMBERS, _HALF = 256, 128


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """What outlives this process: `bd_seq` of the last birth, the devices that are online, units by device and metric.

    Definitions do not: after a restart a birth may have been missed, and only a new one says what is in force.
    """

    bd_seq: int = -1
    devices: list[str] = []
    units: dict[str, dict[str, str]] = {}


class Definition(NamedTuple):
    """A metric as a birth defines it."""

    name: str
    datatype: int
    unit: str


_Definitions = dict[int | str, tuple[Definition, int]]
"""By alias and by name: what it means, and since when it is known to have meant that."""


class Session:
    """Follows the sequence numbers of a node, and holds what its births define.

    It is `lost` until the node's birth, and again when a message has not come for `reorder` ns after later ones. Begun
    at `now`; up to `doubted` messages may have been missed without a trace.
    """

    def __init__(self, now: int, doubted: int) -> None:
        self.lost = True
        self.born: dict[str, int] = {}  # device -> when its last birth was received
        self.doubted: set[str] = set()  # devices whose messages were not translated since the last gap
        self._last: int | None = None
        self._missing: set[int] = set()
        self._gap_at = 0
        self._unbroken = now - 1  # after this time no message is known to be missing, and none came late
        self._since: int | None = None  # from when on a birth that answers a request is known to hold
        self._asked: int | None = None
        self._least = doubted  # what was received up to this time is not translated
        self._known: dict[str, _Definitions] = {}  # by device, which is "" for the node itself
        self._before: dict[str, _Definitions] = {}  # what an earlier birth had defined
        self.size = 0  # of both

    @property
    def in_force(self) -> bool:
        """Whether what is defined is known to be in force now."""
        return not self.lost and not self._missing

    def follow(self, seq: int | None, now: int, reorder: int) -> bool:
        """Take in the number of a message other than a node's birth; returns whether it is the latest.

        A sender that numbers nothing is believed to have missed nothing.
        """
        self.look(now, reorder)
        if seq is None:
            return True
        expected = None if self._last is None else (self._last + 1) % _NUMBERS
        ahead = 0 if expected is None else (seq - expected) % _NUMBERS
        if ahead < _HALF:
            self._last = seq
            if ahead and expected is not None:
                self._unbroken = now - 1
                if not self.lost:
                    self._gap_at = self._gap_at if self._missing else now
                    self._missing.update((expected + at) % _NUMBERS for at in range(ahead))
            return True
        self._unbroken = now
        if seq in self._missing:
            self._missing.discard(seq)
        else:
            self.lose()
        return False

    def look(self, now: int, reorder: int) -> None:
        """Give up what is missing for too long."""
        if self._missing and not 0 <= now - self._gap_at <= reorder:
            self.lose()

    def lose(self) -> None:
        """From now on nothing is in force, until the node's birth."""
        self.lost = True
        self._missing.clear()

    def ask(self, now: int) -> None:
        """Note that a rebirth was requested."""
        self._asked, self._since = now, None

    def begin(self, seq: int | None, now: int, answer: int) -> bool:
        """Take in that the node was born: all definitions go. Returns whether that answers a request.

        A birth within `answer` ns of a request tells again what held before. It is then taken to have held since the
        last message that was out of sequence, or since the birth before.
        """
        answers = self._answers(now, answer)
        self._since = self._unbroken if answers else None
        if self.in_force:
            for device in list(self._known):
                self.retire(device)
        else:
            self._known, self._before, self.size = {}, {}, 0
        self.lost, self._last, self._unbroken = False, seq, now
        self._missing.clear()
        self.doubted.clear()
        return answers

    def define(self, device: str, definition: Definition, alias: int | None, now: int, answer: int) -> bool:
        """Take in what a birth says of a metric of `device`; false if there are too many.

        What an earlier birth said as well holds since then; what none has said, since the time that `begin` tells.
        """
        since = now
        if self._since is not None and self._answers(now, answer):
            since = max(self._since, self.born.get(device, 0))
        known, before = self._known.setdefault(device, {}), self._before.get(device, {})
        for key in (definition.name, alias):
            if key is None:
                continue
            old = known.get(key) or before.pop(key, None)
            if old is None:
                if self.size >= MOST_DEFINITIONS:
                    return False
                self.size += 1
                known[key] = definition, since
            elif old[0] == definition:
                known[key] = old
            else:
                known[key] = definition, now
                if self._missing:
                    self.lose()  # what is still to come may have been sent under the old one
        return True

    def retire(self, device: str) -> None:
        """Put out of force what a device has defined: it died, or is born again."""
        if known := self._known.pop(device, None):
            before = self._before.setdefault(device, {})
            self.size -= len(before.keys() & known.keys())
            before.update(known)

    def bear(self, device: str, now: int) -> None:
        """Take in that a device was born, when what it defines has been taken in or cannot be."""
        if device in self.born or len(self.born) < MOST_DEVICES:
            self.born[device] = now
        else:
            self._unbroken = now

    def bound(self, now: int) -> None:
        """Translate nothing any more that was received before: some connection of this node has ended."""
        self._least = self._unbroken = now
        self._asked = self._since = None

    def find(self, device: str, key: int | str, received: int, *, late: bool) -> Definition | None:
        """Give what an alias or a name of `device` is known to mean now.

        `late`: the message was received at `received` and is read only now; it must have meant that then.
        """
        if not self.in_force:
            return None
        known = self._known.get(device, {}).get(key)
        if known is None or (late and received <= max(known[1], self._least)):
            return None
        return known[0]

    def _answers(self, now: int, answer: int) -> bool:
        return self._asked is not None and 0 <= now - self._asked <= answer
