"""Units that a convention fixes by the last parts of a metric's name, wherever in a message they stand. Pure."""

from collections.abc import Iterator, Mapping


class LeafUnits(Mapping[str, str]):
    """Units by `FIELD` or `PARENT.FIELD`, the longer one first; the numbers of array elements do not count."""

    def __init__(self, units: Mapping[str, str]) -> None:
        self._units = units

    def __getitem__(self, metric: str) -> str:
        parts = [part for part in metric.split(".") if not part.isdigit()][-2:]
        longer = ".".join(parts)
        return self._units[longer] if longer in self._units else self._units[parts[-1] if parts else ""]

    def __iter__(self) -> Iterator[str]:
        return iter(self._units)

    def __len__(self) -> int:
        return len(self._units)
