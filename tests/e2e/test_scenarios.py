"""`sensorium simulate` with scenarios: those that are shipped pass, and what is not as expected is told."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from simulators.scenario.reading import read, shipped
from tests.conftest import need, wait_until
from tests.e2e.conftest import SENSORIUM, Running

SMALL = """
name = "small"
title = "Four pumps"
expect = ["lost == 0", "published < 10"]

[[fleet]]
model = "pump"
devices = 4
rate = 10
prefix = "{prefix}"

[[phase]]
seconds = {seconds}

[[failure]]
do = "kill alerting"
at = 0
"""


def simulate(*arguments: str | Path, seconds: float = 60) -> tuple[int, dict[str, Any], str]:
    """Run the command; gives its status, its last line, and what else it said."""
    command = [*SENSORIUM, "simulate", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    said = done.stdout.splitlines()
    return done.returncode, json.loads(said[-1]) if said else {}, done.stderr


def test_smoke_passes_on_a_stack_of_its_own(tmp_path: Path) -> None:
    status, result, said = simulate("smoke", "--seconds", "3", "--report", tmp_path)
    assert status == 0, said
    assert result["passed"]
    assert result["published"] == 210
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verdict"]["counts"]["stored"] >= 210
    assert all(one["passed"] for one in report["expected"])
    assert {latency["name"] for latency in report["latencies"] if latency["count"]} == {
        "publish → PUBACK",
        "publish → queryable",
    }
    assert {"ingest", "processor", "broker", "simulators"} <= {usage["name"] for usage in report["usage"]}
    assert "✓ passed" in (tmp_path / "report.html").read_text()


def test_what_is_not_as_expected_is_told_with_status_1(stack: Running, tmp_path: Path) -> None:
    scenario = tmp_path / "small.toml"
    scenario.write_text(SMALL.format(prefix="failing", seconds=1))
    before = stack.pids()["alerting"]
    status, result, said = simulate(scenario, "--data-dir", stack.directory, "--report", tmp_path)
    assert status == 1, said
    assert result["failed"] == ["published < 10"]
    assert (result["published"], result["verdict"]["lost"], result["troubles"]) == (40, 0, [])
    assert "✗ published < 10" in said
    wait_until(lambda: stack.pids().get("alerting", before) != before, "what was killed is there again")


def test_ctrl_c_checks_what_was_sent_and_writes_the_report(stack: Running, tmp_path: Path) -> None:
    scenario = tmp_path / "small.toml"
    scenario.write_text(SMALL.format(prefix="stopped", seconds=600))
    command = [*SENSORIUM, "simulate", str(scenario), "--data-dir", str(stack.directory), "--report", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "acknowledged" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, said = process.communicate(timeout=40)
    assert process.returncode == 1, said
    result = json.loads(output.splitlines()[-1])
    assert result["troubles"] == ["stopped before its end"]
    assert result["verdict"]["lost"] == 0
    assert result["verdict"]["stored"] >= result["published"] >= 30
    assert json.loads((tmp_path / "report.json").read_text())["seconds"] < 60


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL.format(prefix="x", seconds=1).replace("pump", "submarine"), "there is no model 'submarine'"),
        (SMALL.format(prefix="x", seconds=1).replace("published <", "publish <"), "nothing is called 'publish'"),
        (SMALL.format(prefix="x", seconds=1).replace('"kill alerting"', '"stop alerting"\nfor = 1'), "use --stack"),
    ],
)
def test_what_cannot_be_run_is_said_with_status_2(stack: Running, tmp_path: Path, text: str, said: str) -> None:
    scenario = tmp_path / "small.toml"
    scenario.write_text(text)
    status, _, told = simulate(scenario, "--data-dir", stack.directory, "--report", tmp_path)
    assert status == 2
    assert said in told


def test_every_shipped_scenario_can_be_read_and_is_listed() -> None:
    done = subprocess.run([*SENSORIUM, "simulate", "--list"], capture_output=True, text=True, timeout=30, check=True)
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert listed == list(shipped())
    assert all(read(path).title for path in shipped().values())


@pytest.mark.soak
@pytest.mark.parametrize("name", ["burst", "chaos", "dirty_fleet", "reconnect_storm", "steady"])
def test_the_others_pass_in_a_short_form(name: str, tmp_path: Path) -> None:
    seconds = "40"
    status, result, said = simulate(
        name, "--seconds", seconds, "--scale", "0.5", "--report", tmp_path, seconds=300 + float(seconds)
    )
    assert status == 0, said
    assert result["verdict"]["lost"] == 0


@pytest.mark.soak
def test_a_full_disk_holds_readings_up_and_loses_none(tmp_path: Path) -> None:
    scenario = tmp_path / "small.toml"
    full = SMALL.format(prefix="full", seconds=16).replace('"kill alerting"\nat = 0', '"disk full"\nat = 4\nfor = 6')
    scenario.write_text(full.replace("published < 10", "max_latency > 4 s") + '\n[stack]\ndisk = "64 MB"\n')
    if subprocess.run([need("unshare", "util-linux"), "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    status, result, said = simulate(scenario, "--report", tmp_path, seconds=120)
    assert status == 0, said
    assert result["verdict"]["lost"] == 0


@pytest.mark.soak
def test_devices_log_in_by_the_registry_or_become_devices_first(tmp_path: Path) -> None:
    scenario = tmp_path / "small.toml"
    made = SMALL.format(prefix="made", seconds=3).replace("rate = 10", 'rate = 10\ncredentials = "registry"')
    made = made.replace("published < 10", "stored > 240")
    part = '[[fleet]]\nmodel = "meter"\ndevices = 4\nrate = 10\nclient = "paho"\ncredentials = "provisioned"\n\n'
    scenario.write_text(made.replace("[[phase]]", f"{part}[[phase]]"))
    status, _, said = simulate(scenario, "--report", tmp_path, seconds=120)
    assert status == 0, said
