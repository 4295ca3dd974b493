"""The README's commands, run as they stand there but for the ports, against a running stack."""

import json
import os
import re
import subprocess
from pathlib import Path

from tests.conftest import need
from tests.e2e.conftest import Running

ROOT = Path(__file__).parents[2]
ASKING = re.compile(r"sensorium (devices|telemetry|groups) ")
ALERTS = re.compile(r"\$?API[/=]")


def commands() -> list[str]:
    """Return every command of the README's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_the_commands_publish_and_query(stack: Running, tmp_path: Path) -> None:
    need("curl", "curl")
    found = commands()
    assert any(command.endswith("make demo") for command in found), "which the tests of the demo run"
    assert ".venv/bin/sensorium up" in found, "which is what this stack was started with"
    alerts = [command.replace("http://127.0.0.1:8081", stack.alerting) for command in found if ALERTS.search(command)]
    *alerts, acknowledge = alerts
    assert "/alerts/ID/acknowledge" in acknowledge, "which needs an alert that fires"
    shell = [
        command
        for command in found
        if " up --store " not in command and not ASKING.search(command) and not ALERTS.search(command)
    ]
    *_, key, simulate, query, decode = shell
    script = "\n".join(
        [
            key.replace("data/", f"{stack.directory}/"),
            f"{simulate} --mqtt-port {stack.mqtt_port} --ledger {tmp_path / 'ledger'}",
            query.replace("http://127.0.0.1:8080", stack.api).replace("curl ", "curl -s "),
            "echo",
            decode,
            "echo alerts",
            "\necho\n".join(alerts),
            "echo",
            "echo asking",
            *(command.replace(" --out ", f" --out {tmp_path}/") for command in found if ASKING.search(command)),
        ]
    )
    env = os.environ | {"SENSORIUM_URL": stack.api, "SENSORIUM_KEY": stack.key}
    done = subprocess.run(
        ["bash", "-ec", script], capture_output=True, text=True, cwd=ROOT, timeout=100, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    shown, _, asked = done.stdout.partition("asking\n")
    shown, _, said = shown.partition("alerts\n")
    hot, silent, receiver, routing, firing = (json.loads(line) for line in said.splitlines() if line)
    assert (hot["spec"]["kind"], silent["spec"]["kind"]) == ("threshold", "absence")
    assert firing == {"items": [], "next": None}
    assert (receiver["id"], routing["content"]["route"]["receiver"]) == ("desk", "desk")
    answered, _, decoded = shown.partition("\ntopic")
    assert "cellar at 2026-01-01T01:00:04Z" in decoded
    latest = json.loads(answered.splitlines()[-1])
    assert latest["device"] == "env-001"
    assert latest["values"].keys() == {"temperature", "humidity", "co2", "battery"}
    *devices, _, _, _, _, group, device = (json.loads(line) for line in asked.splitlines())
    assert {device["id"] for device in devices} == {"env-001", "pump-001", "meter-001"}
    assert (group["id"], device["name"], device["groups"]) == ("cellar", "By the door", ["cellar"])
    exported = [json.loads(line) for line in (tmp_path / "cellar.jsonl").read_text().splitlines()]
    assert {point["device"] for point in exported} == {"env-001"}
