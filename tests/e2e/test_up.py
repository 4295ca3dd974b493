"""`sensorium up`, as a user meets it."""

import os
import signal
import subprocess
from pathlib import Path

import httpx
import paho.mqtt.publish
import psutil
import pytest

from contracts.service import listen
from deploy.local import ports
from tests.conftest import wait_until
from tests.e2e.conftest import SENSORIUM, Running, down, up

PORT_OPTIONS = ("--mqtt-port", "--api-port", "--alerting-port", "--nats-port")


def refusal(*arguments: str) -> str:
    """Run a command that cannot start; returns what it says."""
    done = subprocess.run([*SENSORIUM, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    return done.stderr.strip()


def gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


@pytest.mark.parametrize("option", PORT_OPTIONS)
def test_a_port_in_use_is_named_with_the_option_that_changes_it(option: str, tmp_path: Path) -> None:
    chosen = dict(zip(PORT_OPTIONS, ports.free("127.0.0.1", 4), strict=True))
    with listen("127.0.0.1", 0) as taken:
        chosen[option] = taken.getsockname()[1]
        arguments = [str(part) for pair in chosen.items() for part in pair]
        message = refusal("up", "--data-dir", str(tmp_path), *arguments)
    assert message == (
        f"sensorium: cannot listen on port {chosen[option]} of 127.0.0.1 (Address already in use): "
        f"choose another with {option} PORT"
    )


@pytest.mark.parametrize("broker", ["kafka", "mqtts://host", "mqtt://user:secret@host"])
def test_a_broker_it_does_not_know_is_refused(broker: str, tmp_path: Path) -> None:
    assert "use nats, mosquitto or mqtt://HOST[:PORT]" in refusal("up", "--data-dir", str(tmp_path), "--broker", broker)


def test_data_survives_a_restart_and_nothing_else_does(tmp_path: Path) -> None:
    first = up(tmp_path)
    pids = list(first.pids().values())
    assert {"broker", "stream", "ingest", "processor", "devices_api", "alerting"} == first.pids().keys()
    paho.mqtt.publish.single("devices/kept/telemetry", '{"soil": 31.4}', qos=1, port=first.mqtt_port)
    wait_until(lambda: latest(first).get("soil") == 31.4, "the reading can be queried")
    key = first.key
    assert down(first) == 0
    assert gone([*pids, first.process.pid])
    again = up(tmp_path)
    try:
        assert again.key == key
        assert latest(again) == {"soil": 31.4}
        other = refusal("up", "--data-dir", str(tmp_path), *free_ports())
        assert "is in use by another stack" in other
    finally:
        assert down(again) == 0


def test_nothing_is_left_behind_when_it_is_killed(tmp_path: Path) -> None:
    running = up(tmp_path)
    pids = list(running.pids().values())
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    wait_until(lambda: gone(pids), "its processes have ended")


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    running = up(tmp_path)
    try:
        for name, pid in running.pids().items():
            for connection in psutil.Process(pid).net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    assert connection.laddr.ip == "127.0.0.1", name
        assert (tmp_path / "admin.key").stat().st_mode & 0o777 == 0o600
        assert running.key not in (tmp_path / "logs" / "devices_api.log").read_text()
    finally:
        assert down(running) == 0


def free_ports() -> list[str]:
    return [str(part) for pair in zip(PORT_OPTIONS, ports.free("127.0.0.1", 4), strict=True) for part in pair]


def latest(running: Running) -> dict[str, object]:
    try:
        found = running.get(f"{running.api}/api/v1/devices/kept/telemetry/latest")
    except httpx.HTTPStatusError:  # not there yet
        return {}
    return {metric: entry["value"] for metric, entry in found["values"].items()}
