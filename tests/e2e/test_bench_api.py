"""The benchmark of devices_api in a short form: that what it asks has answers, and that its data is true."""

import asyncio
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.timeseries import HOUR, MINUTE, days_of
from devices_api.telemetry.sqlite import SqliteTimeSeries
from devices_api.telemetry.windows import Aggregate, Every, Grid, Query
from tests.bench.fleet import END, MINUTES, START, Fleet, device_id, made
from tests.stores.oracle_of_queries import slowly

PROJECT = Path(__file__).parents[2]
GRIDS: tuple[Grid, ...] = (Every(MINUTE), Every(HOUR), days_of(""))


def test_the_benchmark_of_devices_api_is_answered_without_an_error() -> None:
    command = [sys.executable, "-m", "tests.bench.api", "--devices", "400", "--points", "40000", "--seconds", "0.2"]
    for case in ("list, a page", "filter: one site", "latest of a device", "24 h at 1m"):
        command += ["--case", case]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["devices"] == 400
    assert told["points"] == pytest.approx(40_000, rel=0.1)
    assert len(told["cases"]) == 4
    for case in told["cases"].values():
        for clients in ("clients_1", "clients_50"):
            assert case[clients]["errors"] == {}
            assert case[clients]["asked"] > 0
            assert 0 < case[clients]["p50_ms"] <= case[clients]["p99_ms"] <= case[clients]["most_ms"]
            assert 0 < case[clients]["cpu_ms"] < 1000
    assert told["cases"]["24 h at 1m"]["clients_1"]["bytes_each"] > MINUTES * 40


async def test_the_windows_of_the_benchmarks_fleet_are_those_of_its_points(tmp_path: Path) -> None:
    fleet = Fleet.of(6, 9000)
    points = await asyncio.to_thread(made, tmp_path, fleet)
    assert await asyncio.to_thread(made, tmp_path, fleet) == points
    store, found = SqliteTimeSeries(tmp_path / "timeseries.sqlite3"), 0
    for number in range(fleet.devices):
        for metric in ("flow", "pressure", "temperature"):
            raw = await store.points(device_id(number), metric, START, END, 10_000)
            found += len(raw)
            assert len(raw) == (MINUTES if number < fleet.busy else len(range(0, MINUTES, fleet.every)))
            assert (await store.latest(device_id(number)))[metric] == raw[-1]
            for grid, aggregate in itertools.product(GRIDS, Aggregate):
                query = Query(device_id(number), metric, aggregate, START, END, grid, days_of(""))
                answer = await store.windows(query)
                assert dict(answer.windows) == pytest.approx(dict(slowly(dict(raw), aggregate, grid, START, END)))
    await store.close()
    assert found == points
