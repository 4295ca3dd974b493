"""From what a rule's author wrote to the rule that evaluates."""

from alerting.judges.threshold import Limits, Threshold
from alerting.rules.kinds import Numbered, ThresholdSpec
from alerting.rules.rule import Rule
from alerting.rules.spec import RuleSpec


def build(rule_id: str, version: int, spec: RuleSpec) -> Rule:
    """Compile a rule. Raises ValueError, in words for its author, where that cannot be done."""
    if isinstance(spec, ThresholdSpec):
        judge = Threshold(spec.metric, limits_of(spec))
        return Rule(
            rule_id, version, spec, judge=judge, levels=[(level.severity, level.value) for level in spec.all_levels]
        )
    raise ValueError(f"rules of kind {spec.kind} are not there yet")


def limits_of(spec: Numbered) -> Limits:
    """Give the numbers of a rule's levels."""
    levels = [(level.value, level.value if level.clear is None else level.clear) for level in spec.all_levels]
    return Limits(spec.operator, levels)
