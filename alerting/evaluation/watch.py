"""A rule as the devices of a partition are watched by it: worked out once, whatever the number of devices."""

from typing import Any
from zlib import crc32

import msgspec

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

    `judge` judges readings and `window_judge` windows, those of `window_key`. `metrics` are all that the rule is
    about; none: it is about anything that a device sends. `memory` is the type of what a judge remembers. `plain`:
    it judges one metric, always, and silence is nothing to it. `fires`: silence fires it; `covers`: also that of a
    device that was never heard of. `ends`: silence ends it.

    `looks` and `condition` are numbers made of what the rule looks at and of how it judges that: they change with it,
    also while nobody runs.
    """

    __slots__ = (
        "condition",
        "covers",
        "ends",
        "fires",
        "judge",
        "looks",
        "memory",
        "metrics",
        "plain",
        "rule",
        "window_judge",
        "window_key",
    )

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
        self.memory = None if rule.judge is None else rule.judge.memory
        self.covers = isinstance(rule.spec, AbsenceSpec)
        silent = rule.silence_after is not None
        self.fires = silent and (self.covers or rule.spec.no_data.policy == "fire")
        self.ends = silent and not self.fires and rule.spec.no_data.policy == "resolve"
        self.plain = (
            self.judge is not None and len(self.metrics) == 1 and rule.active is None and not (self.fires or self.ends)
        )
        self.looks = crc32(" ".join([rule.spec.kind, self.window_key, *sorted(self.metrics)]).encode())
        levels: dict[str, Any] = {"levels": {"__all__": {"severity"}}} if getattr(rule.spec, "levels", None) else {}
        self.condition = crc32(rule.spec.model_dump_json(exclude=_PRESENTED | levels, exclude_defaults=True).encode())

    def new_memory(self) -> msgspec.Struct | None:
        """Give what the judge remembers of a device of which it has judged nothing yet."""
        return None if self.memory is None else self.memory()


def window_key(metric: str, tier: str) -> str:
    """Name the windows of a metric of one tier."""
    return f"{metric} {tier}"
