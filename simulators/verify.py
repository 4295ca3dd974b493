"""Proving that nothing was lost: every message of a ledger is looked for in the query API, reading by reading."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from contracts.readings import Value
from simulators.entries import Entries, Entry, Part
from simulators.query_api import QueryApi

CONCURRENCY = 8
MAX_EXAMPLES = 10
"""Examples kept of each kind of mistake."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 2.0


@dataclass
class Verdict:
    """What became of the messages that the broker acknowledged: stored + dead_lettered + lost == published.

    `stored`: every value is there, exactly. `dead_lettered`: not stored whole, and a dead letter has its payload;
    `reasons` counts those by reason, and `rejected` those that were not malformed. `lost`: neither.
    `wrong` counts points whose value is another than was sent;
    their messages count as lost. `duplicates` counts points that were never sent, or are there twice: of a message
    that was not acknowledged, they are fine. `unacked` is how many messages were published and not acknowledged.
    """

    published: int = 0
    stored: int = 0
    dead_lettered: int = 0
    duplicates: int = 0
    lost: int = 0
    rejected: int = 0
    wrong: int = 0
    unacked: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, rejected without being malformed, wrong, or there twice."""
        return not (self.lost or self.rejected or self.wrong or self.duplicates)


async def verify(
    ledger: Path, url: str, key: str, *, wait_seconds: float, transport: httpx.AsyncBaseTransport | None = None
) -> Verdict:
    """Ask the API at `url` for everything that `ledger` says was acknowledged.

    What is not there yet is asked for again for up to `wait_seconds`. Raises LedgerError if the ledger cannot be
    read, and ApiError if the API cannot be asked. Meant for after the sending: what is sent meanwhile is not seen.
    """
    loop = asyncio.get_running_loop()
    with Entries(ledger) as entries:
        async with QueryApi(url, key, CONCURRENCY, transport) as api:
            checks = [_Check(part, entries, api) for part in entries.parts()]
            api.deadline = loop.time() + wait_seconds
            await _each([check.whole() for check in checks])
            late = [check for check in checks if check.missing]
            api.deadline, wait = loop.time() + wait_seconds, _FIRST_WAIT_S
            while (waiting := [check for check in late if check.missing]) and loop.time() < api.deadline:
                await asyncio.sleep(min(wait, api.deadline - loop.time()))
                wait = min(_LONGEST_WAIT_S, wait * 1.5)
                await _each([check.again() for check in waiting])
            await _each([check.whole() for check in late])  # what came meanwhile may hold points nobody sent
        return _sum_up(checks)


class _Check:
    """One device of one run. `missing` holds what is neither stored whole nor dead-lettered."""

    def __init__(self, part: Part, entries: Entries, api: QueryApi) -> None:
        self._part, self._entries, self._api = part, entries, api
        self.verdict = Verdict()
        self.missing: list[Entry] = []
        self.doubled: list[str] = []
        self.differing: list[str] = []

    async def whole(self) -> None:
        """Look at everything, afresh."""
        self.verdict, self.doubled, self.differing = Verdict(), [], []
        everything = list(self._entries.of(self._part))
        sent = {entry.ts: entry for entry in everything if not entry.fault}
        start, end = everything[0].ts, everything[-1].ts + 1
        metrics = {metric for entry in sent.values() for metric in entry.values}
        others = set(await self._api.metrics(self._part.device)) - metrics
        absent: set[int] = set()
        for metric in sorted(metrics | others):
            found = await self._found(metric, start, end, sent)
            if metric in metrics:
                absent |= self._compare(metric, sent, found)
        acknowledged = [entry for entry in everything if entry.acked is not None]
        self.verdict.published = len(acknowledged)
        self.verdict.unacked = len(everything) - len(acknowledged)
        self.missing = [entry for entry in acknowledged if entry.fault or entry.ts in absent]
        await self._find_dead_letters()

    async def again(self) -> None:
        """Ask only for what was missing."""
        good = {entry.ts: entry for entry in self.missing if not entry.fault}
        absent: set[int] = set()
        for metric in sorted({metric for entry in good.values() for metric in entry.values}):
            found = dict(await self._api.points(self._part.device, metric, min(good), max(good) + 1))
            absent |= {
                ts for ts, e in good.items() if metric in e.values and not _same(e.values[metric], found.get(ts))
            }
        self.missing = [entry for entry in self.missing if entry.fault or entry.ts in absent]
        await self._find_dead_letters()

    async def _found(self, metric: str, start: int, end: int, sent: dict[int, Entry]) -> dict[int, Value]:
        """Ask for one series; what was never sent, or is there twice, is noted."""
        found: dict[int, Value] = {}
        for ts, value in await self._api.points(self._part.device, metric, start, end):
            if ts in found or ts not in sent:
                self.verdict.duplicates += 1
                why = "is there twice" if ts in found else "was never sent"
                _note(self.doubled, f"duplicate: {self._part.device} {metric} = {value!r} at {ts} {why}")
            found[ts] = value
        return found

    def _compare(self, metric: str, sent: dict[int, Entry], found: dict[int, Value]) -> set[int]:
        """Return the times at which an acknowledged value is not there as it was sent."""
        absent = set()
        for ts, entry in sent.items():
            if metric not in entry.values or _same(entry.values[metric], found.get(ts)):
                continue
            if ts in found:
                self.verdict.wrong += 1
                was, sent_as = repr(found[ts]), repr(entry.values[metric])
                _note(self.differing, f"wrong: {entry.device} {metric} at {ts} is {was}; {sent_as} was sent")
            absent.add(ts)
        return absent

    async def _find_dead_letters(self) -> None:
        if not self.missing:
            return
        reasons = {letter.payload: letter.reason for letter in await self._api.dead_letters(self._part.device)}
        for entry in self.missing:
            if entry.payload in reasons:
                self.verdict.dead_lettered += 1
                self.verdict.rejected += not entry.fault
                self.verdict.reasons[reasons[entry.payload]] += 1
        self.missing = [entry for entry in self.missing if entry.payload not in reasons]


def _note(examples: list[str], example: str) -> None:
    if len(examples) < MAX_EXAMPLES:
        examples.append(example)


def _same(sent: Value, found: Value | None) -> bool:
    """Whether two values are equal and of one type: to Python, True equals 1.0."""
    return sent == found and isinstance(sent, bool) == isinstance(found, bool)


async def _each(work: Iterable[Coroutine[None, None, None]]) -> None:
    """Do all of `work`, a limited number at once, so that not the whole ledger is in memory."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def one(item: Coroutine[None, None, None]) -> None:
        async with slots:
            await item

    try:
        async with asyncio.TaskGroup() as group:
            for item in work:
                group.create_task(one(item))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the first is why the others were given up


def _expectation(entry: Entry) -> str:
    return f"no dead letter, malformed on purpose ({entry.fault})" if entry.fault else "neither stored whole nor kept"


def _sum_up(checks: list[_Check]) -> Verdict:
    total = Verdict()
    lost: list[str] = []
    for check in checks:
        one = check.verdict
        total.published += one.published
        total.dead_lettered += one.dead_lettered
        total.duplicates += one.duplicates
        total.rejected += one.rejected
        total.wrong += one.wrong
        total.unacked += one.unacked
        total.reasons += one.reasons
        total.lost += len(check.missing)
        lost += [f"lost: {entry.device} at {entry.ts}: {_expectation(entry)}" for entry in check.missing[:MAX_EXAMPLES]]
    total.stored = total.published - total.dead_lettered - total.lost
    differing = [example for check in checks for example in check.differing]
    doubled = [example for check in checks for example in check.doubled]
    total.examples = lost[:MAX_EXAMPLES] + differing[:MAX_EXAMPLES] + doubled[:MAX_EXAMPLES]
    return total
