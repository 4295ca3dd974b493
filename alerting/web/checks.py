"""What a rule would look at, and what is wrong with it, before it is made."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus

from fastapi import APIRouter
from pydantic import BaseModel, Field

from alerting.calendars import Calendar
from alerting.judges.build import build
from alerting.judges.silence import silence_after
from alerting.rule_repository import RuleRepository
from alerting.rules.describing import templates_problem
from alerting.rules.kinds import GroupSpec
from alerting.rules.spec import RuleSpec, content_of
from alerting.web.ruleschemas import RuleBody
from contracts.alerts import Severity
from contracts.devices import DeviceRecord
from contracts.problems import Problem

SAMPLE = 10
_AT_ONCE = 2000
"""So many devices are looked at before others go on."""

Calendars = Callable[[], Awaitable[Mapping[str, Calendar]]]


class LevelOut(BaseModel):
    """A level of a rule; without `threshold` it compares no number."""

    severity: Severity
    threshold: float | None


class SelectedOut(BaseModel):
    """How many devices a rule looks at now, and some of them."""

    count: int
    sample: list[str]


class CheckOut(BaseModel):
    """What a rule would be: `problems` are why it would be refused, `warnings` what may not be as it was meant."""

    problems: list[str]
    warnings: list[str]
    levels: list[LevelOut] = Field(description="From the least severe on")
    metrics: list[str] = Field(description="What it looks at; empty where that is no metric, or any")
    devices: SelectedOut


def problem_of(rule_id: str, spec: RuleSpec, calendars: Mapping[str, Calendar]) -> str | None:
    """Why a rule could not be evaluated or kept, or None if it could."""
    if "\\u0000" in json.dumps(content_of(spec)):
        return "no text may hold the character U+0000"
    try:
        build(rule_id, 1, spec, calendars)
    except ValueError as error:
        return str(error).removesuffix(".")
    return templates_problem(spec)


async def refuse_bad(rule_id: str, spec: RuleSpec, calendars: Calendars) -> None:
    """Refuse a rule that cannot be evaluated. Raises Problem."""
    if problem := problem_of(rule_id, spec, await calendars()):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad-rule", "The rule cannot be evaluated", f"{problem}.")


def routes(
    repository: RuleRepository,
    calendars: Calendars,
    devices: Callable[[], Iterable[str]],
    record: Callable[[str], DeviceRecord | None],
) -> APIRouter:
    """Build the route; `devices` gives the ids of those that are registered, `record` what is known of one."""
    router = APIRouter(prefix="/rules", tags=["rules"])

    @router.post("/validate")
    async def validate(body: RuleBody) -> CheckOut:
        """Say what a rule would be, and change nothing: its levels, its metrics, and which devices it looks at now."""
        known = await calendars()
        problem = problem_of("validated", body, known)
        levels: list[LevelOut] = []
        metrics: list[str] = []
        if problem is None:
            rule = build("validated", 1, body, known)
            pairs = zip(rule.severities, rule.thresholds, strict=True)
            levels = [LevelOut(severity=severity, threshold=threshold) for severity, threshold in pairs]
            metrics = sorted(rule.judge.metrics) if rule.judge is not None else [rule.metric] if rule.metric else []
        selected, unknown = await _selected(body, {*devices(), *(body.selector.devices or ())}, record)
        warnings = []
        if unknown:
            warnings.append(
                f"of {unknown} devices silence says nothing: no interval is expected, or the metric is computed"
            )
        if not selected.count:
            warnings.append("no device that is registered now is selected")
        if isinstance(body, GroupSpec) and await repository.one(body.of) is None:
            warnings.append(f"there is no rule {body.of!r}")
        return CheckOut(
            problems=[] if problem is None else [problem],
            warnings=warnings,
            levels=levels,
            metrics=metrics,
            devices=selected,
        )

    return router


async def _selected(
    spec: RuleSpec, devices: Iterable[str], record: Callable[[str], DeviceRecord | None]
) -> tuple[SelectedOut, int]:
    """Give the devices that are selected, and of how many of them silence says nothing though it should."""
    count = unknown = 0
    after = silence_after(spec)
    sample: list[str] = []
    for number, device in enumerate(sorted(devices), 1):
        if spec.selector.selects(device, record(device)):
            count += 1
            unknown += after is not None and not after(record(device))
            if len(sample) < SAMPLE:
                sample.append(device)
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return SelectedOut(count=count, sample=sample), unknown
