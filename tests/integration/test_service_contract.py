"""The operating contract of contracts/README.md, run over every service."""

import asyncio
import contextlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from contracts import logs, streams
from contracts.jetstream import Link, ensure_bucket, ensure_stream
from contracts.service import listen, running
from tests.conftest import TOKEN, Server, free_port, wait_until

SERVICES = ["ingest", "processor", "devices_api", "alerting", "simulators"]
WITH_STREAM = SERVICES[:4]
SECRET = "a-key-that-only-this-test-has"
MISSING = {
    "ingest": {"stream server", "broker"},
    "processor": {"stream server"},
    "devices_api": {"stream server"},
    "alerting": {"stream server"},
    "simulators": {"broker"},
}


def environment(name: str, directory: Path, **more: str) -> dict[str, str]:
    """Settings of a service whose peers are nowhere."""
    prefix = f"{name.upper()}_"
    env = {"PORT": str(free_port()), "DRAIN_SECONDS": "5"}
    if name in WITH_STREAM:
        env |= {"NATS_URL": f"nats://127.0.0.1:{free_port()}", "NATS_TOKEN": TOKEN}
    if name in ("ingest", "simulators"):
        env |= {"MQTT_PORT": str(free_port())}
    if name in ("processor", "devices_api"):
        env |= {"STORE": str(directory / "timeseries.sqlite3")}
    if name in ("devices_api", "alerting"):
        env |= {"KEY": SECRET, "DATABASE_URL": f"sqlite+aiosqlite:///{directory / name}.sqlite3"}
    if name == "simulators":
        env |= {"LEDGER": str(directory / "fleet.ledger"), "DEVICES": "3"}
    return {prefix + key: value for key, value in (env | more).items()}


