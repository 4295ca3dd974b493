"""What an alert says: its labels and annotations, from the templates of its rule. Pure."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from alerting.life.alert import Alert
from alerting.rules.rule import Rule
from alerting.rules.spec import RuleSpec
from alerting.templates import TemplateFailedError, Templates
from contracts.devices import DEFAULT_PROFILE, DeviceRecord
from contracts.readings import Value
from contracts.times import format_time

MOST_TEXT = 4096
"""Characters of a label or an annotation; what is longer is cut."""

OWN_LABELS = frozenset({"alertname", "rule_id", "severity", "device", "group", "metric", "profile"})
"""Labels that every alert has, where they say something: a rule cannot give them other values."""

_NAMES = (
    "value", "threshold", "no_data", "device", "group", "tags", "profile", "groups", "metric", "severity", "rule",
    "labels", "started_at", "evidence",
)  # fmt: skip

_templates = Templates(_NAMES, most_output=MOST_TEXT, most_steps=2_000, cached=2_048)


@lru_cache(maxsize=4096)  # many rules say the same
def template_problem(text: str) -> str | None:
    """Why `text` cannot be the template of a label or annotation, or None if it can."""
    return _templates.problem(text)


def templates_problem(spec: RuleSpec) -> str | None:
    """Why a rule's labels and annotations cannot be, in a sentence that names the first at fault; None if they can."""
    for name in spec.labels:
        if name in OWN_LABELS:
            return f"labels.{name}: every alert has this label, and a rule cannot give it another value"
    for where, texts in (("labels", spec.labels), ("annotations", spec.annotations)):
        for name, text in texts.items():
            if problem := template_problem(text):
                return f"{where}.{name}: {problem}"
    return None


def describe(
    rule: Rule, alert: Alert, record: DeviceRecord | None, evidence: Mapping[str, tuple[int, Value]]
) -> tuple[Alert, str | None]:
    """Give the alert all its labels and annotations, by its values and its device's record, and what went wrong.

    A text that cannot be made is left out, and so is an empty label. What went wrong names the text and the reason.
    """
    own = {
        "alertname": rule.name,
        "rule_id": rule.id,
        "severity": alert.severity,
        "device": alert.subject.device,
        "group": alert.subject.group,
        "metric": alert.metric,
        "profile": _profile(alert, record),
    }
    labels = {name: text for name, text in own.items() if text}
    variables: dict[str, Any] = {
        "value": alert.value,
        "threshold": alert.threshold,
        "no_data": alert.no_data,
        "device": alert.subject.device,
        "group": alert.subject.group,
        "tags": record.tags if record else {},
        "profile": own["profile"],
        "groups": record.groups if record else [],
        "metric": alert.metric,
        "severity": alert.severity,
        "rule": rule.name,
        "labels": labels.copy(),
        "started_at": f"{format_time(alert.started_at)[:19]}Z",
        "evidence": {metric: value for metric, (_, value) in evidence.items()},
    }
    problems: list[str] = []
    of_rule = dict(_rendered("labels", rule.spec.labels.items(), variables, problems))
    labels |= {name: text for name, text in of_rule.items() if text and name not in OWN_LABELS}
    variables["labels"] = labels
    annotations = dict(_rendered("annotations", rule.spec.annotations.items(), variables, problems))
    described = msgspec.structs.replace(alert, labels=labels, annotations=annotations, runbook=rule.runbook)
    return described, "; ".join(problems)[:1024] or None


def _profile(alert: Alert, record: DeviceRecord | None) -> str:
    if not alert.subject.device:
        return ""
    return record.profile if record else DEFAULT_PROFILE


def _rendered(
    where: str, texts: Iterable[tuple[str, str]], variables: dict[str, Any], problems: list[str]
) -> Iterable[tuple[str, str]]:
    for name, text in texts:
        try:
            yield name, _templates.render(text, variables)
        except TemplateFailedError as error:
            problems.append(f"{where}.{name}: {error}")
