"""The benchmark of processor in a short form: that it runs, and that what it says can be true."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.stores import STORES

PROJECT = Path(__file__).parents[2]


@pytest.mark.alone
def test_the_benchmark_of_processor_stores_every_point_once() -> None:
    command = [sys.executable, "-m", "tests.bench.processor", "--store", "sqlite", "--rounds", "1"]
    command += ["--points", "40000", "--scenario", "late and repeated"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])["stores"]["sqlite"]["scenarios"]
    assert set(told) == {"late and repeated"}
    for scenario in told.values():
        assert scenario["lost"] == 0
        assert 0 < scenario["us"] < 1000
        assert scenario["points_per_s"] > 1000
        assert 20 < scenario["bytes"] < 1000
        assert scenario["rss_mib"] > 20


@pytest.mark.alone
def test_the_benchmark_of_sending_stores_every_point_once_in_each_server_that_is_installed() -> None:
    command = [sys.executable, "-m", "tests.bench.processor", "--send", "--rounds", "1"]
    command += ["--points", "40000", "--scenario", "in order"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])["stores"]
    assert set(told) == {name for name, store in STORES.items() if store.program and store.installed}
    for store in told.values():
        for scenario in store["scenarios"].values():
            assert scenario["lost"] == 0
            assert 0 < scenario["us"] <= scenario["whole_us"] < 1000
