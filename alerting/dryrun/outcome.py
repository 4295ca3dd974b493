"""What a run over history comes to, and how far it may go."""

from typing import Literal

import msgspec

from alerting.life.alert import Ending, State, What
from contracts.alerts import Severity

Cut = Literal["devices", "events", "changes", "time"]
"""What a run was cut off by."""


class Limits(msgspec.Struct, frozen=True):
    """How far a run may go: devices, readings and windows in all, and changes in the answer."""

    devices: int = 100
    events: int = 500_000
    changes: int = 1_000


class Change(msgspec.Struct, frozen=True):
    """One change of an alert at `at`, and the alert as it stood after it."""

    at: int
    what: What
    state: State
    level: int
    severity: Severity
    value: float | None
    no_data: bool
    reason: Ending | None


class DeviceRun(msgspec.Struct):
    """What the rule would have done at one device. `firing_ns` is for how long an alert fired, within the time.

    `open` is the state of its alert at the end, and `failures` counts the values that the rule failed on. Of `changes`
    it has as many as there is room for; `changed` counts all.
    """

    device: str
    events: int = 0
    alerts: int = 0
    firing_ns: int = 0
    open: State | None = None
    failures: int = 0
    changed: int = 0
    changes: list[Change] = []


class DryRun(msgspec.Struct):
    """What a rule would have done from `start` to `end`, had it been made at `start`.

    `selected` devices are those that it looks at now, of which `devices` were gone through. `timeline` has those at
    which it would have done something. `cut` names the limits that were reached: what lies beyond is not in here.
    `failures` counts the values that the rule failed on, and `failure` is the first reason.
    """

    start: int
    end: int
    selected: int = 0
    devices: int = 0
    events: int = 0
    alerts: int = 0
    firing_ns: int = 0
    failures: int = 0
    failure: str | None = None
    timeline: list[DeviceRun] = []
    cut: list[Cut] = []
