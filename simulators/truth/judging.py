"""Sums up what became of points and messages."""

from collections.abc import Iterator

import numpy as np

from contracts.readings import Value
from simulators.models.model import Int64s
from simulators.plan.batch import Expect
from simulators.truth.comparing import Outcome
from simulators.truth.histogram import Histogram
from simulators.truth.letters import Match
from simulators.truth.points import ACKED, ARRIVES, BARE, EXPECTED, FORBIDDEN, LETTER, MISSING, POINT, Rows
from simulators.truth.sorting import Sorted
from simulators.truth.values import Coder
from simulators.truth.verdict import MAX_EXAMPLES, FaultCounts, Verdict

MOST_LOOKED_FOR = 2_000_000
"""Lost points, and points that nobody sent, of which it is looked whether the ones are the others, misrouted."""

_PIECE = 1 << 18
_PERCENTS = (50.0, 90.0, 99.0, 99.9, 100.0)


class Judge:
    """Takes what became of points, series by series, and tells the whole at the end."""

    def __init__(self, ledger: Sorted, coder: Coder, resolution: int) -> None:
        self._ledger, self._coder, self._resolution = ledger, coder, resolution
        self._verdict = Verdict()
        self._lost: list[Rows] = []
        self._unsent: list[Rows] = []
        self._elsewhere: list[Rows] = []
        self._kept = self._unsent_kept = self._unsent_beyond = 0
        self._examples: dict[str, list[str]] = {}

    def take(self, outcome: Outcome) -> None:
        """Take in what became of the points of one metric of one device."""
        verdict, points = self._verdict, self._verdict.points
        if outcome.fine:
            points.sent += outcome.stored
            points.stored += outcome.stored
            return
        points.sent += outcome.stored + len(outcome.lost) + len(outcome.wrong)
        points.stored += outcome.stored
        points.wrong += len(outcome.wrong)
        verdict.wrong += len(outcome.wrong)
        verdict.duplicates += len(outcome.doubled)
        for row, instead in self._few("wrong", outcome.wrong, outcome.instead):
            fault = self._fault(int(row["message"]))
            self._note("wrong", f"{self._named(row)} was sent, and {self._value(instead)!r} is there{fault}")
        for (row,) in self._few("duplicate", outcome.doubled):
            self._note("duplicate", f"{self._named(row)} is there more often than it was sent")
        for (row,) in self._few("accepted", outcome.forbidden):
            why = "is there, though its message had to be rejected"
            self._note("accepted", f"{self._named(row)} {why}{self._fault(int(row['message']))}")
        self._ledger.messages.mark(outcome.missing["message"], MISSING)
        self._ledger.messages.mark(outcome.forbidden["message"], FORBIDDEN)
        if len(outcome.lost):
            self._lost.append(outcome.lost[: max(0, MOST_LOOKED_FOR - self._kept)])
            self._kept += len(outcome.lost)
        if len(outcome.unsent):
            room = max(0, MOST_LOOKED_FOR - self._unsent_kept)
            self._unsent.append(outcome.unsent[:room])
            self._unsent_kept += len(outcome.unsent)
            self._unsent_beyond += max(0, len(outcome.unsent) - room)

    @property
    def lost_at(self) -> Int64s:
        """Give the moments of lost points, in order."""
        return np.unique(_joined(self._lost)["ts"])

    def elsewhere(self, rows: Rows) -> None:
        """Take in points of a device that is not in the ledger, which only count if they are lost ones."""
        self._elsewhere.append(rows)

    def verdict(self, match: Match | None) -> Verdict:
        """Tell the whole."""
        self._misrouted()
        verdict = self._verdict
        verdict.letters_checked = match is not None
        if match is not None:
            verdict.reasons, verdict.foreign_letters = match.reasons, match.foreign
        for start, notes in self._ledger.pieces(_PIECE):
            faults = self._ledger.fault_of.get(start, start + len(notes))
            for code, count in zip(*np.unique(notes.astype(np.int64) << 8 | faults, return_counts=True), strict=True):
                self._messages(int(code) >> 8, self._ledger.faults[int(code) & 0xFF], int(count))
        summary = self._ledger.summary
        verdict.published = summary.acked
        verdict.puback_ms = {"due": _percentiles(summary.from_due), "sent": _percentiles(summary.from_sent)}
        verdict.examples = [example for some in self._examples.values() for example in some]
        return verdict

    def _messages(self, notes: int, fault: str, count: int) -> None:
        """Count messages of which the same is noted."""
        verdict, expect = self._verdict, Expect(notes & EXPECTED)
        forbidden, letter = bool(notes & FORBIDDEN), bool(notes & LETTER)
        if not verdict.letters_checked and expect in {Expect.REJECTED, Expect.PARTLY}:
            letter = True
        if forbidden:
            self._accept("a point of a message that had to be rejected", count)
        elif letter and expect == Expect.REFUSED:
            self._accept("a message that the broker had to refuse", count)
        if letter and expect == Expect.STORED:
            verdict.rejected += count
        if notes & BARE:
            return
        if not notes & ACKED:
            verdict.unacked += count
            return
        became = _became(expect, missing=bool(notes & MISSING), forbidden=forbidden, letter=letter)
        if became == "let_through" and not forbidden and expect != Expect.REFUSED:
            self._accept("no dead letter of a message that had to be rejected", count)
        by_fault = verdict.faults.setdefault(fault, FaultCounts()) if fault else FaultCounts()
        for counts in (verdict, by_fault):
            setattr(counts, became, getattr(counts, became) + count)
        by_fault.published += count

    def _accept(self, why: str, count: int) -> None:
        self._verdict.accepted += count
        self._verdict.accepted_why[why] += count

    def _misrouted(self) -> None:
        """Look for lost points among those that nobody sent, by time and value; tell of the others."""
        lost, unsent = _joined(self._lost), np.concatenate([_joined(self._unsent), _joined(self._elsewhere)])
        one, other = paired(lost, unsent, self._resolution)
        count = len(_joined(self._unsent))
        verdict = self._verdict
        verdict.misrouted = verdict.points.misrouted = len(one)
        for row, found in zip(lost[one][:MAX_EXAMPLES], unsent[other][:MAX_EXAMPLES], strict=True):
            where = f"{self._ledger.devices[found['device']]} {self._ledger.metrics[found['metric']]}"
            self._note("misrouted", f"{self._named(row)} is there as {where}{self._fault(int(row['message']))}")
        lost = np.delete(lost, one)
        verdict.points.lost = verdict.points.sent - verdict.points.stored - verdict.points.wrong - len(one)
        for row in lost[:MAX_EXAMPLES]:
            self._note("lost", f"{self._named(row)} is not there{self._fault(int(row['message']))}")
        nobodys = np.delete(np.arange(len(unsent)), other)
        unsent = unsent[nobodys[nobodys < count]]
        if nobody := len(unsent) + self._unsent_beyond:
            self._accept("a point that nobody sent", nobody)
        for row in unsent[:MAX_EXAMPLES]:
            self._note("accepted", f"{self._named(row)} is there, and nobody sent it")

    def _note(self, kind: str, example: str) -> None:
        some = self._examples.setdefault(kind, [])
        if len(some) < MAX_EXAMPLES:
            some.append(f"{kind}: {example}")

    def _few(self, kind: str, rows: Rows, *others: Rows) -> Iterator[tuple[np.void, ...]]:
        """Give as many rows as there may still be examples of this kind, each with those beside it."""
        left = MAX_EXAMPLES - len(self._examples.get(kind, []))
        return zip(rows[:left], *(other[:left] for other in others), strict=True)

    def _named(self, row: np.void) -> str:
        device, metric = self._ledger.devices[row["device"]], self._ledger.metrics[row["metric"]]
        at = "on arrival after" if row["role"] & ARRIVES else "at"
        return f"{device} {metric} {at} {row['ts']}: {self._value(row)!r}"

    def _value(self, row: np.void) -> Value:
        return self._coder.shown(int(row["kind"]), int(row["bits"]))

    def _fault(self, message: int) -> str:
        fault = self._ledger.faults[int(self._ledger.fault_of.get(message, message + 1)[0])]
        return f" (fault: {fault})" if fault else ""


