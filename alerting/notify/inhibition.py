"""Inhibition: of an alert nobody is told while another, that explains it, is firing. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerting.notify.matching import Matcher, Matchers, compiled, match_all
from alerting.rules.common import LabelName


class InhibitionSpec(BaseModel):
    """While an alert that meets `source` fires, alerts that meet `target` are not told, if `equal` labels are equal.

    A label that is not there equals an empty one. An alert that meets both is inhibited by none that meets both.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[Matchers, Field(min_length=1)]
    target: Annotated[Matchers, Field(min_length=1)]
    equal: list[LabelName] = Field(default=[], max_length=20)


class Inhibition(msgspec.Struct, frozen=True):
    """An inhibition ready for use."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def key(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Give what has to be the same for source and target."""
        return tuple(labels.get(name, "") for name in self.equal)


def compile_inhibition(spec: InhibitionSpec) -> Inhibition:
    """Make an inhibition ready for use."""
    return Inhibition(compiled(spec.source), compiled(spec.target), tuple(spec.equal))


class _Found(msgspec.Struct):
    """Ids of firing alerts that meet a source: those that do not meet the target as well, and those that do."""

    sources: dict[str, None]
    both: dict[str, None]


class Sources:
    """The firing alerts that inhibit others, so that one look-up for each inhibition finds them."""

    def __init__(self, inhibitions: Sequence[Inhibition], firing: Iterable[tuple[str, Mapping[str, str]]] = ()) -> None:
        self._inhibitions = inhibitions
        self._found: list[dict[tuple[str, ...], _Found]] = [{} for _ in inhibitions]
        self._keys: dict[str, list[tuple[int, tuple[str, ...]]]] = {}
        for alert_id, labels in firing:
            self.put(alert_id, labels)

    def put(self, alert_id: str, labels: Mapping[str, str]) -> None:
        """Note that an alert is firing, with these labels."""
        self.remove(alert_id)
        for number, inhibition in enumerate(self._inhibitions):
            if match_all(inhibition.source, labels):
                key = inhibition.key(labels)
                found = self._found[number].setdefault(key, _Found({}, {}))
                (found.both if match_all(inhibition.target, labels) else found.sources)[alert_id] = None
                self._keys.setdefault(alert_id, []).append((number, key))

    def remove(self, alert_id: str) -> None:
        """Note that an alert is no longer firing."""
        for number, key in self._keys.pop(alert_id, ()):
            found = self._found[number][key]
            found.sources.pop(alert_id, None)
            found.both.pop(alert_id, None)
            if not found.sources and not found.both:
                del self._found[number][key]

    def inhibitor(self, labels: Mapping[str, str]) -> str | None:
        """Give the id of an alert that inhibits one with these labels."""
        for by_key, inhibition in zip(self._found, self._inhibitions, strict=True):
            found = by_key.get(inhibition.key(labels)) if by_key else None
            if found is None or not match_all(inhibition.target, labels):
                continue
            if found.sources:
                return next(iter(found.sources))
            if not match_all(inhibition.source, labels):
                return next(iter(found.both))
        return None
