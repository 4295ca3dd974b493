"""`sensorium capacity`, which is what `make bench` runs, in a short form."""

import json
import subprocess

import pytest

from tests.conftest import need
from tests.e2e.conftest import SENSORIUM


def capacity(*options: str) -> tuple[int, list[str]]:
    need("mosquitto", "mosquitto")
    small = ("--from", "200", "--to", "200", "--seconds", "1", "--devices", "20", "--p99", "20")
    done = subprocess.run(
        [*SENSORIUM, "capacity", *small, *options], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_it_finds_what_holds_and_measures_every_process() -> None:
    status, lines = capacity()
    assert status == 0, "\n".join(lines)
    found = json.loads(lines[-1])["capacity"]["Sensorium"]
    best = found["best"]
    assert (found["holds"], len(found["steps"])) == (200, 2)
    assert (best["messages"], best["points"], best["lost"]) == (200, 600, 0)
    assert 0 < best["latency_ms"]["p50"] <= best["latency_ms"]["p99"] < 20_000
    programs = {"stream", "broker", "ingest", "processor", "devices_api", "alerting", "simulators"}
    assert best["cpu_us_a_message"].keys() == best["memory_bytes"].keys() == programs
    assert best["followed"] >= 10
    assert found["store_bytes_a_point"] > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "kettle"), "there is no model 'kettle'"),
        (("--compare-query", "echo 1"), "--compare-command and --compare-query belong together"),
    ],
)
def test_what_a_person_can_mend_is_said_in_one_line(options: tuple[str, ...], said: str) -> None:
    status, lines = capacity(*options)
    assert status == 2
    assert said in lines[-1]
