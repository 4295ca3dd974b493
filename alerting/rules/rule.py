"""A rule as evaluation needs it: compiled from what its author wrote."""

from collections.abc import Callable

from alerting.judges.verdict import Judge, WindowJudge
from alerting.rules.kinds import GroupSpec
from alerting.rules.spec import RuleSpec
from contracts.alerts import Severity
from contracts.devices import DeviceRecord


class Rule:
    """One rule in one version. Durations in ns.

    `severities` and `thresholds` (None where a level has no number) are by level, ascending. `judge` is None for what
    looks at no value: absence and group rules. `silence_after` gives, by level, for how long a device of this record
    may be unheard until that counts (absence, or the rule's no-data policy); None where it may be for ever.
    `flapping_ends` resolutions within `flapping_within` make an alert flapping, 0 for never. `active` tells, of a time
    in ns since 1970 UTC, whether the rule's schedule lets it evaluate, and `next_change` when after it that may change;
    both are None for a rule that always does.
    """

    __slots__ = (
        "active",
        "enabled",
        "flapping_ends",
        "flapping_within",
        "for_ns",
        "id",
        "judge",
        "keep_ns",
        "metric",
        "name",
        "next_change",
        "runbook",
        "severities",
        "silence_after",
        "spec",
        "thresholds",
        "version",
    )

    def __init__(  # noqa: PLR0913 - all that a rule is compiled to
        self,
        rule_id: str,
        version: int,
        spec: RuleSpec,
        *,
        judge: Judge | WindowJudge | None,
        levels: list[tuple[Severity, float | None]],
        silence_after: Callable[[DeviceRecord | None], list[int]] | None = None,
        active: Callable[[int], bool] | None = None,
        next_change: Callable[[int], int] | None = None,
    ) -> None:
        self.id, self.version, self.spec = rule_id, version, spec
        self.name, self.enabled, self.runbook = spec.name, spec.enabled, spec.runbook
        self.metric = spec.about
        self.for_ns, self.keep_ns = spec.for_ns, spec.keep_ns
        self.severities = [severity for severity, _ in levels]
        self.thresholds = [threshold for _, threshold in levels]
        self.judge, self.silence_after, self.active = judge, silence_after, active
        self.next_change = next_change
        self.flapping_ends, self.flapping_within = spec.flapping.changes // 2, spec.flapping.within_ns

    @property
    def is_group(self) -> bool:
        """Whether it looks at other rules' alerts rather than at readings."""
        return isinstance(self.spec, GroupSpec)
