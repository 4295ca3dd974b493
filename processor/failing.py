"""Which computed metrics fail, by profile: what is to be told of it. Pure."""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from contracts.computed import ComputedFailure

MOST_FAILING = 1_000
"""So many are known at a time; the one that has not failed for longest makes room, and comes back if it fails again."""

Name = tuple[str, str]
"""Profile and computed metric."""


class Failing:
    """The computed metrics that fail, at most `most`."""

    def __init__(self, most: int = MOST_FAILING) -> None:
        self._most = most
        self._failures: dict[Name, ComputedFailure] = {}  # the one that failed last is the last
        self._changed: set[Name] = set()

    def __len__(self) -> int:
        return len(self._failures)

    def adopt(self, told: Iterable[ComputedFailure]) -> None:
        """Take in what was told before a restart; what is known better stays."""
        for failure in told:
            name = failure.profile, failure.metric
            known = self._failures.get(name)
            if known is None:
                self._failures = {name: failure} | self._failures
            elif known.expression == failure.expression:
                self._failures[name] = replace(
                    known, since=min(known.since, failure.since), count=known.count + failure.count
                )
        self._make_room()

    def note(
        self,
        profile: str,
        expressions: Mapping[str, str],
        device: str,
        worked: Iterable[str],
        errors: Mapping[str, str],
        now: int,
    ) -> None:
        """Take in what came of one reading of `device`: the metrics that were computed, and the errors of others.

        A metric works again when it does for the device with which it failed last.
        """
        failures = self._failures
        if failures:
            for metric in worked:
                known = failures.get((profile, metric))
                if known is not None and known.device == device:
                    del failures[profile, metric]
                    self._changed.add((profile, metric))
        for metric, error in errors.items():
            known, expression = failures.pop((profile, metric), None), expressions[metric]
            if known is not None and known.expression == expression:
                failures[profile, metric] = replace(known, error=error, device=device, last=now, count=known.count + 1)
            else:
                failures[profile, metric] = ComputedFailure(1, profile, metric, expression, error, device, now, now, 1)
                self._make_room()
            self._changed.add((profile, metric))

    def changes(self) -> dict[Name, ComputedFailure | None]:
        """Give what has changed since this was asked last; None where a metric works again."""
        changed, self._changed = self._changed, set()
        return {name: self._failures.get(name) for name in changed}

    def repeat(self) -> None:
        """Let the next `changes` tell all that fails."""
        self._changed.update(self._failures)

    def _make_room(self) -> None:
        while len(self._failures) > self._most:
            name = next(iter(self._failures))
            del self._failures[name]
            self._changed.discard(name)
