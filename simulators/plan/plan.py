"""The plan of a run: which messages are due when, and what is to become of each. The same seed gives the same bytes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from contracts.readings import Value
from simulators.faults.injector import Draft, Injector
from simulators.formats.wire import Encoded, Format, Rows, Stored
from simulators.models.model import Int64s, Model
from simulators.plan.batch import ARRIVAL, RETAIN, Batch, Block, Expect
from simulators.plan.columns import Columns
from simulators.plan.devices import Device
from simulators.plan.load import Load

MOST = 512
"""Most readings that are made in one go: enough to spread the cost of making them, and a few milliseconds of it."""


@dataclass(frozen=True)
class Part:
    """Devices that are alike: `rate` is readings a second of each, before the load's factor."""

    model: Model
    format: Format
    devices: Sequence[Device]
    rate: float
    injector: Injector | None = None


class Plan:
    """Everything that a fleet sends.

    `slices` gives it by time, from a start on. What devices say when they connect is made on the way, by `opening`.
    """

    def __init__(self, seed: int, parts: Sequence[Part], load: Load) -> None:
        self.seed, self.parts, self.load = seed, parts, load
        self._numbers = 0
        self._stored = {d.number: part.format.stored(d, part.model.metrics) for part in parts for d in part.devices}

    def stored(self, device: int) -> Stored:
        """Say what the pipeline is to make of device number `device`."""
        return self._stored[device]

    def slices(self, began: int, seconds: float) -> Iterator[list[Batch]]:
        """Give what is due in each `seconds` from `began` (ns since 1970) on, in batches of one part."""
        number = 0
        all_turns = [
            _Turns(part, Random(f"{self.seed}/{n}"), self.load, began)  # noqa: S311 - has to be repeatable
            for n, part in enumerate(self.parts)
        ]
        while self.load.endless or number * seconds < self.load.seconds:
            number += 1
            yield [
                self._batch(part, began, devices, turns, due)
                for part, mine in zip(self.parts, all_turns, strict=True)
                for devices, turns, due in mine.until(number * seconds)
            ]

    def opening(self, devices: Sequence[Device], at: int, part: Part) -> Batch:
        """Make what `devices` of `part` say on a new connection at `at` (ns)."""
        draft = _unscheduled(devices, at)
        columns = Columns(lambda: self._values(part, devices, np.full(len(devices), at, dtype=np.int64)))
        encoded = part.format.opening(Rows(draft.devices, draft.ts, columns, part.model.metrics))
        draft.columns = columns.made
        return self._finish(draft, encoded)

    def closing(self, devices: Sequence[Device], at: int, part: Part) -> Batch:
        """Make what `devices` of `part` say before they leave at `at` (ns)."""
        return self._finish(_unscheduled(devices, at), part.format.closing(devices))

    def _batch(self, part: Part, began: int, devices: list[Device], turns: list[int], due: Int64s) -> Batch:
        draft = self._draft(part, devices, turns, due)
        if part.injector is not None:
            draft.began = began
            part.injector.before(draft)
        encoded = part.format.encode(_rows(draft, part))
        batch = self._finish(draft, encoded)
        if part.injector is not None:
            part.injector.after(draft, encoded, batch)
            self._numbers = batch.first + len(batch)
        return batch

    def _draft(self, part: Part, devices: list[Device], turns: list[int], due: Int64s) -> Draft:
        columns, times = self._values(part, devices, due), due.tolist()
        return Draft(devices, turns, times, list(times), columns, [""] * len(devices), [Expect.STORED] * len(devices))

    def _values(self, part: Part, devices: Sequence[Device], due: Int64s) -> dict[str, list[Value | None]]:
        numbers = np.array([device.number for device in devices], dtype=np.int64)
        return dict(part.model.values(self.seed, numbers, due))  # type: ignore[arg-type]  # they are changed in place

    def _finish(self, draft: Draft, encoded: Encoded) -> Batch:
        rows = encoded.rows if encoded.rows is not None else range(len(encoded.topics))
        batch = Batch(
            first=self._numbers,
            devices=[draft.devices[row].number for row in rows],
            topics=encoded.topics,
            payloads=encoded.payloads,
            flags=[RETAIN if n in encoded.retained else 0 for n in range(len(rows))]
            if encoded.retained
            else [0] * len(rows),
            intended=[draft.due[row] for row in rows],
            faults=[draft.faults[row] for row in rows] if draft.faults else [""] * len(rows),
            expects=[draft.expects[row] for row in rows] if draft.expects else [Expect.STORED] * len(rows),
        )
        batch.blocks = self._blocks(draft, encoded)
        self._numbers += len(batch)
        return batch

    def _blocks(self, draft: Draft, encoded: Encoded) -> list[Block]:
        """Say which points the messages are to become. Readings that look alike share a block."""
        if not draft.columns or len(draft.void) == len(draft.devices):
            return []
        stored = self._stored[draft.devices[0].number]  # but for their ids, those of a part are alike
        times, named = _times(draft, stored.resolution), stored.metrics
        for row, metric in draft.bad:
            draft.columns[metric][row] = None
        whole = encoded.rows is None and encoded.metrics is None
        if whole and not (draft.bad and encoded.said):
            columns: dict[str, Sequence[Value | None]] = {n: draft.columns[m] for m, n in named.items()}
            numbers = [device.number for device in draft.devices]
            block = Block(range(len(numbers)), numbers, times, {**columns, **encoded.said})
            return [_without(block, draft.void) if draft.void else block]
        rows = encoded.rows if encoded.rows is not None else range(len(encoded.topics))
        carried = encoded.metrics if encoded.metrics is not None else [tuple(named)] * len(rows)
        by_metrics: dict[tuple[str, ...], list[int]] = {}
        for place, metrics in enumerate(carried):
            if rows[place] not in draft.void:
                by_metrics.setdefault(metrics, []).append(place)
        added, blocks = [name for name in encoded.said if name not in set(named.values())], []
        for metrics, places in by_metrics.items():
            if metrics:
                columns = {name: [encoded.said[name][place] for place in places] for name in added}
                for metric in metrics:
                    if (name := named.get(metric)) is not None:
                        said, values = encoded.said.get(name), draft.columns[metric]
                        columns[name] = [
                            said[n] if said and values[rows[n]] is not None else values[rows[n]] for n in places
                        ]
                numbers = [draft.devices[rows[place]].number for place in places]
                blocks.append(Block(places, numbers, [times[rows[place]] for place in places], columns))
        return blocks


