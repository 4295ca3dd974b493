"""The benchmark in a short form: that it runs, and that what it says can be true."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "pipeline.py"


@pytest.mark.alone
def test_the_benchmark_measures_every_process_and_loses_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--seconds", "2"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["published"] == result["stored"] > 1000
    assert result["lost"] == 0
    assert result["cpu_us_per_message"].keys() == {
        "broker",
        "stream",
        "ingest",
        "processor",
        "devices_api",
        "alerting",
        "generator",
    }
    assert all(spent > 0 for spent in result["cpu_us_per_message"].values())
    assert result["latency_p50_ms"] <= result["latency_p99_ms"]