class Process:
    """A service in a process of its own."""

    def __init__(self, name: str, env: dict[str, str], directory: Path) -> None:
        self.url = f"http://127.0.0.1:{env[f'{name.upper()}_PORT']}"
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "-m", name], env={**os.environ, **env}, stderr=log)

    def get(self, path: str) -> httpx.Response | None:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(self.url + path, timeout=2)
        return None

    def waiting_for(self) -> set[str]:
        answer = self.get("/readyz")
        return set(answer.json()["waiting_for"]) if answer else {"its own start"}

    def wait_alive(self) -> None:
        wait_until(lambda: self.get("/healthz") is not None or self.process.poll() is not None, "answers /healthz")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture(params=SERVICES, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.contextmanager
def without_peers(name: str, directory: Path) -> Iterator[Process]:
    """Start a service whose peers are nowhere."""
    process = Process(name, environment(name, directory), directory)
    try:
        process.wait_alive()
        yield process
    finally:
        process.process.kill()
        process.process.wait()


@pytest.fixture(scope="module")
def alone(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """Give a service whose peers are nowhere to the tests that only ask it."""
    with without_peers(name, tmp_path_factory.mktemp(name)) as process:
        yield process


def refusal(name: str, env: dict[str, str]) -> list[str]:
    """Start a service that cannot start; returns what it says."""
    done = subprocess.run(
        [sys.executable, "-m", name], env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    return done.stderr.splitlines()


def test_a_wrong_setting_ends_it_with_one_line(name: str, tmp_path: Path) -> None:
    [line] = refusal(name, environment(name, tmp_path, DRAIN_SECONDS="soon"))
    assert line.startswith(f"{name.upper()}_DRAIN_SECONDS is 'soon': ")


@pytest.mark.parametrize("name", ["devices_api", "alerting"])
def test_there_is_no_default_secret(name: str, tmp_path: Path) -> None:
    env = environment(name, tmp_path)
    del env[f"{name.upper()}_KEY"]
    [line] = refusal(name, env)
    assert line.startswith(f"{name.upper()}_KEY is not set: ")


def test_a_port_that_is_taken_ends_it_with_one_line(name: str, tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        [line] = refusal(name, environment(name, tmp_path, PORT=str(port)))
    assert line.startswith(f"{name.upper()}_PORT is {port}: cannot listen on 127.0.0.1:{port}: ")


def test_it_starts_without_its_peers_and_names_them(name: str, alone: Process) -> None:
    answer = alone.get("/readyz")
    assert answer is not None
    assert answer.status_code == 503
    assert answer.json()["status"] == "waiting"
    assert MISSING[name] <= alone.waiting_for()


def test_its_metrics_say_when_they_move(name: str, alone: Process) -> None:
    answer = alone.get("/metrics")
    assert answer is not None
    families = list(text_string_to_metric_families(answer.text))
    assert families
    for family in families:
        assert family.name.startswith(f"{name}_"), family.name
        assert len(family.documentation) > 10, family.name
        assert not family.name.endswith("_created"), family.name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_even_while_it_waits_and_it_has_logged_json_lines_and_no_secret(
    name: str, tmp_path: Path, number: signal.Signals
) -> None:
    with without_peers(name, tmp_path) as process:
        assert process.end(number) == 0
    lines = process.log.read_text().splitlines()
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert re.fullmatch(r"[a-z_]+\.[a-z_.]+", entry["event"]), entry
        assert {"level", "time", "service"} <= entry.keys()
        assert SECRET not in line
        assert TOKEN not in line


def test_it_becomes_ready_when_its_peers_come_and_needs_no_restart_when_they_go(
    name: str, tmp_path: Path, stream: Server, broker: Server
) -> None:
    stream.kill()
    broker.kill()
    env = environment(name, tmp_path)
    prefix = f"{name.upper()}_"
    wiring = {"NATS_URL": stream.nats_url, "NATS_MONITOR_URL": stream.monitor_url, "MQTT_PORT": str(broker.port)}
    service = Process(name, env | {prefix + key: value for key, value in wiring.items()}, tmp_path)
    try:
        service.wait_alive()
        wait_until(lambda: service.waiting_for() >= MISSING[name], "names its peers")
        stream.start()
        broker.start()
        asyncio.run(make_streams(stream))
        wait_until(lambda: service.waiting_for() == set(), f"is ready: {service.waiting_for()}")
        stream.kill()
        broker.kill()
        wait_until(lambda: service.waiting_for() >= MISSING[name], "sees that its peers have gone")
        stream.start()
        broker.start()
        wait_until(lambda: service.waiting_for() == set(), f"is ready again: {service.waiting_for()}")
        assert service.end() == 0
    finally:
        service.process.kill()
        service.process.wait()


async def make_streams(server: Server) -> None:
    """Do what the other services do when they start."""
    link = await Link(server.nats_url, TOKEN, "test", logs.quiet()).connect()
    for declared in (streams.TELEMETRY, streams.PRESENCE, streams.DEADLETTERS, streams.REPLAYS):
        await ensure_stream(link.js, declared)
    await ensure_bucket(link.js, streams.DEVICES_BUCKET)
    await link.close()


def build(name: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - any service's App
    """Build a service in this process."""
    directory.mkdir(exist_ok=True)
    for variable, value in environment(name, directory).items():
        monkeypatch.setenv(variable, value)
    settings = importlib.import_module(f"{name}.settings").Settings()
    return importlib.import_module(f"{name}.app").App(settings, logs.quiet())


async def test_stopping_twice_and_before_starting_does_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_started = build(name, tmp_path, monkeypatch)
    await never_started.stop()
    app = build(name, tmp_path, monkeypatch)
    await app.start()
    await app.stop()
    await app.stop()


async def test_two_instances_in_one_process_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = []
    async with contextlib.AsyncExitStack() as stack:
        for directory in (tmp_path / "one", tmp_path / "two"):
            listener = stack.enter_context(listen("127.0.0.1", 0))
            urls.append(f"http://127.0.0.1:{listener.getsockname()[1]}")
            await stack.enter_async_context(running(build(name, directory, monkeypatch), listener, 5, logs.quiet()))
        async with httpx.AsyncClient() as client:
            for url in urls:
                assert (await client.get(f"{url}/healthz")).json() == {"status": "alive"}
                assert (await client.get(f"{url}/metrics")).is_success


async def test_an_answer_is_not_held_back(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nagle's algorithm and delayed acknowledgements together cost 40 ms for each answer on a kept connection."""
    with listen("127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/healthz"
        async with (
            running(build(name, tmp_path, monkeypatch), listener, 5, logs.quiet()),
            httpx.AsyncClient() as client,
        ):
            took = []
            for _ in range(20):
                began = asyncio.get_running_loop().time()
                await client.get(url)
                took.append(asyncio.get_running_loop().time() - began)
    assert min(took) < 0.02
