"""A running stack, started as a user starts it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import free_port, wait_until

SENSORIUM = [sys.executable, "-m", "deploy.local"]


@dataclass
class Running:
    """`sensorium up` on free ports; its processes may be killed, and come back."""

    directory: Path
    mqtt_port: int
    api: str
    alerting: str
    process: subprocess.Popen[bytes]

    @property
    def key(self) -> str:
        return (self.directory / "admin.key").read_text().strip()

    def pids(self) -> dict[str, int]:
        found: dict[str, int] = json.loads((self.directory / "run.json").read_text())
        return found

    def kill(self, name: str) -> None:
        """End one process with SIGKILL and wait until another has taken its place."""
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.pids().get(name, pid) != pid, f"{name} is started again")

    def get(self, url: str, **query: str | int) -> Any:  # noqa: ANN401 - any JSON
        answer = httpx.get(url, params=query, headers={"Authorization": f"Bearer {self.key}"}, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def post(self, url: str, body: dict[str, object]) -> Any:  # noqa: ANN401 - any JSON
        answer = httpx.post(url, json=body, headers={"Authorization": f"Bearer {self.key}"}, timeout=30)
        answer.raise_for_status()
        return answer.json()


def up(directory: Path, *more: str) -> Running:
    """Start a stack and wait until it says that it is ready."""
    mqtt, api, alerting, nats = (free_port() for _ in range(4))
    output = directory / "up.log"
    directory.mkdir(parents=True, exist_ok=True)
    options = {"--mqtt-port": mqtt, "--api-port": api, "--alerting-port": alerting, "--nats-port": nats}
    command = [*SENSORIUM, "up", "--data-dir", str(directory), *more]
    for option, port in options.items():
        command += [option, str(port)]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    running = Running(directory, mqtt, f"http://127.0.0.1:{api}", f"http://127.0.0.1:{alerting}", process)
    wait_until(
        lambda: "Sensorium is ready" in output.read_text() or process.poll() is not None, "the stack is ready", 60
    )
    assert process.poll() is None, output.read_text()
    return running


def down(running: Running) -> int:
    """Stop a stack as Ctrl-C does; returns its status."""
    running.process.send_signal(signal.SIGINT)
    return running.process.wait(40)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give one stack to all tests of a file."""
    running = up(tmp_path_factory.mktemp("stack"))
    yield running
    assert down(running) == 0
