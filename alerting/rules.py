"""Threshold rules, and what they say of one value."""

import operator
from collections.abc import Callable

import msgspec

from contracts.alerts import Operator, Severity

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
