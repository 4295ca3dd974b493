"""What keeping a ledger costs, and how fast it is verified: `python -m tests.bench.ledger POINTS`, one JSON line.

The store is one that has everything, computed when it is asked for, so that only our own work is measured.
"""

import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts import logs
from contracts.readings import Value
from simulators.models.model import Int64s
from simulators.plan.batch import Batch, Block, Expect
from simulators.truth.entries import Member, Run
from simulators.truth.ledger import LedgerFile
from simulators.truth.stores.store import Found
from simulators.truth.verify import verify

DEVICES = 5000
BATCH = 512
BEGAN = 1_767_225_600_000_000_000
STEP = 50_000
NUMBERS = 4
STATES = ("idle", "run", "fault")


def number(devices: Int64s, turns: Int64s, metric: int) -> NDArray[np.float64]:
    return np.round(20 + metric + ((devices * 7919 + turns * 104729 + metric * 31) % 10007) / 100, 2)


def state(devices: Int64s, turns: Int64s) -> list[Value | None]:
    return [STATES[n] for n in ((devices + turns) % 3).tolist()]


class Whole:
    """Has every point of `messages`."""

    name, resolution, digits = "computed", 1, 17

    def __init__(self, messages: int) -> None:
        self._messages = messages

    async def points(self, device: str, start: int, end: int) -> AsyncIterator[Found]:
        del start, end
        numbers = np.arange(int(device.removeprefix("d-")), self._messages, DEVICES)
        devices, turns, ts = numbers % DEVICES, numbers // DEVICES, BEGAN + numbers * STEP
        for metric in range(NUMBERS):
            yield Found(f"m{metric}", ts, number(devices, turns, metric))
        yield Found("state", ts, state(devices, turns))

    async def devices(self) -> set[str]:
        return set()

    async def close(self) -> None:
        """Nothing is open."""


class Memory:
    """Watches how much memory of its own this process has, at most, in MB."""

    def __init__(self) -> None:
        self.most = 0
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon"):
                    self.most = max(self.most, int(line.split()[1]) // 1024)


def batch(first: int, count: int) -> Batch:
    numbers = np.arange(first, first + count)
    devices, turns, due = numbers % DEVICES, numbers // DEVICES, (BEGAN + numbers * STEP).tolist()
    columns: dict[str, Sequence[Value | None]] = {"state": state(devices, turns)}
    columns |= {f"m{n}": number(devices, turns, n).tolist() for n in range(NUMBERS)}
    who = devices.tolist()
    payloads = [b'{"ts":%d,"values":{"m0":20.15,"m1":21.94,"m2":63.02,"m3":71.38,"state":"idle"}}' % ts for ts in due]
    blocks = [Block(range(count), who, due, columns)]
    topics, fine = [b"devices/d/telemetry"] * count, [Expect.STORED] * count
    return Batch(first, who, topics, payloads, [0] * count, due, [""] * count, fine, blocks)


def main(points: int) -> None:
    messages = points // (NUMBERS + 1)
    memory = Memory()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "ledger")
        ledger = LedgerFile(
            path, Run(1, BEGAN, [Member(n, f"d-{n}", f"d-{n}", 0) for n in range(DEVICES)]), logs.quiet()
        )
        cost = caller = 0.0
        for first in range(0, messages, BATCH):
            some = batch(first, min(BATCH, messages - first))
            began, began_here = time.process_time(), time.thread_time()
            ledger.batch(some)
            for start in range(first, first + len(some), 64):
                numbers = list(range(start, min(start + 64, first + len(some))))
                ledger.sent(numbers, some.intended[-1])
                ledger.acked(numbers, some.intended[-1] + 3_000_000)
            caller += time.thread_time() - began_here
            while ledger.queued > 4 * BATCH:
                time.sleep(0.001)
            cost += time.process_time() - began
        began = time.process_time()
        ledger.close()
        cost += time.process_time() - began
        size = path.stat().st_size
        written, memory.most, wall = memory.most, 0, time.monotonic()
        verdict = asyncio.run(verify(path, Whole(messages), None, wait_seconds=0))
        seconds = time.monotonic() - wall
    memory.close()
    result = {
        "points": points,
        "ok": verdict.ok and verdict.points.stored == messages * (NUMBERS + 1),
        "cpu_us_a_message": round(cost / messages * 1e6, 2),
        "of_these_the_sender's": round(caller / messages * 1e6, 2),
        "bytes_a_point": round(size / points, 2),
        "memory_writing_mb": written,
        "verify_s": round(seconds, 1),
        "verified_points_a_second": round(points / seconds),
        "memory_verifying_mb": memory.most,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]))
