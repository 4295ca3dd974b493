"""Which devices each group rule is about, kept up to date as devices and rules change."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from alerting.evaluation.index import RuleIndex
from alerting.evaluation.watch import Watch
from alerting.rules.kinds import GroupSpec
from contracts.devices import DeviceRecord

ALL = "*"
"""What stands for a group where a rule is about all devices that it selects."""

_AT_ONCE = 1_000

Place = tuple[str, str]
"""Rule and group."""


def groups_of(spec: GroupSpec) -> list[str]:
    """Give the groups of which a rule has an alert each."""
    return spec.selector.groups or [] if spec.by == "group" else [ALL]


class Members:
    """Registered and enabled devices, by rule and group."""

    def __init__(self, records: Callable[[str], DeviceRecord | None]) -> None:
        self._records = records
        self._index = RuleIndex()
        self._watches: dict[str, Watch] = {}
        self._new: dict[str, Watch] = {}
        self._sets: dict[str, dict[str, set[str]]] = {}
        self._places: dict[str, list[Place]] = {}  # where a device counts
        self.changes = 0
        """Grows whenever `count` may give something else."""

    @property
    def incomplete(self) -> bool:
        """Whether there are rules of which not all devices are known: `complete` finds them."""
        return bool(self._new)

    def add(self, watch: Watch) -> None:
        """Take in a group rule, in place of the one with its id."""
        self.discard(watch.rule.id)
        self._watches[watch.rule.id] = self._new[watch.rule.id] = watch
        self._index.add(watch)
        self._sets[watch.rule.id] = {group: set() for group in groups_of(_spec(watch))}

    def discard(self, rule_id: str) -> None:
        """Take out a rule, if it is there."""
        watch = self._watches.pop(rule_id, None)
        if watch is None:
            return
        self.changes += 1
        self._index.discard(watch)
        self._new.pop(rule_id, None)
        for device in frozenset().union(*self._sets.pop(rule_id).values()):
            self._places[device] = [place for place in self._places[device] if place[0] != rule_id]

    def complete(self, devices: Iterable[str]) -> Iterator[None]:
        """Find the devices of the rules that are new, and pause after some: others may change anything meanwhile."""
        index, new = RuleIndex(), dict(self._new)
        for watch in new.values():
            index.add(watch)
        for number, device in enumerate(devices, 1):
            self._enter(device, index)
            if number % _AT_ONCE == 0:
                yield
        self.changes += 1
        for rule_id, watch in new.items():
            if self._new.get(rule_id) is watch:
                del self._new[rule_id]

    def changed(self, device: str) -> None:
        """Take note that the record of a device has changed."""
        self.changes += 1
        for rule_id, group in self._places.pop(device, ()):
            self._sets[rule_id][group].discard(device)
        self._enter(device, self._index)

    def sizes(self, rule_id: str) -> dict[str, int] | None:
        """Give how many devices a rule is about, by group; None while they are not all known."""
        if rule_id in self._new:
            return None
        return {group: len(members) for group, members in self._sets[rule_id].items()}

    def count(self, devices: Iterable[str]) -> Counter[Place]:
        """Count `devices` by the rules and groups that they belong to."""
        places = self._places
        return Counter(chain.from_iterable(places.get(device, ()) for device in devices))

    def _enter(self, device: str, index: RuleIndex) -> None:
        record = self._records(device)
        if record is None or not record.enabled:
            return
        for watch in index.find(device, record):
            if self._watches.get(watch.rule.id) is not watch:
                continue
            sets = self._sets[watch.rule.id]
            for group in (ALL, *record.groups):
                members = sets.get(group)
                if members is not None and device not in members:
                    members.add(device)
                    self._places.setdefault(device, []).append((watch.rule.id, group))


def _spec(watch: Watch) -> GroupSpec:
    spec = watch.rule.spec
    assert isinstance(spec, GroupSpec)  # noqa: S101 - others are not handed in
    return spec
