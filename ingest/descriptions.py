"""What devices say of themselves, told to the registry once it knows the device, and again when it changes. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Mapping

MOST_DEVICES = 20_000
MOST_FACTS = 1_000
"""Most facts of one device."""


class Descriptions:
    """Facts by device. `registered` says whether the registry has a device: only then it can keep the facts.

    Bounded: the device that said something longest ago is forgotten first; what it says again is told again.
    """

    def __init__(self, registered: Callable[[str], bool]) -> None:
        self._registered = registered
        self._known: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._untold: dict[str, dict[str, str]] = {}
        self._due: set[str] = set()

    def learn(self, device: str, facts: Mapping[str, str]) -> None:
        """Take in facts; what is known already is no news."""
        known = self._known.get(device)
        if known is None:
            known = self._known[device] = {}
            if len(self._known) > MOST_DEVICES:
                oldest, _ = self._known.popitem(last=False)
                self._untold.pop(oldest, None)
                self._due.discard(oldest)
        for name, fact in facts.items():
            if known.get(name) != fact and (name in known or len(known) < MOST_FACTS):
                known[name] = fact
                self._untold.setdefault(device, {})[name] = fact
        if device in self._untold and self._registered(device):
            self._due.add(device)

    def learn_units(self, device: str, units: Mapping[str, str]) -> list[str]:
        """Take in the units that a device's message named; returns the metrics that were in another one before."""
        known = self._known.get(device, {})
        if all(known.get(f"unit.{metric}") == unit for metric, unit in units.items()):
            return []
        changed = [metric for metric, unit in units.items() if known.get(f"unit.{metric}", unit) != unit]
        self.learn(device, {f"unit.{metric}": unit for metric, unit in units.items()})
        return changed

    def registered(self, device: str) -> None:
        """Tell what is known of a device, now that the registry has it."""
        if device in self._untold and self._registered(device):
            self._due.add(device)

    def news(self) -> list[tuple[str, dict[str, str]]]:
        """Give what has to be told now, by device, and take it as told."""
        if not self._due:
            return []
        out = [(device, self._untold.pop(device)) for device in self._due if device in self._untold]
        self._due.clear()
        return out
