"""A small fleet for tests: a model whose values tell who measured them and when, and an outlet in memory."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from simulators.connections.outlet import Listener, Outgoing
from simulators.models.model import Children, Event, Int64s, Metric
from simulators.plan.batch import Batch
from simulators.plan.devices import Device
from simulators.truth.keeping import LedgerError

BEGAN = 1_767_225_600_000_000_000


class Numbers:
    """A model with one metric of each type."""

    name, prefix = "numbers", "n"
    children: Children | None = None
    metrics: Mapping[str, Metric] = {
        "level": Metric("number", "m"),
        "open": Metric("boolean"),
        "mode": Metric("text"),
    }
    event_names: Collection[str] = ()

    def values(self, seed: int, devices: Int64s, ts: Int64s) -> dict[str, list[float | bool | str]]:
        return {
            "level": [
                float(seed * 1000 + d + t % 997 / 10) for d, t in zip(devices.tolist(), ts.tolist(), strict=True)
            ],
            "open": [t % 2 == 0 for t in ts.tolist()],
            "mode": [f"mode-{d}" for d in devices.tolist()],
        }

    def events(self, seed: int, devices: Int64s, start: int, end: int) -> list[Event]:
        del seed, devices, start, end
        return []


def devices(count: int, part: int = 0, first: int = 0) -> list[Device]:
    return [Device(first + n, f"n-{first + n:03d}", part, first + n) for n in range(count)]


class Wire:
    """What is given to it is sent at once while it is up, and acknowledged when the test says so."""

    def __init__(self, listener: Listener, clock: "Clock") -> None:
        self._listener, self._clock = listener, clock
        self.up: bool = False
        self.unacked = 0
        self.given: list[Outgoing] = []
        self.flying: list[int] = []
        self.acts: list[str] = []

    def start(self) -> None:
        self.up = True
        self._listener.connected(self)
        self.flush()

    def lose(self) -> None:
        self.up = False
        self._listener.lost(self, "reset")

    def send(self, messages: Sequence[Outgoing]) -> None:
        self.given += messages
        self.unacked += len(messages)
        if self.up:
            self.flush()

    def flush(self) -> None:
        fresh = [m[0] for m in self.given[-self.unacked :]] if self.unacked else []
        fresh = [number for number in fresh if number not in self.flying]
        if fresh:
            self.flying += fresh
            self._listener.sent(fresh, self._clock.now())

    def acknowledge(self) -> None:
        acked, self.flying = self.flying, []
        self.unacked -= len(acked)
        if acked:
            self._listener.acked(acked, self._clock.now())

    def act(self, kind: str, seconds: float, amount: float) -> None:
        self.acts.append(f"{kind} {seconds} {amount}")

    async def stop(self, seconds: float) -> None:
        del seconds


class Clock:
    """Moves on when somebody rests, and takes no time for it."""

    def __init__(self) -> None:
        self.at = BEGAN

    def now(self) -> int:
        return self.at

    async def rest(self, seconds: float) -> None:
        self.at += max(1, int(seconds * 1e9))
        await asyncio.sleep(0)


class Kept:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.entries: list[tuple[str, int]] = []
        self.room, self.broken = True, False

    def batch(self, batch: Batch) -> None:
        if self.broken:
            raise LedgerError("no space left")
        self.batches.append(batch)
        self.entries += [("batch", batch.first + n) for n in range(len(batch))]

    def sent(self, numbers: Sequence[int], at: int) -> None:
        del at
        self.entries += [("sent", number) for number in numbers]

    def acked(self, numbers: Sequence[int], at: int) -> None:
        del at
        self.entries += [("acked", number) for number in numbers]

    def event(self, kind: str, about: str, at: int) -> None:
        del about, at
        self.entries.append((kind, 0))

    def close(self) -> None:
        """Nothing is open."""
