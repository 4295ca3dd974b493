"""SIGKILL for each process in turn, at random moments, while a fleet publishes: nothing is lost, nothing is doubled."""

import asyncio
import json
import subprocess
import threading
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from simulators.truth.stores.api import Api
from simulators.truth.verdict import Verdict
from simulators.truth.verify import verify
from tests.conftest import wait_until
from tests.e2e.conftest import SENSORIUM, Running

VICTIMS = ["broker", "stream", "ingest", "processor", "devices_api", "alerting"]
DEVICES = 30
RULE = {"name": "over pressure", "metric": "pressure", "operator": "gt", "value": 8, "clear": 7, "severity": "critical"}


@pytest.fixture(scope="module")
def rule(stack: Running) -> str:
    return str(stack.post(f"{stack.alerting}/api/v1/rules", RULE)["id"])


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(4, 10))])
def test_whatever_is_killed_nothing_is_lost_or_doubled(stack: Running, rule: str, seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    ledger = tmp_path / "fleet.ledger"
    arguments = {
        "--devices": DEVICES,
        "--first": 1000 * (seed + 1),
        "--rate": 10,
        "--seconds": 8,
        "--seed": seed,
        "--malformed": 0.02,
        "--mqtt-port": stack.mqtt_port,
        "--ledger": ledger,
    }
    command = [*SENSORIUM, "simulate"]
    for option, value in arguments.items():
        command += [option, str(value)]
    fleet = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    moment = threading.Event()
    for victim in rng.sample(VICTIMS, len(VICTIMS)):
        moment.wait(rng.uniform(0.2, 1.0))  # the random moment is the test, not a wait for something
        stack.kill(victim)
    output, _ = fleet.communicate(timeout=60)
    assert fleet.returncode == 0, output
    assert json.loads(output.splitlines()[-1])["published"] > DEVICES * 10 * 8 * 0.9

    verdict = asyncio.run(judged(ledger, stack))
    assert verdict.ok, verdict.examples
    assert verdict.stored + verdict.dead_lettered == verdict.published
    assert verdict.dead_lettered > 0
    assert_no_alert_is_doubled(stack, rule)


async def judged(ledger: Path, stack: Running) -> Verdict:
    """Ask what became of everything that was sent."""
    api = Api(stack.api, stack.key)
    try:
        return await verify(ledger, api, api, wait_seconds=30)
    finally:
        await api.close()


def assert_no_alert_is_doubled(stack: Running, rule: str) -> None:
    """Check that the alerts of one device follow one another and never overlap, once alerting has caught up."""
    wait_until(lambda: bool(alerts_of(stack, rule)), "the fleet's pumps go over pressure")
    alerts = defaultdict(list)
    for alert in alerts_of(stack, rule):
        alerts[alert["device"]].append(alert)
    for mine in alerts.values():
        mine.sort(key=lambda alert: str(alert["started_at"]))
        assert sum(alert["resolved_at"] is None for alert in mine) <= 1
        for before, after in pairwise(mine):
            assert before["resolved_at"] is not None
            assert before["resolved_at"] <= after["started_at"]


def alerts_of(stack: Running, rule: str) -> Any:  # noqa: ANN401 - any JSON
    return stack.get(f"{stack.alerting}/api/v1/alerts", rule=rule, limit=1000)["items"]
