"""From what a rule's author wrote to the rule that evaluates."""

from collections.abc import Mapping
from types import MappingProxyType

from alerting.calendars import Calendar
from alerting.judges.condition import Condition
from alerting.judges.deviation import Deviation
from alerting.judges.rate import Rate
from alerting.judges.repeating import Repeating
from alerting.judges.silence import silence_after
from alerting.judges.threshold import Limits, Threshold
from alerting.judges.verdict import Judge, WindowJudge
from alerting.judges.window import Joined
from alerting.rules.kinds import (
    ConditionSpec,
    DeviationSpec,
    Numbered,
    RateSpec,
    RepeatingSpec,
    ThresholdSpec,
    WindowSpec,
    expression_of,
)
from alerting.rules.rule import Rule
from alerting.rules.spec import RuleSpec
from alerting.schedules import Hours
from contracts.alerts import Severity
from contracts.durations import parse_duration

_NONE: Mapping[str, Calendar] = MappingProxyType({})


def build(rule_id: str, version: int, spec: RuleSpec, calendars: Mapping[str, Calendar] = _NONE) -> Rule:
    """Compile a rule, with the calendars by name that its schedule may ask for.

    Raises ValueError, in words for its author, where that cannot be done.
    """
    hours = None if spec.schedule is None else Hours(spec.schedule, calendars)
    return Rule(
        rule_id,
        version,
        spec,
        judge=_judge(spec),
        levels=_levels(spec),
        silence_after=silence_after(spec),
        active=None if hours is None else hours.active,
        next_change=None if hours is None else hours.next_change,
    )


def limits_of(spec: Numbered) -> Limits:
    """Give the numbers of a rule's levels."""
    levels = [(level.value, level.value if level.clear is None else level.clear) for level in spec.all_levels]
    return Limits(spec.operator, levels)


def _judge(spec: RuleSpec) -> Judge | WindowJudge | None:
    judge: Judge | WindowJudge | None = None  # absence and groups look at no value
    match spec:
        case ThresholdSpec():
            judge = Threshold(spec.metric, limits_of(spec))
        case RateSpec():
            judge = Rate(spec.metric, limits_of(spec), parse_duration(spec.over), counter=spec.counter)
        case RepeatingSpec():
            judge = Repeating(spec.metric, limits_of(spec), spec.times, spec.of)
        case WindowSpec():
            judge = Joined(spec.metric, limits_of(spec), spec.function, spec.tier, spec.over_ns)
        case DeviationSpec():
            tau = parse_duration(spec.memory)
            judge = Deviation(spec.metric, limits_of(spec), spec.direction, tau, spec.warm_up, spec.least)
        case ConditionSpec():
            judge = _condition(spec)
    return judge


def _condition(spec: ConditionSpec) -> Condition:
    levels = [
        (expression_of(level.condition), None if level.hold is None else expression_of(level.hold))
        for level in spec.all_levels
    ]
    return Condition(levels, None if spec.max_age is None else parse_duration(spec.max_age))


def _levels(spec: RuleSpec) -> list[tuple[Severity, float | None]]:
    if isinstance(spec, Numbered):
        return [(level.severity, level.value) for level in spec.all_levels]
    return [(level.severity, None) for level in spec.levels or []] or [(spec.severity, None)]
