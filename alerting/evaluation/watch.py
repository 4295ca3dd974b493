"""A rule as the devices of a partition are watched by it: worked out once, whatever the number of devices."""

from typing import Any
from zlib import crc32

from alerting.judges.verdict import Judge, WindowJudge
from alerting.rules.kinds import AbsenceSpec, WindowSpec
from alerting.rules.rule import Rule

_PRESENTED: dict[str, Any] = dict.fromkeys(
    (
        "name",
        "description",
        "enabled",
        "selector",
        "severity",
        "schedule",
        "no_data",
        "flapping",
        "keep_firing_for",
        "labels",
        "annotations",
        "runbook",
        "notify",
    ),
    True,
)


class Watch:
    """What evaluation asks of a rule.

    `judge` judges readings and `window_judge` windows, those of `window_key`. `metrics` are all that the rule is about;
    none: it is about anything that a device sends. `plain`: it judges one metric, always, and silence is nothing to it.
    `fires`: silence fires it. `covers`: also that of a device that was never heard of.

    `looks` and `condition` are numbers made of what the rule looks at and of how it judges that: they change with it,
    also while nobody runs.
    """

    __slots__ = (
        "condition", "covers", "fires", "judge", "looks", "metrics", "plain", "rule", "window_judge", "window_key"
    )  # fmt: skip

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.judge: Judge | None = None
        self.window_judge: WindowJudge | None = None
        self.metrics: frozenset[str] = frozenset((rule.metric,)) if rule.metric else frozenset()
        self.window_key = ""
        if isinstance(rule.spec, WindowSpec):
            self.window_judge = rule.judge  # type: ignore[assignment]  # rules of this kind have one of windows
            self.window_key = window_key(rule.spec.metric, rule.spec.tier)
        elif rule.judge is not None:
            self.judge = rule.judge  # type: ignore[assignment]  # all others judge readings
            self.metrics = rule.judge.metrics
        self.covers = isinstance(rule.spec, AbsenceSpec)
        self.fires = self.covers or rule.spec.no_data.policy == "fire"
        self.plain = (
            self.judge is not None and len(self.metrics) == 1 and rule.active is None and rule.silence_after is None
        )
        self.looks = crc32(" ".join([rule.spec.kind, self.window_key, *sorted(self.metrics)]).encode())
        levels: dict[str, Any] = {"levels": {"__all__": {"severity"}}} if getattr(rule.spec, "levels", None) else {}
        self.condition = crc32(rule.spec.model_dump_json(exclude=_PRESENTED | levels).encode())


def window_key(metric: str, tier: str) -> str:
    """Name the windows of a metric of one tier."""
    return f"{metric} {tier}"
