"""Scenarios as they are written, and what is said of those that cannot be run."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from simulators.plan.load import Phase
from simulators.scenario.failures import Action, Kind
from simulators.scenario.reading import ScenarioError, build, locate, read
from simulators.scenario.spec import Scenario

TEXT = """
name = "works"
title = "A morning at the works"
seed = 7

[[fleet]]
model = "pump"
devices = 40
rate = 2.0
connections = 4

[[fleet]]
model = "environment"
devices = 10
format = "tasmota"
prefix = "hall"
faults = [{ kind = "spike", rate = 0.01, from = 10, until = "1 min" }]

[[phase]]
name = "ramp"
seconds = "1 min"
from = 0.0
to = 1.0

[[phase]]
name = "waves"
seconds = 30
rate = 2.0
wave = 0.5
period = 10

[[failure]]
do = "stop broker"
at = "30 s"
for = "20 s"

[[failure]]
command = ["cut", "the cable"]
at = "70 s"

[[rule]]
name = "overheat"
event = "overheat"
body = { metric = "temperature", operator = "gt", value = 30 }

expect = ["never read here"]
"""
GOOD = TEXT.replace('expect = ["never read here"]', "").replace(
    "seed = 7", 'seed = 7\nexpect = ["lost == 0", "p99_latency < 1.5 s", "alerts.overheat.recall >= 99 %"]'
)


def scenario(tmp_path: Path, text: str = GOOD) -> Scenario:
    path = tmp_path / "works.toml"
    path.write_text(text)
    return read(path)


def complaint(**changes: Any) -> str:  # noqa: ANN401 - any TOML
    table = {"name": "bad", "fleet": [{"model": "pump", "devices": 1}], "phase": [{"seconds": 10}]}
    with pytest.raises(ScenarioError) as caught:
        build(table | changes, "bad.toml")
    return str(caught.value)


def test_everything_that_is_written_is_read(tmp_path: Path) -> None:
    read_back = scenario(tmp_path)
    assert read_back.seconds == 90
    assert read_back.phases == [Phase(60.0, 0.0, 1.0, 0.0, 60.0), Phase(30.0, 2.0, 2.0, 0.5, 10.0)]
    broker, cable = read_back.failure
    assert (broker.action, broker.at, broker.lasts) == (Action(Kind.STOP, "broker"), 30.0, 20.0)
    assert (cable.action, cable.title) == (Action(Kind.COMMAND), "cut the cable")
    assert [(e.name, e.comparison, e.value) for e in read_back.expectations] == [
        ("lost", "==", 0.0),
        ("p99_latency", "<", 1.5),
        ("alerts.overheat.recall", ">=", 0.99),
    ]
    assert read_back.breaks
    assert read_back.fleet[0].connections == 4


def test_a_scenario_is_shortened_and_shrunk_as_a_whole(tmp_path: Path) -> None:
    short = scenario(tmp_path).lasting(9).scaled(0.1)
    assert [phase.seconds for phase in short.phase] == [6.0, 3.0]
    assert [(failure.at, failure.lasts) for failure in short.failure] == [(3.0, 2.0), (7.0, None)]
    assert [part.devices for part in short.fleet] == [4, 1]
    assert [(fault.begin, fault.until) for fault in short.fleet[1].faults] == [(1.0, 6.0)]


def test_the_last_phase_may_be_without_end() -> None:
    endless = build({"name": "on", "fleet": [{"model": "pump", "devices": 1}], "phase": [{}]}, "on.toml")
    assert endless.seconds is None
    assert endless.lasting(5).seconds == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sede": 1}, "bad.toml: sede: there is no such key; there are name, title, seed"),
        ({"fleet": [{"model": "pump"}]}, "bad.toml: fleet 1, devices: is missing"),
        (
            {"fleet": [{"model": "pump", "devices": 0}]},
            "bad.toml: fleet 1, devices: is 0; input should be greater than or equal to 1",
        ),
        (
            {"fleet": [{"model": "pump", "devices": 1, "colour": "red"}]},
            "bad.toml: fleet 1, colour: there is no such key; there are model, devices, format",
        ),
        (
            {"fleet": [{"model": "pump", "devices": 1, "faults": [{"kind": "spike", "share": 0.1, "rate": 0.2}]}]},
            "bad.toml: fleet 1, faults 1, spike, share: there is no such key; there are ",
        ),
        (
            {"fleet": [{"model": "pump", "devices": 1, "faults": [{"kind": "offline"}]}]},
            "bad.toml: fleet 1, faults 1, offline: offline: it needs length",
        ),
        (
            {"phase": [{"seconds": 5}, {"seconds": "5 parsecs"}]},
            "bad.toml: phase 2, seconds: '5 parsecs' is not a duration with ms, s, min or h",
        ),
        ({"phase": [{"seconds": 5, "from": 1.0}]}, "bad.toml: phase 1: from and to go together"),
        ({"phase": [{}, {}]}, "bad.toml: phase: only the last may be without seconds"),
        (
            {"failure": [{"do": "kick ingest", "at": 1}]},
            "bad.toml: failure 1, do: write kill, stop or freeze and one of broker, stream, ingest",
        ),
        ({"failure": [{"do": "stop ingest", "at": 1}]}, 'bad.toml: failure 1: stop ingest needs for = "20 s"'),
        ({"failure": [{"do": "kill ingest", "at": 1, "for": 2}]}, "bad.toml: failure 1: there is nothing to end"),
        ({"failure": [{"do": "kill ingest", "at": 20}]}, "'kill ingest' is at 20 s, and the phases end at 10 s"),
        ({"stack": {"broker": "kafka"}}, "bad.toml: stack, broker: is 'kafka'; input should be 'nats' or 'mosquitto'"),
        ({"expect": ["losses == 0"]}, "bad.toml: 'losses == 0': nothing is called 'losses'; there is published, acked"),
        ({"expect": ["alerts.heat == 1"]}, "nothing is called 'alerts.heat'"),
        ({"expect": ["lost"]}, "'lost': write NAME, one of =="),
        ({"expect": ["p99_latency < 2"]}, "'p99_latency < 2': '2' is not a duration with ms, s, min or h"),
        (
            {"fleet": [{"model": "pump", "devices": 1}, {"model": "pump", "devices": 1}]},
            "two parts have devices called pump-001 and so on; give one a prefix",
        ),
    ],
)
def test_what_cannot_be_run_is_said_with_the_key_and_what_is_allowed(changes: dict[str, Any], said: str) -> None:
    assert said in complaint(**changes)
    assert "\n" not in complaint(**changes)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"works\.toml: Expected '=' after a key"):
        scenario(tmp_path, "name")


def test_a_name_that_nobody_knows_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(ScenarioError, match="elsewhere: there is no such file; shipped are "):
        locate("elsewhere")


def test_the_scenario_of_the_readme_can_be_read() -> None:
    blocks = re.findall(
        r"```toml\n(.*?)```", (Path(__file__).parents[3] / "simulators" / "README.md").read_text(), re.DOTALL
    )
    [example] = [block for block in blocks if "[[phase]]" in block]
    written = build(tomllib.loads(example), "README.md")
    assert (written.name, written.seconds, len(written.failure)) == ("night_shift", 180, 2)
