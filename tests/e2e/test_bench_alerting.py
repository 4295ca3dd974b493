"""The benchmark of alerting in short forms: that it runs, and that what it says can be true."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]


def run(*options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.alerting", *options]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_benchmark_of_alerting_is_told_of_every_alert_under_load() -> None:
    options = ("--warm-up", "0.5", "--seconds", "1", "--rate", "200", "--alerts", "10")
    told = run("--part", "latency", *options)["latency"]
    assert (told["firing"], told["resolved"], told["missing"]) == (10, 0, 0)
    assert 0 < told["firing_p50_ms"] <= told["firing_p99_ms"]
    assert told["messages"] > 100
    assert told["alerting_us_per_message"] > 0


@pytest.mark.soak
def test_the_benchmark_of_alerting_evaluates_every_reading_and_loads_every_rule() -> None:
    told = run("--part", "cost", "--readings", "20000", "--rounds", "1")
    assert [case["applying"] for case in told["cost"]] == [0, 1, 10, 0, 1]
    assert all(0 < case["us"] < 1000 for case in told["cost"])
    loading = run("--part", "loading", "--rules", "1500", "--devices", "300")["loading"]
    assert 0 < loading["ready_s"] <= loading["first_alert_s"]
    assert loading["rss_mib"] > 20
