"""Which rules look at a device, found without asking those that do not."""

from collections.abc import Iterable, Iterator

from alerting.evaluation.watch import Watch
from contracts.devices import DEFAULT_PROFILE, DeviceRecord

Key = tuple[str, ...]


class RuleIndex:
    """Rules by what is most selective in their selectors: device ids, else groups, else a tag, else the profile."""

    def __init__(self) -> None:
        self._by_key: dict[Key, dict[str, Watch]] = {}

    def add(self, watch: Watch) -> None:
        """Take in a rule."""
        for key in _keys(watch):
            self._by_key.setdefault(key, {})[watch.rule.id] = watch

    def discard(self, watch: Watch) -> None:
        """Take out a rule, which has to be as it was taken in."""
        for key in _keys(watch):
            found = self._by_key.get(key)
            if found is not None:
                found.pop(watch.rule.id, None)
                if not found:
                    del self._by_key[key]

    def find(self, device: str, record: DeviceRecord | None) -> list[Watch]:
        """Give the rules that look at `device`; `record` is None where it is not registered."""
        by_key = self._by_key
        candidates: dict[str, Watch] = {}
        for key in _keys_of(device, record):
            if (found := by_key.get(key)) is not None:
                candidates |= found
        return [watch for watch in candidates.values() if watch.rule.spec.selector.selects(device, record)]


def _keys(watch: Watch) -> Iterable[Key]:
    selector = watch.rule.spec.selector
    if selector.devices is not None:
        return [("device", device) for device in selector.devices]
    if selector.groups is not None:
        return [("group", group) for group in selector.groups]
    if selector.tags is not None:
        values = {tag: [value] if isinstance(value, str) else value for tag, value in selector.tags.items()}
        tag = min(values, key=lambda name: len(values[name]))
        return [("tag", tag, value) for value in values[tag]]
    if selector.profile is not None:
        return [("profile", selector.profile)]
    return [()]


def _keys_of(device: str, record: DeviceRecord | None) -> Iterator[Key]:
    yield ()
    yield ("device", device)
    if record is None:
        yield ("profile", DEFAULT_PROFILE)
        return
    yield ("profile", record.profile)
    for group in record.groups:
        yield ("group", group)
    for item in record.tags.items():
        yield ("tag", *item)
