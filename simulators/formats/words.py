"""Which of a model's metrics a convention has a word for, or no other meaning."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from contracts.units import canonical
from simulators.models.model import Metric

T = TypeVar("T")


def without(by_metric: Mapping[str, T], meant_otherwise: Collection[str]) -> dict[str, T]:
    """Leave out metrics whose names mean something else in a convention."""
    return {metric: found for metric, found in by_metric.items() if metric not in meant_otherwise}


@dataclass(frozen=True)
class Words:
    """A fixed vocabulary: for a model's metric the convention's own word and its unit there, empty for none."""

    convention: str
    words: Mapping[str, tuple[str, str]]

    def known(self, metrics: Mapping[str, Metric]) -> dict[str, str]:
        """Give the words for those metrics that there is one for, and whose unit is the convention's."""
        found: dict[str, str] = {}
        for name, metric in metrics.items():
            word, unit = self.words.get(name, ("", ""))
            if word and word not in found.values() and canonical(metric.unit) == canonical(unit):
                found[name] = word
        return found

    def stored(self, metrics: Mapping[str, Metric]) -> dict[str, str]:
        """Give the words as `known` does. Raises ValueError for a model that has none of them."""
        found = self.known(metrics)
        if not found:
            able = ", ".join(f"{name} in {unit}" if unit else name for name, (_, unit) in self.words.items())
            raise ValueError(f"{self.convention} can say {able}, and the model has none of these")
        return found
