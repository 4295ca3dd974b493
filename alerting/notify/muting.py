"""Why nobody is told of an alert: silenced, inhibited or shelved. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from alerting.notify.inhibition import Sources
from alerting.notify.matching import match_all
from alerting.notify.silences import Silence
from contracts.durations import SECOND

LOOK_AGAIN = 15 * SECOND
"""How long in ns an inhibited alert may stay untold after what inhibited it has ended."""


class Muting(msgspec.Struct, frozen=True):
    """What mutes an alert: ids of silences, and of one alert that inhibits it.

    `until`, in ns since 1970 UTC, is when to look again; None: only once something has changed.
    """

    silenced_by: tuple[str, ...] = ()
    inhibited_by: tuple[str, ...] = ()
    shelved: bool = False
    until: int | None = None


class Mutes:
    """All that mutes at one moment, so that an alert costs a look-up for each label, not one for each silence."""

    def __init__(self, silences: Iterable[Silence], sources: Sources, now: int) -> None:
        self._sources, self._now = sources, now
        self._by_label: dict[str, dict[str, list[Silence]]] = {}
        self._others: list[Silence] = []
        for silence in silences:
            if not silence.active(now):
                continue
            equal = next((m for m in silence.matchers if m.operator == "=" and m.value), None)
            if equal is None:
                self._others.append(silence)
            else:
                self._by_label.setdefault(equal.name, {}).setdefault(equal.value, []).append(silence)

    def of(self, labels: Mapping[str, str], shelved_until: int | None) -> Muting | None:
        """Say what mutes an alert with these labels, that was shelved until then; None if nothing does."""
        found = [silence for silence in self._candidates(labels) if match_all(silence.matchers, labels)]
        inhibitor = self._sources.inhibitor(labels)
        shelved = shelved_until is not None and shelved_until > self._now
        if not found and inhibitor is None and not shelved:
            return None
        # It is muted for as long as the longest of them holds; what holds for ever is looked at when it is changed.
        ends: list[int | None] = [silence.until(self._now) for silence in found]
        if shelved:
            ends.append(shelved_until)
        if inhibitor is not None:
            ends.append(self._now + LOOK_AGAIN)
        return Muting(
            silenced_by=tuple(sorted(silence.id for silence in found)),
            inhibited_by=() if inhibitor is None else (inhibitor,),
            shelved=shelved,
            until=None if None in ends else max(end for end in ends if end is not None),
        )

    def _candidates(self, labels: Mapping[str, str]) -> Iterable[Silence]:
        for name, by_value in self._by_label.items():
            yield from by_value.get(labels.get(name, ""), ())
        yield from self._others
