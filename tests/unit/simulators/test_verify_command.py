"""`sensorium verify` says what became of a ledger, and by its status whether anything is wrong."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner, Result

from contracts.readings import Reading
from contracts.timeseries import Days
from deploy.local.cli import app
from processor.engine import Engine
from processor.sqlite import SqliteStore
from simulators.truth.report import document
from simulators.truth.verdict import Verdict
from tests.unit.simulators.pipeline_in_memory import Fleet


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.delenv("SENSORIUM_KEY", raising=False)
    return Fleet(tmp_path / "ledger", Random(3), 60)


def verified(fleet: Fleet, tmp_path: Path, *options: str) -> Result:
    engine = Engine(SqliteStore(tmp_path / "store", 1), 1000, lambda _: Days())
    series = fleet.place.there.items()
    engine.write([(0, [Reading(one, ts, 0, {metric: v}) for (one, metric), ps in series for ts, v in ps])], {0: 1})
    engine.close()
    arguments = ["verify", str(tmp_path / "ledger"), "--store", str(tmp_path / "store"), "--wait", "0"]
    return CliRunner().invoke(app, [*arguments, "--key-file", str(tmp_path / "none"), *options])


def test_all_is_well(fleet: Fleet, tmp_path: Path) -> None:
    result = verified(fleet, tmp_path)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output.splitlines()[-1])
    assert (told["ok"], told["published"]) == (True, sum(message.acked for message in fleet.messages))
    assert "Note: dead letters were not asked for" in result.output


def test_a_mistake_is_told_and_makes_the_status_1(fleet: Fleet, tmp_path: Path) -> None:
    message = next(message for message in fleet.messages if message.fine())
    fleet.lose(message)
    result = verified(fleet, tmp_path)
    assert result.exit_code == 1
    assert f"lost: {message.device} level" in result.output
    [line] = verified(fleet, tmp_path, "--json").output.splitlines()
    assert json.loads(line)["lost"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--store", "ftp://somewhere"], "this kind of store is not known"),
        (["--store", "absent"], "cannot be read"),
        (["--store", ""], "there is no key"),
        (["--store", "", "--key-file", "/dev/null"], "/dev/null is empty"),
    ],
)
def test_what_cannot_be_told_makes_the_status_2(
    fleet: Fleet, tmp_path: Path, options: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = verified(fleet, tmp_path, *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_dead_letters_are_counted_by_their_reasons_in_the_json() -> None:
    verdict = Verdict(reasons=Counter({"malformed": 3}), accepted_why=Counter({"nobody sent it": 2}))
    told = json.loads(json.dumps(document(verdict)))
    assert (told["reasons"], told["accepted_why"]) == ({"malformed": 3}, {"nobody sent it": 2})


def test_what_is_no_ledger_makes_the_status_2(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("a letter")
    result = verified(fleet, tmp_path)
    assert (result.exit_code, "as ledger" in result.stderr) == (2, True)
