"""Dead letters, and which messages of a ledger they are of."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulators.models.model import Int64s
from simulators.plan.batch import Expect
from simulators.truth.points import ACKED, LETTER
from simulators.truth.sorting import Sorted

_PIECE = 1 << 18


class Letter(NamedTuple):
    """A dead letter: the checksum and the length of its payload as `points.key_of` joins them, and why it is one."""

    key: int
    reason: str


class Letters(Protocol):
    """Where dead letters are looked up."""

    async def fresh(self, start: int) -> Collection[Letter]:
        """Give those received at `start` (ns) or later that were not given before. Raises StoreError."""


class Pile:
    """Dead letters by their payloads, some ten bytes each, and how often there is one of a payload."""

    def __init__(self) -> None:
        self._keys: list[NDArray[np.uint64]] = []
        self._reasons: list[NDArray[np.uint8]] = []
        self._names: list[str] = []

    def add(self, letters: Collection[Letter]) -> None:
        """Take in more."""
        if not letters:
            return
        for reason in {letter.reason for letter in letters}.difference(self._names):
            self._names.append(reason)
        numbers = {name: number for number, name in enumerate(self._names)}
        self._keys.append(np.array([letter.key for letter in letters], dtype=np.uint64))
        self._reasons.append(np.array([numbers[letter.reason] for letter in letters], dtype=np.uint8))

    def match(self, ledger: Sorted) -> "Match":
        """Look for the messages that they are of."""
        keys = np.concatenate([np.empty(0, dtype=np.uint64), *self._keys])
        reasons = np.concatenate([np.empty(0, dtype=np.uint8), *self._reasons])
        order = np.argsort(keys, kind="stable")
        unique, first, counts = np.unique(keys[order], return_index=True, return_counts=True)
        return Match(ledger, unique, counts, [self._names[number] for number in reasons[order][first].tolist()])


class Match:
    """Messages with their dead letters.

    `without` is how many acknowledged messages have none, though they had to be rejected. There have to be as many
    letters of a payload as messages had it.
    """

    def __init__(self, ledger: Sorted, keys: NDArray[np.uint64], counts: Int64s, reasons: list[str]) -> None:
        self._ledger, self._keys, self._counts, self._reasons = ledger, keys, counts, reasons
        self._of: list[Int64s] = []
        self.reasons: Counter[str] = Counter()
        self.without = 0
        self._used = np.zeros(len(keys), dtype=np.int64)
        claimed = np.zeros(len(keys), dtype=bool)
        for numbers, acked, places, hit in self._pieces((Expect.REJECTED, Expect.PARTLY)):
            claimed[places[hit]] = True
            found = hit & (~acked | self._in_turn(places, hit & acked))
            self.without += int((acked & ~found).sum())
            self._take(numbers[found], places[found])
        matched = claimed.copy()
        if not claimed.all():
            for numbers, _, places, hit in self._pieces((Expect.STORED, Expect.REFUSED)):
                found = hit & ~claimed[places] if len(keys) else hit
                matched[places[found]] = True
                self._take(numbers[found], places[found])
        self.foreign = int(counts[~matched].sum())

    def mark(self) -> None:
        """Note with the messages that they have one."""
        for numbers in self._of:
            self._ledger.messages.mark(numbers, LETTER)

    def _take(self, numbers: Int64s, places: Int64s) -> None:
        if len(numbers):
            self._of.append(numbers)
            for place, count in zip(*np.unique(places, return_counts=True), strict=True):
                self.reasons[self._reasons[place]] += int(count)

    def _pieces(
        self, expects: tuple[Expect, ...]
    ) -> Iterator[tuple[Int64s, NDArray[np.bool_], Int64s, NDArray[np.bool_]]]:
        """Give messages of which this is expected: number, whether acknowledged, and where in the keys theirs is."""
        for start, notes in self._ledger.pieces(_PIECE):
            mine = np.flatnonzero(self._ledger.is_one_of(notes, expects))
            if not len(mine):
                continue
            keys = self._ledger.keys.get(start, start + len(notes))[mine]
            if len(self._keys):
                places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
                hit = self._keys[places] == keys
            else:
                places, hit = np.zeros(len(mine), dtype=np.int64), np.zeros(len(mine), dtype=bool)
            yield mine + start, notes[mine] & ACKED != 0, places, hit

    def _in_turn(self, places: Int64s, which: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Say which of them have a letter of their own, where several have one payload."""
        rows = np.flatnonzero(which)
        order = rows[np.argsort(places[rows], kind="stable")]
        _, starts, counts = np.unique(places[order], return_index=True, return_counts=True)
        turn = np.arange(len(order)) - np.repeat(starts, counts)
        found = np.zeros(len(which), dtype=bool)
        found[order] = self._used[places[order]] + turn < self._counts[places[order]]
        np.add.at(self._used, places[order], 1)
        return found
