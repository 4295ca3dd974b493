"""A verdict, for people and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import msgspec

from simulators.truth.verdict import Verdict

_MESSAGES = (
    ("published", "messages that the broker acknowledged"),
    ("stored", "all of it is there, exactly"),
    ("dead_lettered", "a dead letter has its payload"),
    ("refused", "the broker had to refuse it, and nothing of it is there"),
    ("let_through", "had to be rejected or refused, and was not"),
    ("lost", "neither stored whole nor dead-lettered"),
    ("unacked", "not acknowledged: may be there or not"),
)
_MISTAKES = (
    ("lost", "messages of which a point is not there as it was sent"),
    ("duplicates", "points that are there more often than they were sent"),
    ("wrong", "points with another value than was sent"),
    ("misrouted", "points that are there under another device or metric"),
    ("accepted", "what should not have been taken"),
    ("rejected", "dead letters of messages that were fine"),
)


def lines(verdict: Verdict, asked: str) -> Iterator[str]:
    """Give the lines of a table."""
    yield f"What was sent, as {asked} has it:"
    yield from _table(verdict, _MESSAGES)
    points = verdict.points
    yield f"  of {points.sent} points {points.stored} are stored, {points.lost} lost, {points.wrong} wrong"
    due = verdict.puback_ms.get("due", {})
    yield f"  publish → PUBACK, from when it was due: p50 {due.get('p50', 0)} ms, p99 {due.get('p99', 0)} ms"
    yield "Mistakes:"
    yield from _table(verdict, _MISTAKES)
    for why, count in sorted(verdict.accepted_why.items()):
        yield f"    {count} accepted: {why}"
    if verdict.reasons:
        yield "Dead letters: " + ", ".join(f"{count} {reason}" for reason, count in sorted(verdict.reasons.items()))
    if verdict.foreign_letters:
        yield f"  and {verdict.foreign_letters} since the start of what this ledger does not know"
    for fault, counts in sorted(verdict.faults.items()):
        became = {name: count for name, count in asdict(counts).items() if count and name != "published"}
        yield f"  fault {fault}: {counts.published}, " + ", ".join(f"{n} {name}" for name, n in became.items())
    yield from (f"Note: {note}" for note in verdict.notes)
    yield from (f"  {example}" for example in verdict.examples)


def document(verdict: Verdict) -> dict[str, Any]:
    """Give all of it as a JSON object."""
    return {"ok": verdict.ok, **msgspec.to_builtins(verdict)}


def _table(verdict: Verdict, rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, meaning in rows:
        yield f"  {name.replace('_', '-'):<14}{getattr(verdict, name):>12}   {meaning}"
