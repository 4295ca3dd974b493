"""Values that are made when somebody asks for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from contracts.readings import Value


class Columns(Mapping[str, Sequence[Value | None]]):
    """Columns that `make` gives, on first use; `made` holds them, and nothing if nobody wanted any.

    Most formats say `online` on a new connection, for which no value is needed: thousands of connections that come back
    together would otherwise cost their process seconds.
    """

    def __init__(self, make: Callable[[], dict[str, list[Value | None]]]) -> None:
        self._make: Callable[[], dict[str, list[Value | None]]] | None = make
        self.made: dict[str, list[Value | None]] = {}

    def __getitem__(self, name: str) -> Sequence[Value | None]:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, list[Value | None]]:
        if self._make is not None:
            self.made, self._make = self._make(), None
        return self.made
