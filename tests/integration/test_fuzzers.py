"""The fuzzers find what there is to be found, and write down how to repeat it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REQUIRE_SERVICES
from tests.fuzz.run import ROOT, fuzz

PLANTED = """
import sys
from ingest import formats
from tests.fuzz import target

load = formats.load
usual = load("value")

def planted(arrival, route, context):
    if b"8.7" in arrival.payload:
        raise ZeroDivisionError
    return usual.decode(arrival, route, context)

formats.load = lambda name: formats.Format(planted, usual.options) if name == "value" else load(name)
target.main(sys.argv[1], sys.argv[2:])
"""


@pytest.fixture(autouse=True)
def _atheris() -> None:
    if importlib.util.find_spec("atheris") is None:
        assert not (REQUIRE_SERVICES and sys.platform == "linux"), "atheris is missing: install requirements-dev.lock"
        pytest.skip("atheris is missing: it is there for Linux only")


def test_a_bug_that_is_planted_is_found_and_can_be_repeated(tmp_path: Path) -> None:
    program = tmp_path / "planted.py"
    program.write_text(PLANTED)
    said = fuzz("value", 60, tmp_path / "found", (str(program),))
    assert said is not None
    assert "ZeroDivisionError" in said
    [crash] = (tmp_path / "found" / "value").glob("crash-*")
    again = [sys.executable, str(program), "value", str(crash)]
    done = subprocess.run(again, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stdout + done.stderr


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    assert fuzz("topics", 1, tmp_path) is None
    assert any((tmp_path / "topics" / "corpus").iterdir())


def test_a_target_that_there_is_not_is_named(tmp_path: Path) -> None:
    said = fuzz("nonsense", 1, tmp_path)
    assert said is not None
    assert "there is no target nonsense; there are topics, announced, auto" in said
