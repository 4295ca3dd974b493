"""The documents say what is true: every path, symbol, step, table and command in them is compared with the code."""

import ast
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.local.cli import app
from ingest import formats, table
from ingest.outcomes import Arrival
from ingest.routes import Routes
from ingest.settings import Settings
from tests.docs.odd import ROWS, take
from tests.docs.tables import ROOT, SERVICES, fill
from tests.unit.ingest.decoding import Ingest
from tests.unit.ingest.examples import by_decoder

DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not {".venv", "node_modules"} & set(path.parts))
STEP = re.compile(r"^(\d)\. \*\*.*?`([\w/]+\.py)::([\w.]+)`", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_symbol_that_is_named_exists(document: Path) -> None:
    for path, symbol in re.findall(r"`([\w/]+\.py)::([\w.]+)`", document.read_text()):
        assert span(path, symbol), f"{path}::{symbol}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_named_exists(document: Path) -> None:
    for path in re.findall(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|md|toml|lock))`", document.read_text()):
        assert (ROOT / path).exists() or (document.parent / path).exists(), path


def test_the_life_of_a_reading_has_the_steps_that_the_code_has() -> None:
    told = STEP.findall((ROOT / "ARCHITECTURE.md").read_text())
    assert [int(number) for number, _, _ in told] == list(range(1, 10))
    for number, path, symbol in told:
        first, last = span(path, symbol)
        lines = (ROOT / path).read_text().splitlines()[first - 1 : last]
        assert any(f"# Step {number}." in line for line in lines), f"{path}::{symbol} lacks '# Step {number}.'"
    counted = [
        step
        for service in SERVICES
        for path in (ROOT / service).rglob("*.py")
        for step in re.findall(r"# Step (\d)\.", path.read_text())
    ]
    assert sorted(counted) == [number for number, _, _ in told], "each step stands in the code once"


def span(path: str, symbol: str) -> tuple[int, int]:
    """Return the first and last line of a class, function or method; empty where there is none."""
    body: list[ast.stmt] = ast.parse((ROOT / path).read_text()).body
    found: ast.stmt | None = None
    for name in symbol.split("."):
        found = next((node for node in body if getattr(node, "name", None) == name), None)
        if found is None:
            return (0, 0)
        body = getattr(found, "body", [])
    assert found is not None
    return found.lineno, found.end_lineno or found.lineno


@pytest.mark.parametrize("service", SERVICES)
def test_the_tables_of_settings_and_metrics_are_the_codes(service: str) -> None:
    text = (ROOT / service / "README.md").read_text()
    assert fill(text, service) == text, "run 'make docs'"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        for target in re.findall(r"(?:`|\$ )make ([a-z-]+)", document.read_text()):
            assert target in targets, f"{document}: make {target}"


def test_every_sensorium_command_that_is_named_exists() -> None:
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    commands |= {str(group.name) for group in app.registered_groups}
    for document in DOCUMENTS:
        for command in re.findall(r"(?:`|\$ |bin/)sensorium ([a-z]+)", document.read_text()):
            assert command in commands, f"{document}: sensorium {command}"


def test_every_decision_is_in_their_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    for path in folder.glob("0*.md"):
        assert f"({path.name})" in index, path.name


def test_every_metric_that_is_named_exists() -> None:
    metrics = set(re.findall(r"`(\w+)`", "\n".join((ROOT / s / "README.md").read_text() for s in SERVICES)))
    for name in re.findall(
        r"`((?:ingest|processor|devices_api|alerting|simulators)_\w+)`", (ROOT / "ARCHITECTURE.md").read_text()
    ):
        assert name in metrics, name


def formats_table() -> list[tuple[list[str], str, str, bool]]:
    """Return decoders, the example's topic, what it is tested with, and whether it is off, of each row of formats."""
    text = (ROOT / "ingest" / "README.md").read_text().split("## Formats\n")[1]
    rows = [re.split(r" \| ", line.strip("| ")) for line in text.splitlines() if line.startswith("| ")][1:]
    found = []
    for row in rows:
        if len(row) == 6:
            topic = re.findall(r"`([^`]+)`", row[2])[0]
            found.append((re.findall(r"`(\w+)`", row[4]), topic, row[5], "(off" in row[1]))
    return found


def test_the_table_of_formats_has_every_decoder_and_tells_its_tests() -> None:
    rows, examples = formats_table(), by_decoder()
    assert sorted(name for decoders, *_ in rows for name in decoders) == sorted(formats.NAMES)
    on = Routes(table.built_in(), 0)
    programs = "\n".join(path.read_text() for path in (ROOT / "tests" / "integration").glob("test_foreign_*.py"))
    for decoders, topic, tested, off in rows:
        assert (on.of(Arrival(topic, b"", 0)) is None) is off, f"{topic}: (off) is said of routes that are off"
        route = Ingest().routes.of(Arrival(topic, b"", 0))
        assert route is not None, topic
        assert route.decoder in decoders, topic
        assert tested.startswith("golden cases, fuzz"), topic
        for client in tested.split(", ")[2:]:
            assert client.replace("tb-mqtt-client", "thingsboard") in programs, client
        for name in decoders:
            assert name in examples or name == "json", f"tests/unit/ingest/examples.py has no message for {name}"


def test_every_limit_in_the_table_of_odd_values_is_a_setting() -> None:
    for _, _, setting in ROWS:
        for variable in re.findall(r"`INGEST_(\w+)`", setting):
            assert variable.lower() in Settings.model_fields, variable


def test_what_is_beside_an_odd_value_is_kept_unless_the_message_cannot_be_read() -> None:
    lost = {what for what, payload, _ in ROWS if not any(stored for _, stored in take(payload).stored)}
    assert lost == {
        "an empty payload",
        "a payload of 1 MiB and a byte",
        "a payload that is not UTF-8",
        "a payload that is not JSON",
        "a time that cannot be read",
    }


def test_the_worked_example_of_a_routing_table_does_what_it_says(tmp_path: Path) -> None:
    text = (ROOT / "ingest" / "README.md").read_text()
    [toml] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "routes.toml").write_text(toml)
    [(payload, topic, shown)] = re.findall(
        r"echo '(.*?)' \\\n.*--routes routes\.toml --topic (\S+) -\n(.*?)```", text, re.DOTALL
    )
    told = CliRunner().invoke(
        app, ["decode", "--routes", str(tmp_path / "routes.toml"), "--topic", topic, "-"], input=payload
    )
    assert told.stdout.split("\n", 2)[2] == shown
