"""What alerts say: labels and annotations from templates that cannot do harm."""

import time

import pytest

from alerting.judges.build import build
from alerting.life.alert import Alert, State, Subject
from alerting.rules.describing import MOST_TEXT, describe, template_problem, templates_problem
from alerting.rules.spec import parse_spec
from contracts.devices import DeviceRecord

SECOND = 10**9
AT = 1_767_225_600 * SECOND
RECORD = DeviceRecord(1, "silo-3", enabled=True, profile="silo", tags={"site": "north"}, groups=["grain", "all"])


def described(
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    subject: Subject = Subject("silo-3"),  # noqa: B008 - it is frozen
    record: DeviceRecord | None = RECORD,
) -> tuple[Alert, str | None]:
    content = {"name": "too hot", "metric": "temperature", "value": 30, "runbook": "https://wiki.example/hot"}
    spec = parse_spec({**content, "labels": labels or {}, "annotations": annotations or {}})
    alert = Alert(
        id="a1",
        rule_id="r1",
        rule="too hot",
        rule_version=1,
        subject=subject,
        metric="temperature",
        state=State.FIRING,
        level=1,
        severity="warning",
        started_at=AT,
        value=31.30000000000001,
        threshold=30.0,
    )
    evidence = {"temperature": (AT, 31.3), "door": (AT - 1, True)}
    return describe(build("r1", 1, spec), alert, record, evidence)


def said(template: str) -> str:
    assert template_problem(template) is None
    alert, problem = described(annotations={"text": template})
    assert problem is None
    return alert.annotations["text"]


def failed(template: str) -> str:
    alert, problem = described(annotations={"text": template, "other": "stays"})
    assert alert.annotations == {"other": "stays"}
    assert problem is not None
    return problem


def test_an_alert_has_the_labels_by_which_it_is_routed() -> None:
    alert, problem = described(labels={"site": "{{ tags.site }}", "row": "{{ tags.row }}", "team": "grain"})
    assert problem is None
    assert alert.labels == {
        "alertname": "too hot",
        "rule_id": "r1",
        "severity": "warning",
        "device": "silo-3",
        "metric": "temperature",
        "profile": "silo",
        "site": "north",
        "team": "grain",
    }
    assert alert.runbook == "https://wiki.example/hot"


def test_an_alert_of_a_group_names_the_group_and_no_device() -> None:
    labels = described(subject=Subject(group="grain"), record=None)[0].labels
    assert labels["group"] == "grain"
    assert {"device", "profile"}.isdisjoint(labels)


def test_a_device_that_is_not_registered_has_the_default_profile() -> None:
    assert described(record=None)[0].labels["profile"] == "default"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{ value }} of {{ threshold }}", "31.3 of 30"),
        ("{{ '%.2f' | format(value) }} {{ value | round(1) }}", "31.30 31.3"),
        ("{{ value - threshold > 1 }}", "true"),
        ("{{ device }} {{ tags.site | upper }} {{ tags.row or 'no row' }}", "silo-3 NORTH no row"),
        ("{{ started_at }}", "2026-01-01T00:00:00Z"),
        (
            "{% for metric, value in evidence.items() %}{{ metric }}={{ value }} {% endfor %}",
            "temperature=31.3 door=true ",
        ),
        ("{% if severity in ('critical', 'warning') %}look{% endif %}", "look"),
        ("{{ labels.alertname | replace(' ', '_') }} {{ groups | join(', ') }}", "too_hot grain, all"),
        ("{{ no_data }} <b>", "false <b>"),
    ],
)
def test_a_template_says_what_the_alert_has(template: str, text: str) -> None:
    assert said(template) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ device",
        "{% for x in groups %}",
        "{{ devise }}",
        "{{ range(10) }}",
        "{% for x in range(99999) %}x{% endfor %}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ lipsum(1000) }}",
        "{{ value | tojson }}",
        "{{ 'a' | center(1000000000) }}",
        "{% set x = device %}",
        "{{ device ~ device }}",
        "{{ 'a' * 10**9 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 9 ** 9 ** 9 ** 9 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}",
        "{% for x in [device, device] %}x{% endfor %}",
        "{% for x in groups recursive %}{{ loop(groups) }}{% endfor %}",
        "{% include 'x' %}",
        "{{ self }}",
        "{{ " + "(" * 2000 + ")" * 2000 + " }}",
        "{% for x in groups %}" * 40 + "{% endfor %}" * 40,
    ],
)
def test_a_template_that_cannot_be_bounded_is_refused_when_it_is_written(template: str) -> None:
    assert template_problem(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ device * 1000000000 }}",
        "{{ '%999999999d' | format(1) }}",
        "{{ device | replace('', device) }}",
        "{{ tags.site.row.x }}",
        "{{ value + device }}",
        "{{ value | round(99999999) }}",
        "{{ value | round(99999999, 'ceil') }}",
        "{{ 1 / (value - value) }}",
        "{{ device.__class__.__mro__ | list | first | default(device.__class__.x.y) }}",
        "{{ 999999999999999 * 999999999999999 * 999999999999999 }}",
        "{% for a in evidence %}{% for b in evidence %}" * 6 + "x" + "{% endfor %}{% endfor %}" * 6,
    ],
)
def test_a_template_that_does_too_much_fails_at_once_and_spoils_no_other(template: str) -> None:
    began = time.process_time()
    problem = failed(template)
    assert problem.startswith("annotations.text: ")
    assert len(problem) <= 1024
    assert time.process_time() - began < 0.5


def test_a_text_that_is_too_long_is_cut() -> None:
    template = "{% for a in evidence %}{% for b in evidence %}" + "x" * 3000 + "{% endfor %}{% endfor %}"
    assert said(template) == "x" * MOST_TEXT


def test_a_rule_s_templates_are_checked_all_and_the_first_at_fault_is_named() -> None:
    content = {"name": "n", "metric": "m", "value": 1}
    assert templates_problem(parse_spec(content)) is None
    bad = parse_spec({**content, "labels": {"a": "b"}, "annotations": {"summary": "{{ valeu }}"}})
    assert (templates_problem(bad) or "").startswith("annotations.summary: there is no 'valeu'")
    taken = parse_spec({**content, "labels": {"severity": "page"}})
    assert (templates_problem(taken) or "").startswith("labels.severity: every alert has this label")
