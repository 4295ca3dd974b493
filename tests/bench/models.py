"""What the values of simulated devices cost: `python -m tests.bench.models [ROWS]`, in µs of CPU a reading.

Each model is asked for ROWS readings of as many devices in one call, again and again; the best time is told.
"""

import sys
import time

import numpy as np

from simulators.models.library import model, shipped

START = 1_795_000_000_000_000_000
ROUNDS, CALLS = 15, 10


def cost(name: str, rows: int) -> float:
    """Give the µs of a reading, all of its metrics included."""
    kind, devices = model(name), np.arange(rows)
    best = float("inf")
    for turn in range(ROUNDS):
        ts = START + turn * 1_000_000_000 + np.arange(rows) * 1_000_000
        began = time.process_time_ns()
        for _ in range(CALLS):
            kind.values(1, devices, ts)
        best = min(best, (time.process_time_ns() - began) / CALLS / rows / 1000)
    return best


def main() -> None:
    """Print a line for each model."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    for name in shipped():
        print(f"{name:12} {len(model(name).metrics):2} metrics {cost(name, rows):6.2f} µs a reading of {rows}")


if __name__ == "__main__":
    main()
