"""`sensorium demo`, which is what `make demo` runs."""

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import wait_until
from tests.e2e.conftest import SENSORIUM

KEYS = {
    "published",
    "stored",
    "dead_lettered",
    "duplicates",
    "lost",
    "latency_p50_ms",
    "latency_p99_ms",
    "alerts_fired",
    "alerts_resolved",
}


def test_it_accounts_for_every_reading_and_ends_with_one_json_object() -> None:
    done = subprocess.run(
        [*SENSORIUM, "demo", "--seconds", "15"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result.keys() == KEYS
    assert result["published"] >= 50 * 15 * 0.8
    assert result["stored"] + result["dead_lettered"] == result["published"]
    assert result["dead_lettered"] > 0
    assert (result["lost"], result["duplicates"]) == (0, 0)
    assert 0 < result["latency_p50_ms"] <= result["latency_p99_ms"] < 5000
    assert result["alerts_fired"] > 0
    curl = next(line for line in done.stdout.splitlines() if line.startswith("curl "))
    assert "Authorization: Bearer " in curl


@pytest.mark.alone
def test_ctrl_c_stops_everything_within_ten_seconds(tmp_path: Path) -> None:
    shown, terminal = pty.openpty()  # the demo draws only on a terminal
    process = subprocess.Popen(
        [*SENSORIUM, "demo"], stdout=terminal, stderr=terminal, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    os.close(terminal)
    screen = b""
    while b"First reading stored" not in screen:
        screen += os.read(shown, 65_536)
    pids = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert len(pids) >= 6
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    while chunk := read(shown):
        screen += chunk
    assert process.wait(10) == 0
    assert time.monotonic() - pressed < 10
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "its processes have ended")
    assert list(tmp_path.iterdir()) == [], "its data is gone"
    assert b"latest values, from the query API" in screen
    assert b'"lost": 0' in screen


def read(terminal: int) -> bytes:
    """Read what is shown; a terminal whose other end is closed reports an error on Linux."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