def _percentiles(histogram: Histogram) -> dict[str, float]:
    found = histogram.percentiles(_PERCENTS)
    return {f"p{percent:g}": round(seconds * 1000, 3) for percent, seconds in zip(_PERCENTS, found, strict=True)}


def _became(expect: Expect, *, missing: bool, forbidden: bool, letter: bool) -> str:
    """Say what became of an acknowledged message, by the name of its counter."""
    if expect == Expect.STORED:
        return "stored" if not missing else "dead_lettered" if letter else "lost"
    if expect == Expect.REFUSED:
        return "let_through" if forbidden or letter else "refused"
    if expect == Expect.PARTLY and missing:
        return "lost"
    return "dead_lettered" if letter else "let_through"


def paired(lost: Rows, unsent: Rows, resolution: int) -> tuple[Int64s, Int64s]:
    """Pair points of one time and value; gives the places of both, each at most once."""
    codes = np.empty(len(lost) + len(unsent), dtype=[("ts", np.int64), ("kind", np.uint8), ("bits", np.uint64)])
    for name in ("ts", "kind", "bits"):
        codes[name] = np.concatenate([lost[name], unsent[name]])
    codes["ts"] -= codes["ts"] % resolution
    _, group = np.unique(codes, return_inverse=True)
    mine, theirs = _turns(group[: len(lost)]), _turns(group[len(lost) :])
    _, one, other = np.intersect1d(mine, theirs, assume_unique=True, return_indices=True)
    return one, other


def _turns(group: Int64s) -> Int64s:
    """Give each member of a group a number of its own, which is the same in every list of such groups."""
    order = np.argsort(group, kind="stable")
    _, starts, counts = np.unique(group[order], return_index=True, return_counts=True)
    found = np.empty(len(group), dtype=np.int64)
    found[order] = group[order] * (1 << 31) + np.arange(len(group)) - np.repeat(starts, counts)
    return found


def _joined(rows: list[Rows]) -> Rows:
    return np.concatenate(rows) if rows else np.empty(0, dtype=POINT)
