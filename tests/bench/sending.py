"""`make bench-processor ARGS=--send`: what a point costs on its way to a server, without windows and without a stream.

A point is encoded, compressed and sent, and the answer is read; readings are decoded before. CPU is user and system
time of this process, all threads; the server, and what stands before it, run in others.
"""

import gc
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from contracts.readings import Reading
from processor.influx import InfluxStore
from processor.store import Taken
from processor.victoria import VictoriaStore
from tests.bench.stores import Influx, Running, Store, Victoria
from tests.bench.telemetry import SCENARIOS, arriving
from tests.stores.victoria_server import now

POINTS, WRITE_POINTS = 1_000_000, 20_000
CHOSEN = ("in order", "wide")
YOUNG = (100_000, 50, 50)
"""When garbage is looked for, as in processor."""


def sent(store: Store, name: str, points: int | None, rounds: int, chosen: Sequence[str] | None) -> dict[str, object]:
    """Measure some scenarios, each several times in an empty store, and print a table; gives the medians."""
    print(f"  {name}, {points or POINTS} points   µs a point to encode and send   until durable   points/s    lost")
    found = {}
    for scenario in chosen or CHOSEN:
        metrics = SCENARIOS[scenario].metrics
        readings = list(arriving(SCENARIOS[scenario], (points or POINTS) // metrics))
        told = [_measure(store, readings, metrics) for _ in range(rounds)]
        found[scenario] = {key: round(median(one[key] for one in told), 3) for key in told[0]}
        us, whole, per_s, lost = found[scenario].values()
        print(f"  {scenario:<30}{us:26.2f}{whole:16.2f}{per_s:11.0f}{lost:8.0f}", flush=True)
    return {"points": points or POINTS, "write_points": WRITE_POINTS, "scenarios": found}


def _measure(store: Store, readings: list[Reading], metrics: int) -> dict[str, float]:
    """Write all; of a write, what comes after the points, a VictoriaMetrics' way to disk, is taken apart."""
    every = WRITE_POINTS // metrics
    firsts = range(0, len(readings), every)
    writes = [[Taken(reading, []) for reading in readings[first : first + every]] for first in firsts]
    points = len(readings) * metrics
    with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as directory, store.run(Path(directory)) as kept:
        writing = _store(kept)
        writing.open()
        gc.collect()
        gc.freeze()  # the readings; processor has a few of them at a time
        gc.set_threshold(*YOUNG)
        began, used, put = time.monotonic(), time.process_time(), 0.0
        for taken in writes:
            writing.begin({0: 1})
            before = time.process_time()
            refused = writing.put(taken)
            put += time.process_time() - before
            writing.commit()
            assert not refused, refused[0]
        used, took = time.process_time() - used, time.monotonic() - began
        lost = points - kept.points()
        writing.close()
    return {"us": put / points * 1e6, "whole_us": used / points * 1e6, "points_per_s": points / took, "lost": lost}


def _store(kept: Running) -> InfluxStore | VictoriaStore:
    if isinstance(kept, Influx):
        return InfluxStore(*kept.access)
    assert isinstance(kept, Victoria)
    return VictoriaStore(kept.client(), now)
