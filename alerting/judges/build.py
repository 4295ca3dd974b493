"""From what a rule's author wrote to the rule that evaluates."""

from collections.abc import Mapping
from types import MappingProxyType

from alerting.calendars import Calendar
from alerting.judges.silence import silence_after
from alerting.judges.threshold import Limits, Threshold
from alerting.judges.verdict import Judge, WindowJudge
from alerting.rules.kinds import AbsenceSpec, GroupSpec, Numbered, ThresholdSpec
from alerting.rules.rule import Rule
from alerting.rules.spec import RuleSpec
from alerting.schedules import Hours
from contracts.alerts import Severity

_NONE: Mapping[str, Calendar] = MappingProxyType({})


def build(rule_id: str, version: int, spec: RuleSpec, calendars: Mapping[str, Calendar] = _NONE) -> Rule:
    """Compile a rule, with the calendars by name that its schedule may ask for.

    Raises ValueError, in words for its author, where that cannot be done.
    """
    return Rule(
        rule_id,
        version,
        spec,
        judge=_judge(spec),
        levels=_levels(spec),
        silence_after=silence_after(spec),
        active=None if spec.schedule is None else Hours(spec.schedule, calendars).active,
    )


def limits_of(spec: Numbered) -> Limits:
    """Give the numbers of a rule's levels."""
    levels = [(level.value, level.value if level.clear is None else level.clear) for level in spec.all_levels]
    return Limits(spec.operator, levels)


def _judge(spec: RuleSpec) -> Judge | WindowJudge | None:
    if isinstance(spec, ThresholdSpec):
        return Threshold(spec.metric, limits_of(spec))
    if isinstance(spec, AbsenceSpec | GroupSpec):
        return None
    raise ValueError(f"rules of kind {spec.kind} are not there yet")


def _levels(spec: RuleSpec) -> list[tuple[Severity, float | None]]:
    if isinstance(spec, Numbered):
        return [(level.severity, level.value) for level in spec.all_levels]
    return [(level.severity, None) for level in spec.levels or []] or [(spec.severity, None)]
