"""`make bench-api`: how fast devices_api answers, with many devices and points, to one client and to fifty.

The service runs as the stack runs it, with SQLite for both databases, and is asked over HTTP by another process. Reads
need no stream server, so none runs. Data is made first (tests/bench/fleet.py), which takes minutes; `--keep DIR` keeps
it for the next run. Latency is from sending a request until the last byte of its answer; CPU is user and system time of
the service, all threads, for each answer.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlencode

import httpx
import msgspec
import psutil

from deploy.local import ports
from tests.bench.asking import Plan, Told
from tests.bench.fleet import END, MINUTES, PROFILES, SITES, START, Fleet, made, site

HOST = "127.0.0.1"
KEY = "a-key-for-the-benchmark"
BASE = "/api/v1"
CLIENTS = (1, 50)
PATHS = 500
PAGES = 40
STARTS_S = 60.0


@dataclass(frozen=True)
class Case:
    """A kind of question: what is asked in turn, and the most ms that the p99 of one client may be, if that is said."""

    name: str
    paths: Sequence[str]
    mark_ms: float | None = None


@dataclass(frozen=True)
class Service:
    """The service under measure."""

    port: int
    process: psutil.Process

    def cpu_ms(self) -> float:
        """Give user and system time of it so far."""
        return 1000 * sum(self.process.cpu_times()[:2])


def cases(fleet: Fleet, cursors: Sequence[str], rng: random.Random) -> list[Case]:
    """Make the questions: each of many, so that it is not one page of a database that is asked for again and again."""
    day = {"start": str(START // 10**9), "end": str(END // 10**9)}

    def devices(query: dict[str, str]) -> str:
        return _path("/devices", {"limit": "100"} | query)

    def chosen(text: str) -> list[str]:
        pairs = [(rng.choice(PROFILES), f"site-{rng.randrange(SITES):02}") for _ in range(PATHS)]
        return [devices({"filter": text.format(profile=profile, site=of)}) for profile, of in pairs]

    def readings(query: dict[str, str]) -> list[str]:
        those = rng.choices(fleet.talkative, k=PATHS)
        return [_path(f"/devices/{one}/telemetry", {"metric": "flow"} | day | query) for one in those]

    some = rng.choices(range(fleet.devices), k=PATHS)
    words = [f"{site(number)} {rng.choice(PROFILES)}" for number in some]
    return [
        Case("list, a page of 100", [devices({"cursor": cursor}) for cursor in cursors], mark_ms=30),
        Case("list, last seen first", [devices({"sort": "-last_seen"})]),
        Case(
            "filter: profile, tag, offline",
            chosen('profile eq "{profile}" and tags.site eq "{site}" and online eq false'),
        ),
        Case("filter: one site", chosen('tags.site eq "{site}"')),
        Case("search: two words", [devices({"search": one}) for one in words]),
        Case("search: a serial number", [devices({"search": f"{number * 7919 % 1_000_003:06}"}) for number in some]),
        *(Case(f"counts by {by}", [_path("/devices/counts", {"by": by})]) for by in ("profile", "group", "state")),
        Case("counts by a tag", [_path("/devices/counts", {"by": "tags.site"})]),
        Case("one device", [_path(f"/devices/{one}") for one in rng.choices(fleet.ids, k=PATHS)]),
        Case(
            "latest of a device",
            [_path(f"/devices/{one}/telemetry/latest") for one in rng.choices(fleet.ids, k=PATHS)],
            mark_ms=20,
        ),
        Case(
            "latest of a page of a site",
            [_path("/telemetry/latest", {"filter": f'tags.site eq "{site(number)}"'}) for number in some],
        ),
        Case("24 h, all points", readings({"limit": str(2 * MINUTES)})),
        Case("24 h at 1m", readings({"aggregate": "mean", "interval": "1m", "limit": str(MINUTES)}), mark_ms=30),
        Case("24 h at 1h", readings({"aggregate": "mean", "interval": "1h"})),
    ]


def _path(path: str, query: dict[str, str] | None = None) -> str:
    return f"{BASE}{path}" + (f"?{urlencode(query)}" if query else "")


@contextlib.contextmanager
def service(directory: Path) -> Iterator["Service"]:
    """Run devices_api on the databases in `directory` until the end of the block."""
    port, nobody = ports.free(HOST, 2)
    env = {
        "DEVICES_API_KEY": KEY,
        "DEVICES_API_PORT": str(port),
        "DEVICES_API_NATS_URL": f"nats://{HOST}:{nobody}",
        "DEVICES_API_DATABASE_URL": f"sqlite+aiosqlite:///{directory}/registry.sqlite3",
        "DEVICES_API_STORE": f"{directory}/timeseries.sqlite3",
    }
    with (directory / "devices_api.log").open("wb") as log:
        running = subprocess.Popen([sys.executable, "-m", "devices_api"], env=os.environ | env, stdout=log, stderr=log)
        try:
            _answers(running, port, time.monotonic() + STARTS_S)
            yield Service(port, psutil.Process(running.pid))
        finally:
            running.terminate()
            running.wait(60)


def _answers(running: "subprocess.Popen[bytes]", port: int, deadline: float) -> None:
    """Wait until the registry is there."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            if _get(port, "/devices", {"limit": "1"}).status_code == 200:
                return
        if running.poll() is not None or time.monotonic() > deadline:
            raise ChildProcessError("devices_api has ended, or does not answer: see devices_api.log in its directory")
        time.sleep(0.1)


