"""Which rules look at a device's metric: found with two look-ups for each value of a reading."""

from collections.abc import Callable, Iterable

from alerting.rules import Rule
from alerting.states import Track

MAX_DEVICES = 200_000
"""Devices whose rules are remembered for each metric; beyond it the memory starts anew."""

Watch = tuple[Rule, dict[str, Track]]
"""A rule and its tracks by device."""

ProfileOf = Callable[[str], str | None]


def selects(rule: Rule, device: str, profile_of: ProfileOf) -> bool:
    """Whether `rule` looks at `device`."""
    if rule.devices is not None:
        return device in rule.devices
    return rule.profile is None or rule.profile == profile_of(device)


class DeviceRules(dict[str, tuple[Watch, ...]]):
    """The rules of one metric by device, worked out when a device is first seen."""

    def __init__(self, watches: Iterable[Watch], profile_of: ProfileOf) -> None:
        super().__init__()
        self._watches, self._profile_of = tuple(watches), profile_of

    def __missing__(self, device: str) -> tuple[Watch, ...]:
        if len(self) >= MAX_DEVICES:
            self.clear()
        found = self[device] = tuple(watch for watch in self._watches if selects(watch[0], device, self._profile_of))
        return found


def index(watches: Iterable[Watch], profile_of: ProfileOf) -> dict[str, DeviceRules]:
    """Index the enabled rules by metric."""
    by_metric: dict[str, list[Watch]] = {}
    for watch in watches:
        if watch[0].enabled:
            by_metric.setdefault(watch[0].metric, []).append(watch)
    return {metric: DeviceRules(group, profile_of) for metric, group in by_metric.items()}