def _unscheduled(devices: Sequence[Device], at: int) -> Draft:
    """Begin what devices say at `at` (ns) without its being a reading's turn."""
    count = len(devices)
    return Draft(list(devices), [-1] * count, [at] * count, [at] * count, {}, [], [])


def _times(draft: Draft, resolution: int) -> list[int]:
    """Say at which time each row is to be stored."""
    return [
        ARRIVAL if ts is None or not resolution or row in draft.arrival else ts - ts % resolution
        for row, ts in enumerate(draft.ts)
    ]


def _rows(draft: Draft, part: Part) -> Rows:
    return Rows(draft.devices, draft.ts, draft.columns, part.model.metrics)


def _without(block: Block, rows: Iterable[int]) -> Block:
    """Leave out rows, which are few."""
    found = Block(
        list(block.messages),
        list(block.devices),
        list(block.ts),
        {name: list(column) for name, column in block.columns.items()},
    )
    columns: list[Any] = [found.messages, found.devices, found.ts, *found.columns.values()]
    for row in sorted(rows, reverse=True):
        for column in columns:
            del column[row]
    return found


class _Turns:
    """Whose turn it is in one part: its devices in a seeded order, again and again, each with a phase of its own."""

    def __init__(self, part: Part, rng: Random, load: Load, began: int) -> None:
        self._order = list(part.devices)
        rng.shuffle(self._order)
        self._rate, self._load, self._began, self._next = part.rate * len(self._order), load, began, 0

    def until(self, seconds: float) -> Iterator[tuple[list[Device], list[int], Int64s]]:
        """Give devices, their turns and the times of what is due until `seconds` after the start, a few at a time."""
        end = int(np.ceil(self._load.count(seconds) * self._rate)) if self._rate else 0
        while self._next < end:
            numbers = np.arange(self._next, min(end, self._next + MOST))
            self._next = int(numbers[-1]) + 1
            due = self._began + self._load.due(numbers / self._rate)
            size = len(self._order)
            yield [self._order[n % size] for n in numbers.tolist()], (numbers // size).tolist(), due
