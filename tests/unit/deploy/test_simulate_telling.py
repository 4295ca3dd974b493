"""What `sensorium simulate` tells of a run, whatever things are called, and what it refuses before it begins."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from deploy.local.cli import app
from deploy.local.simulate import tell
from deploy.local.stack import StackError
from simulators.scenario.measuring import Measured
from simulators.scenario.reading import build
from simulators.scenario.running import Sent
from simulators.scenario.telling import Outcome, report


def test_brackets_in_what_went_wrong_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = {"name": "works", "fleet": [{"model": "pump", "devices": 1}], "phase": [{"seconds": 1}]}
    outcome = Outcome(Sent(troubles=["sh [/x]: ended with 3: [bold]"]), Measured(0))
    told = report(build(table, "a test"), outcome, began="", repeat="", versions={})
    tell(told, outcome, (Path("[/y]"), Path("[/y]")), Console(stderr=True, highlight=False))
    said = capsys.readouterr()
    assert "sh [/x]: ended with 3: [bold]" in said.err
    assert json.loads(said.out)["troubles"] == told.troubles


@pytest.mark.parametrize("taken", ["file", "ledger"])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_sent(tmp_path: Path, taken: str) -> None:
    (tmp_path / "fleet.ledger").mkdir()
    (tmp_path / "file").touch()
    folder = tmp_path / "file" if taken == "file" else tmp_path
    result = CliRunner().invoke(app, ["simulate", "smoke", "--mqtt-port", "1", "--report", str(folder)])
    assert isinstance(result.exception, StackError)
    assert str(folder) in str(result.exception)
