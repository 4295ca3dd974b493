"""`python -m simulators` as a process."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.conftest import Server, free_port, wait_until
from tests.integration.ledgers import held

ROOT = Path(__file__).parents[2]


def run(**settings: object) -> subprocess.Popen[str]:
    env = {f"SIMULATORS_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.Popen([sys.executable, "-m", "simulators"], cwd=ROOT, env=os.environ | env, stderr=-1, text=True)


def ask(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError:
        return ""


def test_it_publishes_says_when_it_is_done_and_stops_on_sigterm(broker: Server, tmp_path: Path) -> None:
    port = free_port()
    ledger = tmp_path / "fleet.ledger"
    process = run(port=port, mqtt_port=broker.port, devices=6, rate=10, seconds=1, ledger=ledger)
    wait_until(lambda: "simulators_done 1.0" in ask(port, "/metrics"), "the fleet to be done")
    assert json.loads(ask(port, "/readyz")) == {"status": "ready", "waiting_for": []}
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=40)
    assert process.returncode == 0
    assert [json.loads(line)["event"] for line in log.splitlines()] == ["service.started", "service.stopped"]
    assert (len(held(ledger).sent), len(held(ledger).acked)) == (60, 60)


def test_it_runs_the_fleet_of_a_scenario(broker: Server, tmp_path: Path) -> None:
    port = free_port()
    scenario = tmp_path / "two.toml"
    scenario.write_text(
        'name = "two"\n[[fleet]]\nmodel = "water"\ndevices = 2\nclient = "paho"\n[[phase]]\nseconds = 2\n'
    )
    process = run(port=port, mqtt_port=broker.port, scenario=scenario, ledger=tmp_path / "l")
    wait_until(lambda: "simulators_done 1.0" in ask(port, "/metrics"), "the fleet to be done")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=40)
    assert len(held(tmp_path / "l").acked) == 4


def test_it_starts_without_a_broker_and_says_that_it_waits(tmp_path: Path) -> None:
    port = free_port()
    process = run(port=port, mqtt_port=free_port(), ledger=tmp_path / "l")
    wait_until(lambda: '"broker"' in ask(port, "/readyz"), "the service to say what it waits for")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=40)
    assert process.returncode == 0


def test_what_cannot_work_is_said_in_one_line(tmp_path: Path) -> None:
    own, words = tmp_path / "own.toml", tmp_path / "words.toml"
    for path, more in ((own, 'credentials = "registry"'), (words, 'format = "owntracks"')):
        path.write_text(f'name = "one"\n[[fleet]]\nmodel = "water"\ndevices = 1\n{more}\n[[phase]]\nseconds = 2\n')
    for settings, said in (
        ({"scenario": own, "ledger": tmp_path / "l"}, "SIMULATORS_SCENARIO: credentials"),
        ({"scenario": words, "ledger": tmp_path / "l"}, "SIMULATORS_SCENARIO: OwnTracks"),
        ({"ledger": tmp_path}, "SIMULATORS_LEDGER: cannot use"),
        ({"malformed": 2, "ledger": tmp_path / "l"}, "SIMULATORS_MALFORMED is '2'"),
        ({"scenario": "nowhere.toml", "ledger": tmp_path / "l"}, "SIMULATORS_SCENARIO: nowhere.toml: there is no such"),
    ):
        process = run(port=free_port(), **settings)
        _, log = process.communicate(timeout=40)
        lines = [line for line in log.splitlines() if not line.startswith("{")]
        assert process.returncode == 2
        assert len(lines) == 1
        assert said in lines[0]
