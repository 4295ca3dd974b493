"""A pipeline that does what it should, in memory, and a ledger of what it was sent, for tests to spoil."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from zlib import crc32

import numpy as np

from contracts import logs
from contracts.readings import Value
from simulators.plan.batch import ARRIVAL, Batch, Block, Expect
from simulators.truth.entries import Member, PartNote, Run
from simulators.truth.ledger import LedgerFile
from simulators.truth.letters import Letter
from simulators.truth.stores.store import Found

BEGAN = 1_767_225_600_000_000_000
MS = 1_000_000
DEVICES = [f"n-{n:03d}" for n in range(5)]


class Place:
    """Points by device and metric, and dead letters by payload: a Store, and Letters."""

    name, resolution, digits = "memory", 1, 17

    def __init__(self) -> None:
        self.there: dict[tuple[str, str], list[tuple[int, Value]]] = defaultdict(list)
        self.letters: list[tuple[bytes, str]] = []
        self.asked: list[str] = []
        self._given = 0

    async def points(self, device: str, start: int, end: int) -> AsyncIterator[Found]:
        self.asked.append(device)
        for (one, metric), points in sorted(self.there.items()):
            some = [point for point in points if start <= point[0] < end]
            if one == device and some:
                values = [value for _, value in some]
                yield Found(metric, np.array([ts for ts, _ in some], dtype=np.int64), list(values))

    async def devices(self) -> set[str]:
        return {device for device, _ in self.there}

    async def fresh(self, start: int) -> Collection[Letter]:
        del start
        fresh, self._given = self.letters[self._given :], len(self.letters)
        return [Letter(crc32(payload) << 32 | len(payload), reason) for payload, reason in fresh]

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class Message:
    """A message as it was sent; `points` are those that it was to become, by metric, `at` where they are in time.

    `late`: it has no time, so that its points are stored when they arrive.
    """

    number: int
    device: str
    payload: bytes
    expect: Expect
    acked: bool
    at: int
    late: bool
    points: dict[str, Value] = field(default_factory=dict)

    def fine(self) -> bool:
        return self.acked and self.expect == Expect.STORED and bool(self.points)


class Fleet:
    """Sends `count` messages of five devices through a pipeline that makes no mistake; the ledger is at `path`."""

    def __init__(self, path: Path, rng: Random, count: int, *, trouble: bool = True, began: int = BEGAN) -> None:
        self.place, self.messages = Place(), list[Message]()
        self._rng, self._began = rng, began
        members = [Member(n, device.upper(), device, 0) for n, device in enumerate(DEVICES)]
        ledger = LedgerFile(path, Run(1, began, members, [PartNote("numbers", "json")]), logs.quiet())
        for first in range(0, count, 20):
            batch = self._batch(first, min(20, count - first), trouble=trouble)
            ledger.batch(batch)
            ledger.sent(range(first, first + len(batch)), batch.intended[-1])
            acked = [message.number for message in self.messages[first:] if message.acked]
            ledger.acked(acked, batch.intended[-1] + MS)
        ledger.close()

    def _batch(self, first: int, count: int, *, trouble: bool) -> Batch:
        rng = self._rng
        devices = [rng.randrange(len(DEVICES)) for _ in range(count)]
        intended = [self._began + (first + n) * MS for n in range(count)]
        shares = [12, 2, 2, 1] if trouble else [1, 0, 0, 0]
        expects = rng.choices(list(Expect), shares, k=count)
        late = [trouble and rng.random() < 0.2 for _ in range(count)]
        ts = [ARRIVAL if late[n] else intended[n] for n in range(count)]
        columns: dict[str, list[Value | None]] = {
            "level": [float(first + n) + 0.25 for n in range(count)],
            "open": [rng.random() < 0.5 for _ in range(count)],
            "mode": [f"mode-{first + n}" for n in range(count)],
            "odd": [None if n % 3 else 1e6 + first + n for n in range(count)],
        }
        payloads = [b'{"message":%d}' % (first + n) for n in range(count)]
        for n in range(count):
            points = {metric: value for metric, column in columns.items() if (value := column[n]) is not None}
            at = intended[n] + rng.randrange(5) * MS // 10 if late[n] else intended[n]
            acked = not trouble or rng.random() < 0.9
            message = Message(first + n, DEVICES[devices[n]], payloads[n], expects[n], acked, at, late[n], points)
            self.messages.append(message)
            if acked or rng.random() < 0.5:
                self._arrive(message)
        faults = ["" if expect == Expect.STORED else f"fault-{expect.name.lower()}" for expect in expects]
        blocks = [Block(range(count), devices, ts, dict(columns))]
        return Batch(first, devices, [b"t"] * count, payloads, [0] * count, intended, faults, expects, blocks)

    def _arrive(self, message: Message) -> None:
        if message.expect in {Expect.STORED, Expect.PARTLY}:
            for metric, value in message.points.items():
                self.place.there[message.device, metric].append((message.at, value))
        if message.expect in {Expect.REJECTED, Expect.PARTLY}:
            self.place.letters.append((message.payload, "malformed"))

    # Mistakes.

    def lose(self, message: Message, metric: str = "level") -> Value:
        self.place.there[message.device, metric].remove((message.at, message.points[metric]))
        return message.points[metric]

    def store(self, message: Message, metric: str, value: Value, device: str = "") -> None:
        self.place.there[device or message.device, metric].append((message.at, value))

    def lose_letter(self, message: Message) -> None:
        self.place.letters.remove((message.payload, "malformed"))