def _get(port: int, path: str, query: dict[str, str]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.get(f"http://{HOST}:{port}{_path(path, query)}", headers=headers, timeout=60, trust_env=False)


def _cursors(port: int, devices: int) -> list[str]:
    """Walk through the list, and give where its pages begin."""
    found: list[str] = []
    query = {"limit": str(max(1, min(1000, devices // PAGES - 1)))}
    while len(found) < PAGES:
        following = _get(port, "/devices", query | ({"cursor": found[-1]} if found else {})).json()["next"]
        if following is None:
            break
        found.append(following)
    return found


def asked(port: int, case: Case, clients: int, seconds: float) -> Told:
    """Ask a case's questions from another process."""
    plan = Plan(HOST, port, KEY, list(case.paths), clients, seconds)
    command = [sys.executable, "-m", "tests.bench.asking"]
    done = subprocess.run(command, input=msgspec.json.encode(plan), stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Told)


def measure(running: Service, every: Sequence[Case], seconds: float) -> dict[str, dict[str, object]]:
    """Ask all cases, by one client and by many; prints a line for each."""
    found: dict[str, dict[str, object]] = {}
    columns = f"{'clients':>8}{'p50 ms':>9}{'p99 ms':>9}{'most ms':>9}{'a second':>10}{'CPU ms':>8}{'bytes':>9}  errors"
    print(f"  {'':<30}{columns}")
    for case in every:
        about = found[case.name] = {"mark_ms": case.mark_ms}
        for clients in CLIENTS:
            before = running.cpu_ms()
            told = asked(running.port, case, clients, seconds)
            cpu_ms = round((running.cpu_ms() - before) / max(1, told.asked), 2)
            about[f"clients_{clients}"] = msgspec.to_builtins(told) | {"cpu_ms": cpu_ms}
            print(_line(case, clients, told, cpu_ms), flush=True)
        about["missed"] = missed(case, about)
    return found


def missed(case: Case, about: dict[str, object]) -> bool:
    """Whether a mark is missed, or there was any error."""
    one, many = (msgspec.convert(about[f"clients_{clients}"], Told) for clients in CLIENTS)
    late = case.mark_ms is not None and one.p99_ms > case.mark_ms
    return late or bool(one.errors or many.errors)


def _line(case: Case, clients: int, told: Told, cpu_ms: float) -> str:
    errors = ", ".join(f"{count} {name}" for name, count in told.errors.items()) or "none"
    mark = "" if case.mark_ms is None or clients > 1 else f"  (mark: {case.mark_ms:g} ms)"
    return (
        f"  {case.name if clients == CLIENTS[0] else '':<30}{clients:>8}{told.p50_ms:>9.1f}{told.p99_ms:>9.1f}"
        f"{told.most_ms:>9.1f}{told.per_s:>10.0f}{cpu_ms:>8.1f}{told.bytes_each:>9}  {errors}{mark}"
    )


def about() -> dict[str, object]:
    """Say where this was measured, and with which versions."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    packages = ("aiosqlite", "fastapi", "msgspec", "pydantic", "sqlalchemy", "uvicorn")
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages} | {"sqlite": sqlite3.sqlite_version},
        "commit": git.stdout.strip() or "unknown",
        "load": round(os.getloadavg()[0], 1),
    }


def run(directory: Path, given: argparse.Namespace) -> dict[str, object]:
    """Make the data, ask, and tell."""
    fleet, began = Fleet.of(given.devices, given.points), time.monotonic()
    points = made(directory, fleet)
    size = (directory / "timeseries.sqlite3").stat().st_size
    print(
        f"{fleet.devices} devices, {points} points: {fleet.busy} devices speak once a minute, the others every "
        f"{fleet.every}; {size / 1e9:.2f} GB, {time.monotonic() - began:.0f} s to make or find",
        flush=True,
    )
    with service(directory) as running:
        every = cases(fleet, _cursors(running.port, fleet.devices), random.Random(given.seed))
        chosen = [case for case in every if not given.case or any(part in case.name for part in given.case)]
        found = measure(running, chosen, given.seconds)
    late = [name for name, told in found.items() if told["missed"]]
    print(f"  missed: {', '.join(late)}" if late else "  every mark is met, without an error")
    return {"devices": fleet.devices, "points": points, "bytes": size, "cases": found}


def main() -> None:
    """Run, print a table for people, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description="Measure how fast devices_api answers.")
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=100_000_000, help="about so many; 100 million take 12 GB of disk")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each case, for each number of clients")
    parser.add_argument("--case", action="append", help="only cases with this in their name; again for more")
    parser.add_argument("--seed", type=int, default=1, help="the same seed asks the same questions")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="make the data there, or use what is there")
    given = parser.parse_args()
    where = about()
    print(f"{where['machine']}, Python {where['python']}, commit {where['commit']}, load {where['load']}")
    print("  ".join(f"{name} {number}" for name, number in dict(where["versions"]).items()))  # type: ignore[call-overload]
    with contextlib.ExitStack() as stack:
        directory = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sensorium-bench-")))
        found = run(directory, given)
    print(json.dumps(found | where))


if __name__ == "__main__":
    main()
