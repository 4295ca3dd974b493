"""What `make bench-generator` measures: a fleet in a process of its own, as `sensorium simulate` runs one.

It prints one JSON object: how many messages a second were acknowledged, the CPU of this process for each, how large a
share of one core that is, and how late messages left at worst. The first seconds, in which it begins, are not counted.
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from random import Random

from contracts import logs
from simulators.connections.clients import CLIENTS
from simulators.connections.limits import allow_connections
from simulators.connections.parties import Broker, Options
from simulators.formats import format_named
from simulators.metrics import Metrics
from simulators.models.library import model
from simulators.plan.load import Load, Phase
from simulators.plan.plan import Plan
from simulators.running.fleet import Fleet
from simulators.running.parts import Group, lines_of, parts_of
from simulators.truth.entries import Run
from simulators.truth.ledger import LedgerFile

SEED, WARM_UP_S = 1, 3.0
now = time.time_ns  # noqa: TID251 - as the composition root does


def main() -> None:
    """Run a fleet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--devices", type=int, required=True)
    parser.add_argument("--connections", type=int, help="that devices share; else each has its own")
    parser.add_argument("--rate", type=float, required=True, help="messages a second of all")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--model", default="environment")
    parser.add_argument("--client", choices=list(CLIENTS), default="native")
    parser.add_argument("--core", type=int)
    given = parser.parse_args()
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as directory:
        print(json.dumps(asyncio.run(measured(given, Path(directory)))))


def waited_s(pid: int) -> float:
    """Say for how long a process' first thread was ready to run, and something else had its core; 0 if nobody tells."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


async def measured(given: argparse.Namespace, directory: Path) -> dict[str, float]:
    """Run it, and give what it came to."""
    broker, log = Broker("127.0.0.1", given.port), logs.quiet()
    connect = CLIENTS[given.client](broker, login=lambda _: None, now=now, rng=Random(1), log=log, options=Options())
    groups = [
        Group(
            model(given.model),
            format_named("json"),
            given.devices,
            given.rate / given.devices,
            connections=given.connections,
        )
    ]
    parts = parts_of(groups, SEED)
    lines = [(connect, line) for _, line in lines_of(groups, parts)]
    allow_connections(len(lines))
    fleet = Fleet(
        plan=Plan(SEED, parts, Load([Phase(WARM_UP_S + given.seconds)])),
        lines=lines,
        ledger=LedgerFile(directory / "ledger", Run(SEED, now(), [], []), log),
        metrics=Metrics(),
        now=now,
        log=log,
    )
    gc.freeze()
    began = time.monotonic()
    fleet.start()
    while not fleet.up:
        await asyncio.sleep(0.01)
    connected_s = time.monotonic() - began
    await asyncio.sleep(WARM_UP_S)
    before, acked, cpu, waited = time.monotonic(), fleet.progress.acked, time.process_time(), waited_s(os.getpid())
    await fleet.done.wait()
    settled = await fleet.settled(60)
    took, used = time.monotonic() - before, time.process_time() - cpu
    messages, waited = fleet.progress.acked - acked, waited_s(os.getpid()) - waited
    found = {
        "per_s": messages / took,
        "us": used / messages * 1e6,
        "share": used / took,
        "waited": waited / took,
        "late_s": fleet.progress.worst_behind_s,
        "connected_s": connected_s,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "lost": fleet.progress.planned - fleet.progress.acked if settled else -1,
        "ledger_bytes": (directory / "ledger").stat().st_size / max(1, fleet.progress.acked),
    }
    await fleet.stop(20)
    return found


if __name__ == "__main__":
    main()
