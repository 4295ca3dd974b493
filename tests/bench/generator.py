"""`make bench-generator`: how much a fleet can send, and what a message costs it in CPU, against Mosquitto.

The fleet is a process of its own, kept to one core, and does what it does in any run: the environment's model, JSON,
the ledger on disk, QoS 1, an open loop. Mosquitto has another core, and nobody subscribes. A row holds where as much
is acknowledged as is due, nothing is lost, and no message leaves later than a second after it was due. CPU is user and
system time of the fleet's process, all threads, without the first three seconds. `waited` is the share of the time in
which the fleet, or the broker, was ready and something else had its core: where that is not little, the row is about
what else the machine did.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from deploy.local import ports, servers
from tests.bench.generating import waited_s

HOST = "127.0.0.1"
BROKER_CORE, FLEET_CORE = 0, 1
LATE_S, ENOUGH = 1.0, 0.97
STARTS_S = 10.0


class Fleet(NamedTuple):
    """What is run; `connections` is None where each device has its own."""

    devices: int
    connections: int | None
    rate: float
    client: str = "native"

    @property
    def name(self) -> str:
        """Say it in a table."""
        return f"{self.client}, {self.devices} devices over {self.connections or self.devices}"


FLEETS = [
    Fleet(1000, 8, 40_000),
    Fleet(1000, 8, 80_000),
    Fleet(5000, None, 5_000),
    Fleet(5000, None, 10_000),
    Fleet(1000, 8, 2_000, "paho"),
]


@contextlib.contextmanager
def broker(directory: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run Mosquitto as the stack configures it, on a core of its own; gives its port, and the process."""
    (port,) = ports.free(HOST, 1)
    config = directory / "mosquitto.conf"
    config.write_text(servers.mosquitto_config(directory, HOST, port))
    running = subprocess.Popen(
        [servers.mosquitto() or "mosquitto", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process = psutil.Process(running.pid)
        process.cpu_affinity([BROKER_CORE])
        deadline = time.monotonic() + STARTS_S
        while not any(there.status == psutil.CONN_LISTEN for there in process.net_connections()):
            if time.monotonic() > deadline:
                raise TimeoutError("Mosquitto does not listen")
            time.sleep(0.05)
        yield port, process
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)


def measure(fleet: Fleet, seconds: float) -> dict[str, float]:
    """Run a fleet against a broker of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="sensorium-bench-") as directory,
        broker(Path(directory)) as (port, process),
    ):
        command = [sys.executable, "-m", "tests.bench.generating", "--port", str(port), "--core", str(FLEET_CORE)]
        command += ["--devices", str(fleet.devices), "--rate", str(fleet.rate), "--seconds", str(seconds)]
        command += ["--client", fleet.client]
        command += ["--connections", str(fleet.connections)] if fleet.connections else []
        began = time.monotonic()
        told: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        took = time.monotonic() - began
        return told | {
            "broker_share": sum(process.cpu_times()[:2]) / took,
            "broker_waited": waited_s(process.pid) / took,
        }


def about() -> dict[str, object]:
    """Say where this was measured, and with which versions."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    said = subprocess.run([servers.mosquitto() or "mosquitto", "-h"], capture_output=True, text=True, check=False)
    known = {name: version(name) for name in ("msgspec", "numpy", "paho-mqtt")}
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": known | {"mosquitto": said.stdout.split("\n")[0].removeprefix("mosquitto version ")},
        "commit": git.stdout.strip() or "unknown",
    }


def main() -> None:
    """Run, print a table for people, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description="Measure what a message costs a fleet.")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run, after its beginning")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        parser.error("the fleet and the broker need a core each, and this machine has one")
    where = about()
    print(f"{where['machine']}, Python {where['python']}, commit {where['commit']}")
    print("  ".join(f"{name} {number}" for name, number in dict(where["versions"]).items()))  # type: ignore[call-overload]
    print(f"{given.rounds} rounds of {given.seconds:g} s, medians")
    print(f"  {'':<32} offered/s  acked/s  µs CPU  of a core  waited  broker waited", end="")
    print("  latest s  connected s  MiB  lost  holds")
    found = {}
    for fleet in FLEETS:
        told = [measure(fleet, given.seconds) for _ in range(given.rounds)]
        middle = {key: median(one[key] for one in told) for key in told[0]}
        middle["lost"] = max(one["lost"] for one in told) or min(one["lost"] for one in told)
        holds = not middle["lost"] and middle["late_s"] < LATE_S and middle["per_s"] > fleet.rate * ENOUGH
        figures = f"{fleet.rate:10.0f}{middle['per_s']:9.0f}{middle['us']:8.1f}{middle['share']:11.2f}"
        figures += f"{middle['waited']:8.2f}{middle['broker_waited']:15.2f}{middle['late_s']:10.2f}"
        figures += f"{middle['connected_s']:13.1f}{middle['rss_mib']:5.0f}{middle['lost']:6.0f}"
        print(f"  {fleet.name:<32}{figures}  {'yes' if holds else 'NO'}", flush=True)
        rounded = {key: round(value, 3) for key, value in middle.items()}
        found[f"{fleet.name} at {fleet.rate:.0f}/s"] = rounded | {"holds": holds}
    print(json.dumps({"rounds": given.rounds, "seconds": given.seconds, "fleets": found} | where))


if __name__ == "__main__":
    main()
