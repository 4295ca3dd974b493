"""Rules out as YAML and in again; and what a rule would be before it is made."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import alerting
from contracts.devices import DeviceRecord
from tests.unit.alerting.web_service import RULE, Web

FILE = """rules:
- id: cold
  kind: threshold
  name: zu kühl
  metric: temperature
  operator: lt
  value: 4.0
  for: 5m
- id: quiet
  kind: absence
  name: not heard of
  after: 10m
  selector:
    tags:
      hall: '7'
"""


async def load(web: Web, text: str, **query: Any) -> dict[str, Any]:  # noqa: ANN401 - what httpx takes
    answer = await web.client.post("/api/v1/rules/import", content=text.encode(), params=query)
    found: dict[str, Any] = answer.json()
    return found


async def test_what_is_exported_is_imported_as_the_same(web: Web) -> None:
    imported = await load(web, FILE)
    assert imported["rules"] == {"cold": "created", "quiet": "created"}
    exported = await web.client.get("/api/v1/rules/export")
    assert exported.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(exported.text) == yaml.safe_load(FILE)
    again = await load(web, exported.text)
    assert (again["created"], again["changed"], again["unchanged"], again["rules"]) == (0, 0, 2, {})
    assert (await web.client.get("/api/v1/rules/export")).text == exported.text
    assert (await web.get("rules/cold"))["version"] == 1


async def test_a_dry_import_says_what_would_be_and_changes_nothing(web: Web) -> None:
    await web.client.put("/api/v1/rules/cold", json=RULE)
    assert (await load(web, FILE, dry="true"))["rules"] == {"cold": "changed", "quiet": "created"}
    assert (await web.get("rules/cold"))["spec"]["name"] == "too hot"
    assert len((await web.get("rules"))["items"]) == 1


async def test_all_of_a_file_is_imported_or_nothing(web: Web) -> None:
    wrong = FILE.replace("after: 10m", "after: soon")
    told = await load(web, wrong)
    assert told["type"] == "urn:sensorium:problem:bad-rules-file"
    assert "rules.1.absence.after: 'soon' is no duration" in told["detail"]
    assert (await web.get("rules"))["items"] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rules: [", "no YAML"),
        ("- a", "one key, rules"),
        ("rules: []\nmore: 1", "one key, rules"),
        ("rules: [1]", "rules.0: a rule is a mapping"),
        ("rules: [{name: x}]", "rules.0.id"),
        ("rules: [{id: export}]", "rules.0.id"),
        ("a: &a [1]\nrules: [*a]", "line 2: aliases"),
        ("rules: " + "[" * 100 + "]" * 100, "levels deep"),
        ("rules: 1" + ":1" * 60, "line 1: a number has too many digits"),
        ("rules: !!int '1" + ": 1" * 60 + "'", "line 1: a number has too many digits"),
        ("rules: !!python/object/apply:os.getcwd []", "no YAML"),
        (FILE.replace("quiet", "cold"), "'cold' is there twice"),
        (FILE + "  labels: {site: '{{ nothing }}'}\n", "labels.site: there is no 'nothing'"),
    ],
)
async def test_a_file_that_cannot_be_taken_is_explained(web: Web, text: str, problem: str) -> None:
    told = await load(web, text)
    assert problem in told.get("detail", "")


async def test_a_file_may_be_larger_than_other_bodies_but_not_of_any_size(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contracts.problems.MAX_BODY", 100)
    assert (await load(web, FILE))["created"] == 2
    assert (await web.client.post("/api/v1/rules", json=RULE | {"description": "x" * 100})).status_code == 413


async def test_a_rule_is_validated_before_it_is_made(web: Web) -> None:
    levels = [{"severity": "warning", "value": 30}, {"severity": "critical", "value": 40}]
    rule = {"name": "hot", "metric": "temperature", "levels": levels, "selector": {"tags": {"hall": "7"}}}
    web.directory["pump-1"] = DeviceRecord(1, "pump-1", enabled=True, profile="pump", tags={"hall": "7"})
    web.directory["pump-2"] = DeviceRecord(1, "pump-2", enabled=True, profile="pump", tags={"hall": "8"})
    answer = await web.client.post("/api/v1/rules/validate", json=rule)
    assert answer.json() == {
        "problems": [],
        "warnings": [],
        "levels": [{"severity": "warning", "threshold": 30.0}, {"severity": "critical", "threshold": 40.0}],
        "metrics": ["temperature"],
        "devices": {"count": 1, "sample": ["pump-1"]},
    }
    group = {"kind": "group", "name": "many", "of": "hot", "value": 2, "selector": {"groups": ["north"]}}
    told = (await web.client.post("/api/v1/rules/validate", json=group)).json()
    assert told["warnings"] == ["no device that is registered now is selected", "there is no rule 'hot'"]
    wrong = {"kind": "condition", "name": "odd", "condition": "temperature >"}
    assert (await web.client.post("/api/v1/rules/validate", json=wrong)).status_code in (200, 422)
    assert (await web.get("rules"))["items"] == []


async def test_an_absence_tells_of_how_many_devices_it_can_say_nothing(web: Web) -> None:
    for name, interval in (("still-1", 10.0), ("still-2", 0.0), ("still-3", 0.0)):
        web.directory[name] = DeviceRecord(1, name, enabled=True, profile="still", interval=interval)
    absence: dict[str, Any] = {"name": "silent", "kind": "absence"}
    told = (await web.client.post("/api/v1/rules/validate", json=absence)).json()
    assert told["devices"]["count"] == 3
    assert [text[:36] for text in told["warnings"]] == ["of 2 devices silence says nothing: n"]
    assert not (await web.client.post("/api/v1/rules/validate", json=absence | {"after": "1h"})).json()["warnings"]


async def test_the_examples_of_the_readme_are_rules(web: Web) -> None:
    readme = Path(alerting.__file__).with_name("README.md").read_text()
    examples = readme.split("```yaml\n")[1].split("```")[0]
    imported = await load(web, examples)
    assert imported["created"] == 8, imported
    kinds = {rule["spec"]["kind"] for rule in (await web.get("rules"))["items"]}
    assert len(kinds) == 8
