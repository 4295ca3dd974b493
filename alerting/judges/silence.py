"""For how long a device may be silent until a rule says something of it. Pure."""

from collections.abc import Callable

from alerting.rules.kinds import AbsenceSpec
from alerting.rules.spec import RuleSpec
from contracts.devices import DeviceRecord
from contracts.durations import SECOND, parse_duration

INTERVALS = 3.0
"""How many expected intervals a no-data policy waits where it says no time."""

SilenceAfter = Callable[[DeviceRecord | None], list[int]]


def silence_after(spec: RuleSpec) -> SilenceAfter | None:
    """Give, for a device's record, after how many ns of silence each level of an absence, or a no-data policy, counts.

    None: silence says nothing to this rule. An empty list: it says nothing of this device. That is one whose interval
    nobody has said, where the rule counts in intervals; and one whose profile computes the metric, which is silent too
    where processor is late: have the metrics watched that it is computed from.
    """
    if isinstance(spec, AbsenceSpec):
        return _absence(spec)
    if spec.no_data.policy == "hold":
        return None
    after = [] if spec.no_data.after is None else [parse_duration(spec.no_data.after)]
    return lambda record: after or _intervals(record, INTERVALS)


def _absence(spec: AbsenceSpec) -> SilenceAfter:
    afters, metric = spec.afters, spec.metric

    def after(record: DeviceRecord | None) -> list[int]:
        if metric is not None and record is not None and metric in record.computed:
            return []
        return afters or _intervals(record, spec.intervals)

    return after


def _intervals(record: DeviceRecord | None, intervals: float) -> list[int]:
    if record is None or record.interval <= 0:
        return []
    return [round(record.interval * intervals * SECOND)]
