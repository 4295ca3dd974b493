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
from tests.conftest import free_port, wait_until
from tests.e2e.conftest import SENSORIUM, Running, down, up

PORT_OPTIONS = ("--mqtt-port", "--api-port", "--alerting-port", "--nats-port")


def refusal(*arguments: str) -> str:
    """Run a command that cannot start; returns what it says."""
    done = subprocess.run([*SENSORIUM, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    return done.stderr.strip()


def gone(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("option", PORT_OPTIONS)
def test_a_port_in_use_is_named_with_the_option_that_changes_it(option: str, tmp_path: Path) -> None:
    chosen = dict(zip(PORT_OPTIONS, (free_port() for _ in PORT_OPTIONS), strict=True))
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


@pytest.mark.parametrize(
    "store", ["influxdb+ftp://x", "influxdb+http://h/b?token=a-secret", "victoria+http://u:a-secret@h", "."]
)
def test_a_store_that_cannot_be_is_refused_before_anything_is_made(store: str, tmp_path: Path) -> None:
    message = refusal("up", "--data-dir", str(tmp_path / "data"), "--store", store)
    assert message.startswith("sensorium: --store: ")
    assert "SENSORIUM_STORE_TOKEN" in message
    assert "a-secret" not in message
    assert not (tmp_path / "data").exists()


def test_the_store_that_is_chosen_is_written_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORIUM_STORE_TOKEN", "a-secret")
    chosen = tmp_path / "elsewhere" / "series.sqlite3"
    running = up(tmp_path / "data", "--store", str(chosen))
    try:
        paho.mqtt.publish.single("devices/kept/telemetry", '{"soil": 31.4}', qos=1, port=running.mqtt_port)
        wait_until(lambda: latest(running) == {"soil": 31.4}, "the reading can be queried")
        assert chosen.exists()
        assert not (running.directory / "timeseries.sqlite3").exists()
        given = {name: psutil.Process(pid) for name, pid in running.pids().items()}
        assert given["processor"].environ()["PROCESSOR_STORE_TOKEN"] == "a-secret"
        assert given["devices_api"].environ()["DEVICES_API_STORE_TOKEN"] == "a-secret"
        assert not any("a-secret" in part for process in given.values() for part in process.cmdline())
        assert not any("a-secret" in log.read_text() for log in (running.directory / "logs").glob("*.log"))
    finally:
        assert down(running) == 0


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
    return [str(part) for pair in zip(PORT_OPTIONS, (free_port() for _ in PORT_OPTIONS), strict=True) for part in pair]


def latest(running: Running) -> dict[str, object]:
    try:
        found = running.get(f"{running.api}/api/v1/devices/kept/telemetry/latest")
    except httpx.HTTPStatusError:  # not there yet
        return {}
    return {metric: entry["value"] for metric, entry in found["values"].items()}
