"""Proving that nothing was lost: every point of a ledger is looked for, and nothing else may be there."""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.timeseries import HOUR
from simulators.truth.comparing import ALL_DIGITS, SKEW, Outcome, Rule, There, compare
from simulators.truth.judging import Judge
from simulators.truth.letters import Letters, Match, Pile
from simulators.truth.points import POINT, Rows
from simulators.truth.sorting import Sorted
from simulators.truth.stores.store import Found, Store
from simulators.truth.values import NOTHING, Coder
from simulators.truth.verdict import Verdict

CONCURRENCY = 4
MOST_OTHERS = 1000
"""Devices that are not in the ledger, among which lost points are looked for."""

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 2.0


async def verify(
    ledger: Path,
    store: Store,
    letters: Letters | None,
    *,
    wait_seconds: float,
    rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    directory: Path | None = None,
) -> Verdict:
    """Ask `store` for everything that `ledger` says was sent, and `letters` for what had to be rejected.

    What is not there yet is asked for again for up to `wait_seconds` after everything was asked for once. Temporary
    files, some 60 bytes a point, are made in `directory`, or beside the ledger. Meant for after the sending: what is
    sent meanwhile is not seen. Raises LedgerError if the ledger cannot be read, and StoreError if the store cannot be
    asked.
    """
    with tempfile.TemporaryDirectory(prefix=".verify-", dir=directory or ledger.parent) as temporary:
        coder = Coder()
        entered = await asyncio.to_thread(Sorted, ledger, Path(temporary), coder)
        with contextlib.closing(entered):
            return await _Check(entered, store, letters, coder, rest).run(wait_seconds)


class _Check:
    def __init__(
        self,
        ledger: Sorted,
        store: Store,
        letters: Letters | None,
        coder: Coder,
        rest: Callable[[float], Awaitable[None]],
    ) -> None:
        self._ledger, self._store, self._letters, self._coder, self._rest = ledger, store, letters, coder, rest
        self._judge = Judge(ledger, coder, store.resolution)
        windows = [(window.start, window.end) for window in ledger.summary.windows if window.start <= window.end]
        self._rule = Rule(windows, store.resolution, store.digits)
        self._start = min((start for start, _ in windows), default=0) - SKEW
        self._end = max((end for _, end in windows), default=0) + HOUR
        self._pile = Pile()

    async def run(self, wait_seconds: float) -> Verdict:
        late: dict[int, list[int]] = {}
        for number in range(self._ledger.files):
            devices = range(number, len(self._ledger.devices), self._ledger.files)
            waiting = await self._look(number, devices, last=wait_seconds <= 0)
            if waiting:
                late[number] = waiting
        match = await self._match()
        loop = asyncio.get_running_loop()
        deadline, wait = loop.time() + wait_seconds, _FIRST_WAIT_S
        while late or (match is not None and match.without):
            left = deadline - loop.time()
            await self._rest(max(0.0, min(wait, left)))
            wait = min(_LONGEST_WAIT_S, wait * 1.5)
            late = {
                number: waiting
                for number, devices in late.items()
                if (waiting := await self._look(number, devices, last=left <= wait))
            }
            if match is not None and match.without:
                match = await self._match()
            if left <= wait:
                break
        if match is not None:
            match.mark()
        await self._look_elsewhere()
        verdict = self._judge.verdict(match)
        verdict.notes = list(self._notes(verdict))
        return verdict

    def _notes(self, verdict: Verdict) -> Iterator[str]:
        if self._rule.resolution > 1:
            yield (
                f"the store keeps times to {self._rule.resolution} ns, and one of several points within that; "
                "what is there more often than it was sent cannot be seen"
            )
        if self._rule.digits < ALL_DIGITS:
            yield f"the store keeps {self._rule.digits} digits of numbers"
        sessions = {part.format for run in self._ledger.summary.runs for part in run.parts if part.session}
        if verdict.foreign_letters and sessions:
            names = ", ".join(sorted(sessions))
            yield f"payloads of {names} are completed when they are sent: their dead letters look like others'"
        if self._letters is None:
            yield "dead letters were not asked for: what had to be rejected counts as such if none of it is there"

    async def _look_elsewhere(self) -> None:
        """Look for lost points under devices that the ledger does not know."""
        moments = self._judge.lost_at
        if not len(moments):
            return
        ledger = self._ledger
        for device in sorted(await self._store.devices() - set(ledger.devices))[:MOST_OTHERS]:
            ledger.devices.append(device)
            async for found in self._store.points(device, int(moments[0]) - SKEW, int(moments[-1]) + SKEW):
                there = self._joined([found])
                one: Rows = np.zeros(1, dtype=POINT)
                one["device"], one["metric"] = len(ledger.devices) - 1, ledger.metric(found.metric)
                self._judge.elsewhere(there.rows(np.isin(there.ts, moments - moments % self._rule.resolution), one))

    async def _match(self) -> Match | None:
        if self._letters is None:
            return None
        self._pile.add(await self._letters.fresh(self._start))
        return await asyncio.to_thread(self._pile.match, self._ledger)

    async def _look(self, number: int, devices: Iterable[int], *, last: bool) -> list[int]:
        """Compare devices of one file, and judge those of which nothing is missing, or all; gives the others."""
        rows = self._ledger.bucket(number)
        slots, waiting = asyncio.Semaphore(CONCURRENCY), []
        places = _stretches(rows["device"])

        async def one(device: int) -> None:
            start, count = places.get(device, (0, 0))
            async with slots:
                outcomes = await self._compare(device, rows[start : start + count])
            if any(len(outcome.missing) for outcome in outcomes) and not last:
                waiting.append(device)
            else:
                for outcome in outcomes:
                    self._judge.take(outcome)

        try:
            async with asyncio.TaskGroup() as group:
                for device in devices:
                    group.create_task(one(device))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # the first is why the others were given up
        return sorted(waiting)

    async def _compare(self, device: int, sent: Rows) -> list[Outcome]:
        if not self._rule.windows:
            return []  # there is a run, and nothing was sent in it
        start, end = self._start, self._end
        if len(sent):
            start = min(start, int(sent["ts"].min()) // self._rule.resolution * self._rule.resolution)
            end = max(end, int(sent["ts"].max()) + 1)
        there: dict[int, list[Found]] = {}
        async for found in self._store.points(self._ledger.devices[device], start, end):
            there.setdefault(self._ledger.metric(found.metric), []).append(found)
        outcomes = []
        places = _stretches(sent["metric"])
        for metric in sorted(places.keys() | there.keys()):
            first, count = places.get(metric, (0, 0))
            one: Rows = np.zeros(1, dtype=POINT)
            one["device"], one["metric"] = device, metric
            outcomes.append(compare(sent[first : first + count], self._joined(there.get(metric, [])), self._rule, one))
        return outcomes

    def _joined(self, parts: list[Found]) -> There:
        if not parts:
            return There(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.uint64))
        kinds, bits = zip(*(self._coder.coded(part.values) for part in parts), strict=True)
        ts = np.concatenate([part.ts for part in parts])
        kind, bit = np.concatenate(kinds), np.concatenate(bits)
        order = np.argsort(ts, kind="stable")
        order = order[kind[order] != NOTHING]
        return There(ts[order], kind[order], bit[order])


def _stretches(column: NDArray[np.uint32]) -> dict[int, tuple[int, int]]:
    """Give where each value begins in a column in order, and how often it is there."""
    values, starts, counts = np.unique(column, return_index=True, return_counts=True)
    return dict(zip(values.tolist(), zip(starts.tolist(), counts.tolist(), strict=True), strict=True))
