"""Fixtures for every test. Servers are real, on free ports, one for each test session that asks."""

import contextlib
import itertools
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings
from pytest_socket import disable_socket, enable_socket

from deploy.local import servers

REQUIRE_SERVICES = os.environ.get("REQUIRE_SERVICES") == "1"
TOKEN = "a-token-for-tests"

# How long one example takes says more of what else the machine does than of the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Unit and contract tests open no socket."""
    if {"unit", "contract"} & set(Path(item.path).parts):
        disable_socket(allow_unix_socket=True)
    else:
        enable_socket()


def need(program: str, package: str) -> str:
    """Path of a server program; skips, or fails with REQUIRE_SERVICES=1, and names the package to install."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if path is None:
        message = f"{program} is missing: install the package '{package}'"
        if REQUIRE_SERVICES:
            pytest.fail(message)
        pytest.skip(message)
    return path


def _ports() -> Iterator[int]:
    """Give ports below those that the system gives to connections, one after the other, each worker its own.

    A server that binds late would lose any other port to a connection that begins meanwhile, or to another test.
    """
    local = Path("/proc/sys/net/ipv4/ip_local_port_range")
    end = int(local.read_text().split()[0]) if local.exists() else 32_768
    share = (end - _FIRST_PORT) // _SHARES
    assert share > 100, f"connections have ports from {end} on"
    first = _FIRST_PORT + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES * share
    begin = random.SystemRandom().randrange(share)  # other runs of the tests may be under way
    return (first + (begin + number) % share for number in itertools.count())


_FIRST_PORT, _SHARES = 10_000, 8
_PORTS = _ports()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, and that nobody else is given."""
    for port in itertools.islice(_PORTS, 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
    """Poll `condition` until it is true; fails, naming `what`, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    """Whether something listens on `port`."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass
class Server:
    """A server process that tests may stop and start again; its data stays in its directory."""

    command: list[str]
    port: int
    process: subprocess.Popen[bytes] | None = None
    monitor_port: int = 0

    @property
    def nats_url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        return f"http://127.0.0.1:{self.monitor_port}"

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._ready, f"{self.command[0]} to listen on port {self.port}")

    def _ready(self) -> bool:
        if not accepts(self.port):
            return False
        if not self.monitor_port:
            return True
        try:
            return httpx.get(f"{self.monitor_url}/healthz", timeout=1).is_success
        except httpx.HTTPError:
            return False

    def configure(self, old: str, new: str) -> None:
        """Change its configuration; it takes that with its next start, or SIGHUP."""
        config = Path(self.command[-1])
        text = config.read_text()
        assert old in text
        config.write_text(text.replace(old, new))

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def stream_server(directory: Path) -> Iterator[Server]:
    """nats-server as the stack configures it for the stream."""
    port, monitor = free_port(), free_port()
    config = directory / "stream.conf"
    config.write_text(servers.stream_config(directory / "stream", "127.0.0.1", port, monitor, TOKEN))
    server = Server([servers.nats_server(), "-c", str(config)], port, monitor_port=monitor)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def nats_broker(directory: Path) -> Iterator[Server]:
    """nats-server as the stack configures it for MQTT."""
    port = free_port()
    config = directory / "broker.conf"
    config.write_text(servers.broker_config(directory / "broker", "127.0.0.1", port))
    server = Server([servers.nats_server(), "-c", str(config)], port)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def mosquitto_broker(directory: Path) -> Iterator[Server]:
    """Mosquitto as the stack configures it."""
    program = need("mosquitto", "mosquitto")
    port = free_port()
    config = directory / "mosquitto.conf"
    config.write_text(servers.mosquitto_config(directory, "127.0.0.1", port))
    server = Server([program, "-c", str(config)], port)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def stream() -> Iterator[Server]:
    """Give a stream server of this test's own, with nothing in it."""
    with tempfile.TemporaryDirectory() as directory, stream_server(Path(directory)) as server:
        yield server


@pytest.fixture(params=["nats", "mosquitto"])
def broker(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Give an MQTT broker of this test's own: the test runs once for each kind."""
    make = {"nats": nats_broker, "mosquitto": mosquitto_broker}[request.param]
    with tempfile.TemporaryDirectory() as directory, make(Path(directory)) as server:
        yield server
