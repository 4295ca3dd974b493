"""The README's commands, run as they stand there but for the ports, against a running stack."""

import json
import re
import subprocess
from pathlib import Path

from tests.conftest import wait_until
from tests.e2e.conftest import Running

ROOT = Path(__file__).parents[2]


def commands() -> list[str]:
    """Return every command of the README's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_the_commands_publish_and_query(stack: Running) -> None:
    found = commands()
    assert any(command.endswith("make demo") for command in found), "which the tests of the demo run"
    assert ".venv/bin/sensorium up" in found, "which is what this stack was started with"
    key, publish, query = found[-3:]
    script = "\n".join(
        [
            key.replace("data/", f"{stack.directory}/"),
            publish.replace("qos=1)", f"qos=1, port={stack.mqtt_port})"),
            query.replace("http://127.0.0.1:8080", stack.api).replace("curl ", "curl -s "),
        ]
    )
    outputs: list[str] = []

    def answered() -> bool:
        done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, cwd=ROOT, check=False)
        outputs.append(done.stdout + done.stderr)
        return done.returncode == 0 and '"values":{"soil"' in done.stdout

    wait_until(answered, f"the reading can be queried: {outputs[-1:]}")
    assert json.loads(outputs[-1])["values"]["soil"]["value"] == 31.4
