"""Threshold rules, and what they say of one value."""

import operator
from collections.abc import Callable
from typing import Literal

import msgspec

from contracts.alerts import Severity

Operator = Literal["gt", "ge", "lt", "le"]

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule.

    It is breached by a value that is `operator` `value`. A firing alert holds for as long as values are `operator`
    `clear` (which is `value` where none is given), so `clear` may only be easier to keep up: at most `value` for gt
    and ge, at least `value` for lt and le. `for_ns` is how long it has to be breached. It looks at the devices in
    `devices`, or at those of `profile`, or at all where both are None. Times in ns since 1970 UTC.
    """

    id: str
    version: int
    name: str
    metric: str
    operator: Operator
    value: float
    for_ns: int
    clear: float | None
    devices: frozenset[str] | None
    profile: str | None
    severity: Severity
    enabled: bool
    webhooks: tuple[str, ...]
    created_at: int
    updated_at: int

    def breached(self, value: float) -> bool:
        """Whether `value` is bad."""
        return COMPARE[self.operator](value, self.value)

    def holds(self, value: float) -> bool:
        """Whether `value` keeps a firing alert firing."""
        return COMPARE[self.operator](value, self.value if self.clear is None else self.clear)


def clear_problem(op: Operator, value: float, clear: float | None) -> str | None:
    """Why `clear` cannot be the clear threshold, or None if it can."""
    if clear is None:
        return None
    if op in ("gt", "ge") and clear > value:
        return (
            f"clear ({clear:g}) has to be at most value ({value:g}) for operator {op}: an alert ends at clear or below"
        )
    if op in ("lt", "le") and clear < value:
        return (
            f"clear ({clear:g}) has to be at least value ({value:g}) for operator {op}: an alert ends at clear or above"
        )
    return None
