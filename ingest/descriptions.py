"""What devices say of themselves, told to the registry once it knows the device, and again when it changes. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Mapping

MOST_DEVICES = 20_000
MOST_FACTS = 1_000
"""Most facts of one device."""
MOST_CHARACTERS = 64 << 20
"""Most characters of all facts and their names together."""


class Descriptions:
    """Facts by device. `registered` says whether the registry has a device: only then it can keep the facts.

    Bounded: the device that said something longest ago is forgotten first; what it says again is told again.
    """

    def __init__(self, registered: Callable[[str], bool]) -> None:
        self._registered = registered
        self._known: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._untold: dict[str, dict[str, str]] = {}
        self._due: set[str] = set()
        self._characters = 0

    def learn(self, device: str, facts: Mapping[str, str]) -> None:
        """Take in facts; what is known already is no news."""
        known = self._known.setdefault(device, {})
        self._known.move_to_end(device)
        for name, fact in facts.items():
            before = known.get(name)
            if before != fact and (before is not None or len(known) < MOST_FACTS):
                self._characters += len(fact) + len(name) if before is None else len(fact) - len(before)
                known[name] = fact
                self._untold.setdefault(device, {})[name] = fact
        if device in self._untold and self._registered(device):
            self._due.add(device)
        while len(self._known) > 1 and (len(self._known) > MOST_DEVICES or self._characters > MOST_CHARACTERS):
            self._forget_oldest()

    def learn_units(self, device: str, units: Mapping[str, str]) -> list[str]:
        """Take in the units that a device's message named; returns the metrics that were in another one before."""
        known = self._known.get(device, {})
        if all(known.get(f"unit.{metric}") == unit for metric, unit in units.items()):
            return []
        changed = [metric for metric, unit in units.items() if known.get(f"unit.{metric}", unit) != unit]
        self.learn(device, {f"unit.{metric}": unit for metric, unit in units.items()})
        return changed

    def _forget_oldest(self) -> None:
        oldest, known = self._known.popitem(last=False)
        self._characters -= sum(len(name) + len(fact) for name, fact in known.items())
        self._untold.pop(oldest, None)
        self._due.discard(oldest)

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
