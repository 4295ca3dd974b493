"""What was sent of a metric of a device, against what is there. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.models.model import Int64s
from simulators.truth.points import ARRIVES, MAY, MUST, MUST_NOT, POINT, Rows
from simulators.truth.values import NUMBER, Bits, Kinds

SKEW = 1_000_000_000
"""How much earlier than it was due (ns) a point may seem to have arrived, by the clock of another machine."""

ALL_DIGITS = 17
_Mask = NDArray[np.bool_]


class There(NamedTuple):
    """Points that are there, by time."""

    ts: Int64s
    kinds: Kinds
    bits: Bits

    def rows(self, which: _Mask | Int64s, like: Rows) -> Rows:
        """Give some of them in the form of those that were sent, of the same device and metric."""
        found: Rows = np.zeros(len(self.ts[which]), dtype=POINT)
        found["device"], found["metric"], found["message"] = like["device"], like["metric"], -1
        found["ts"], found["kind"], found["bits"] = self.ts[which], self.kinds[which], self.bits[which]
        return found


@dataclass
class Outcome:
    """What became of points. `stored` counts those that had to be there and are.

    `lost` had to be there; in place of `wrong` there is another value, `instead`; `forbidden` must not be there;
    `doubled` is there once more than it was sent; `unsent` was sent by nobody. `missing` has one row for each message
    that lacks a point.
    """

    stored: int
    lost: Rows
    wrong: Rows
    instead: Rows
    forbidden: Rows
    doubled: Rows
    unsent: Rows
    missing: Rows

    @property
    def fine(self) -> bool:
        """Whether there is nothing to tell."""
        return not any(map(len, (self.wrong, self.forbidden, self.doubled, self.unsent, self.missing)))


class Rule(NamedTuple):
    """How a store keeps points: times less `ts % resolution`, and so many digits of numbers.

    `windows` are those in which everything that is there was sent, from the first moment to the last (ns).
    """

    windows: Sequence[tuple[int, int]]
    resolution: int = 1
    digits: int = ALL_DIGITS

    def inside(self, ts: Int64s) -> _Mask:
        """Say which moments are in a window."""
        inside = np.zeros(len(ts), dtype=bool)
        for start, end in self.windows:
            inside |= (ts >= start - start % self.resolution) & (ts <= end)
        return inside


def compare(sent: Rows, there: There, rule: Rule, one: Rows) -> Outcome:
    """Compare points of one metric of one device; `one` is a point of it, whatever else it says.

    `sent` is in order of ts. A point that was sent several times for the same moment may be there with any of the
    values. Points that are stored when they arrive are matched by value, in order of time.
    """
    if _all_there(sent, there, rule):
        none = sent[:0]
        return Outcome(int((sent["role"] == MUST).sum()), none, none, none, none, none, none, none)
    arrives = sent["role"] & ARRIVES != 0
    timed = _Timed(sent[~arrives], there, rule)
    late = _Late(sent[arrives], there, timed.rest, rule)
    wrong, instead = [timed.wrong], [there.rows(timed.instead, one)]
    lost_late, unsent = late.lost, np.concatenate([timed.unsent, late.unsent])
    if len(lost_late) and len(unsent):  # something came in its place
        pairs = _in_order((lost_late["ts"] - SKEW).tolist(), np.sort(there.ts[unsent]).tolist())
        unsent = unsent[np.argsort(there.ts[unsent], kind="stable")]
        wrong.append(lost_late[[pair[0] for pair in pairs]])
        instead.append(there.rows(unsent[[pair[1] for pair in pairs]], one))
        lost_late = np.delete(lost_late, [pair[0] for pair in pairs])
        unsent = np.delete(unsent, [pair[1] for pair in pairs])
    unsent = unsent[rule.inside(there.ts[unsent])]
    late_doubled = late.doubled[rule.inside(there.ts[late.doubled])]
    return Outcome(
        timed.stored + late.stored,
        np.concatenate([timed.lost, lost_late]),
        np.concatenate(wrong),
        np.concatenate(instead),
        np.concatenate([timed.forbidden, late.forbidden]),
        there.rows(np.concatenate([timed.doubled, late_doubled]), one),
        there.rows(unsent, one),
        np.concatenate([timed.missing, late.lost]),
    )


def _all_there(sent: Rows, there: There, rule: Rule) -> bool:
    """Whether exactly what was sent is there, once, and nothing is special about it: nearly always."""
    if len(sent) != len(there.ts) or sent["role"].max(initial=0) > MAY:
        return False
    moments = sent["ts"] - sent["ts"] % rule.resolution
    if not (moments == there.ts).all() or not (np.diff(there.ts) > 0).all():
        return False
    return bool(_same(sent, there, slice(None), rule).all())


class _Timed:
    """Points that have a time of their own. `instead`, `doubled`, `unsent` and `rest` are places in what is there."""

    def __init__(self, sent: Rows, there: There, rule: Rule) -> None:
        moments = sent["ts"] - sent["ts"] % rule.resolution
        keys, starts, counts = np.unique(moments, return_index=True, return_counts=True)
        seen, first, times = np.unique(there.ts, return_index=True, return_counts=True)
        known = np.isin(there.ts, keys, assume_unique=False)
        self.rest = np.flatnonzero(~known)
        self.doubled = self.unsent = np.empty(0, dtype=np.int64)
        if not len(keys):
            self.stored = 0
            self.lost = self.wrong = self.forbidden = self.missing = sent
            self.instead = self.doubled
            return
        place = np.minimum(np.searchsorted(seen, keys), max(0, len(seen) - 1))
        hit = seen[place] == keys if len(seen) else np.zeros(len(keys), dtype=bool)
        at = first[place] if len(seen) else np.zeros(len(keys), dtype=np.int64)
        key_of = np.repeat(np.arange(len(keys)), counts)
        equal = np.zeros(len(sent), dtype=bool)
        rows = np.flatnonzero(hit[key_of])
        equal[rows] = _same(sent[rows], there, at[key_of[rows]], rule)
        allowed = sent["role"] & (MUST | MAY) != 0
        for key in np.flatnonzero(hit & (times[place] > 1) if len(seen) else hit).tolist():
            mine = slice(starts[key], starts[key] + counts[key])
            equal[mine] |= self._several(
                sent[mine], allowed[mine], there, range(at[key], at[key] + times[place[key]]), rule
            )
        fine = np.logical_or.reduceat(equal & allowed, starts)
        must = np.logical_or.reduceat(sent["role"] & MUST != 0, starts)
        may = np.logical_or.reduceat(allowed, starts)
        banned = equal & ~allowed & ~fine[key_of]
        other = hit & ~fine & ~np.logical_or.reduceat(banned, starts)
        representative = starts + _first_of(allowed, starts, counts)
        self.stored = int((must & fine).sum())
        self.lost = sent[representative[must & ~hit]]
        self.wrong = sent[representative[other & may]]
        self.instead = at[other & may]
        self.forbidden = sent[banned]
        self.unsent = np.concatenate([self.unsent, at[other & ~may]])
        self.missing = sent[(sent["role"] & MUST != 0) & ~fine[key_of]]

    def _several(self, sent: Rows, allowed: _Mask, there: There, places: range, rule: Rule) -> _Mask:
        """Look at a moment of which there are several points: of another kind, or the same again."""
        equal = np.zeros(len(sent), dtype=bool)
        doubled, unsent = [], []
        values: set[tuple[int, int]] = set()
        for place in places:
            same = _same(sent, there, np.full(len(sent), place), rule)
            value = int(there.kinds[place]), int(there.bits[place])
            if (same & allowed).any():
                if value in values:
                    doubled.append(place)
            elif not same.any():
                unsent.append(place)
            values.add(value)
            equal |= same
        if not (equal & allowed).any() and unsent:
            unsent = unsent[1:]  # the first is told as the wrong value
        self.doubled = np.concatenate([self.doubled, np.array(doubled, dtype=np.int64)])
        self.unsent = np.concatenate([self.unsent, np.array(unsent, dtype=np.int64)])
        return equal


class _Late:
    """Points that are stored when they arrive, among what is there at places `rest`."""

    def __init__(self, sent: Rows, there: There, rest: Int64s, rule: Rule) -> None:
        self.stored = 0
        nowhere = np.empty(0, dtype=np.int64)
        self.doubled, self.unsent = nowhere, rest
        self.lost, self.forbidden = sent[:0], sent[:0]
        if not len(sent):
            return
        codes = np.empty(len(sent) + len(rest), dtype=[("kind", np.uint8), ("bits", np.uint64)])
        codes["kind"] = np.concatenate([sent["kind"], there.kinds[rest]])
        codes["bits"] = np.concatenate([sent["bits"], there.bits[rest]])
        codes["bits"] = _rounded(codes["kind"], codes["bits"], rule.digits)
        _, group = np.unique(codes, return_inverse=True)
        mine, theirs = group[: len(sent)], group[len(sent) :]
        by_sent, by_there = np.lexsort((sent["ts"], mine)), np.lexsort((there.ts[rest], theirs))
        groups = int(group.max()) + 1
        sent_ends = np.cumsum(np.bincount(mine, minlength=groups))
        there_ends = np.cumsum(np.bincount(theirs, minlength=groups))
        lost: list[int] = []
        forbidden: list[int] = []
        doubled: list[int] = []
        unsent: list[int] = []
        for number in range(groups):
            some = by_sent[sent_ends[number - 1] if number else 0 : sent_ends[number]]
            found = by_there[there_ends[number - 1] if number else 0 : there_ends[number]].tolist()
            if not len(some):
                unsent += found
                continue
            for role in (MUST, MAY):
                wanted = some[sent["role"][some] & role != 0].tolist()
                if not wanted:
                    continue
                earliest = [int(sent["ts"][row]) - SKEW for row in wanted]
                pairs = _in_order(earliest, [int(there.ts[rest[place]]) for place in found])
                if role == MUST:
                    self.stored += len(pairs)
                    matched = {pair[0] for pair in pairs}
                    lost += [row for at, row in enumerate(wanted) if at not in matched]
                used = {pair[1] for pair in pairs}
                found = [place for at, place in enumerate(found) if at not in used]
            banned = some[sent["role"][some] & MUST_NOT != 0].tolist()
            forbidden += banned[: len(found)]
            found = found[len(banned) :]
            (doubled if len(banned) < len(some) else unsent).extend(found)
        self.lost, self.forbidden = sent[sorted(lost)], sent[sorted(forbidden)]
        self.doubled = rest[np.array(doubled, dtype=np.int64)]
        self.unsent = rest[np.array(unsent, dtype=np.int64)]


def _in_order(earliest: Sequence[int], times: Sequence[int]) -> list[tuple[int, int]]:
    """Pair each of `earliest` with the first of `times` that is left and not before it. Both are in order."""
    pairs, place = [], 0
    for at, moment in enumerate(earliest):
        while place < len(times) and times[place] < moment:
            place += 1
        if place == len(times):
            break
        pairs.append((at, place))
        place += 1
    return pairs


def _first_of(wanted: _Mask, starts: NDArray[np.intp], counts: NDArray[np.intp]) -> Int64s:
    """Give the place in each stretch of the first that is wanted, or 0."""
    places = np.where(wanted, np.arange(len(wanted)) - np.repeat(starts, counts), len(wanted))
    least = np.minimum.reduceat(places, starts)
    return np.where(least < counts, least, 0)


def _same(sent: Rows, there: There, places: NDArray[Any] | slice, rule: Rule) -> _Mask:
    kinds, bits = there.kinds[places], there.bits[places]
    same: _Mask = (sent["kind"] == kinds) & (sent["bits"] == bits)
    if rule.digits < ALL_DIGITS:
        one, other = np.ascontiguousarray(sent["bits"]).view(np.float64), bits.view(np.float64)
        size = np.maximum(np.abs(one), np.abs(other))
        near = np.abs(one - other) <= size * 10.0 ** (1 - rule.digits)
        same |= (kinds == NUMBER) & (sent["kind"] == NUMBER) & near
    return same


def _rounded(kinds: Kinds, bits: Bits, digits: int) -> Bits:
    if digits >= ALL_DIGITS:
        return bits
    numbers = np.ascontiguousarray(bits).view(np.float64)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        size = 10.0 ** (digits - 2 - np.floor(np.log10(np.abs(numbers))))
        rounded = np.rint(numbers * size) / size
    good = (kinds == NUMBER) & np.isfinite(rounded)
    return np.where(good, rounded.view(np.uint64), bits)
